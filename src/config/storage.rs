//! How a node keeps its bytes.

use std::fmt;

use super::table::Table;

/// How a node keeps its bytes (`[storage]`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StorageConfig {
    /// What keeps them.
    pub engine: EngineKind,
    /// When a write counts as durable.
    pub sync: SyncPolicy,
    /// Milliseconds between syncs with [`SyncPolicy::Interval`]; means nothing otherwise.
    pub sync_interval_ms: u64,
    /// Bytes of memory for what was read or written lately: half of it for records, half for blocks of the engine's files.
    pub cache_bytes: u64,
    /// With fewer bytes free on its disk the replica takes no writes, so that fallbacks do; reads go on.
    pub disk_free_bytes_min: u64,
}

impl StorageConfig {
    /// The part of `cache_bytes` that is for records.
    pub fn records_bytes(&self) -> u64 {
        self.cache_bytes / 2
    }

    /// The part of `cache_bytes` that is for blocks.
    pub fn blocks_bytes(&self) -> u64 {
        self.cache_bytes - self.records_bytes()
    }
}

/// What keeps a node's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EngineKind {
    /// A log-structured merge tree on disk.
    #[default]
    Fjall,
    /// Memory: everything is gone when the node stops.
    Memory,
}

/// When a write counts as durable and is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SyncPolicy {
    /// When it is on stable storage. One sync serves all writes that wait for one.
    #[default]
    Always,
    /// When the operating system has it; it is synced within `sync_interval_ms`. A power loss takes what was acknowledged since.
    Interval,
    /// When the operating system has it; that decides when it is synced. A power loss may take any acknowledged write.
    Never,
}

impl EngineKind {
    const WORDS: [(&str, EngineKind); 2] = [("fjall", EngineKind::Fjall), ("memory", EngineKind::Memory)];
}

impl SyncPolicy {
    const WORDS: [(&str, SyncPolicy); 3] =
        [("always", SyncPolicy::Always), ("interval", SyncPolicy::Interval), ("never", SyncPolicy::Never)];
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            EngineKind::Fjall => "fjall",
            EngineKind::Memory => "memory",
        })
    }
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            SyncPolicy::Always => "always",
            SyncPolicy::Interval => "interval",
            SyncPolicy::Never => "never",
        })
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        StorageConfig {
            engine: EngineKind::default(),
            sync: SyncPolicy::default(),
            sync_interval_ms: 1000,
            cache_bytes: 128 << 20,
            disk_free_bytes_min: 256 << 20,
        }
    }
}

impl StorageConfig {
    pub(super) fn read(&mut self, table: &mut Table) {
        table.word("engine", &mut self.engine, &EngineKind::WORDS);
        table.word("sync", &mut self.sync, &SyncPolicy::WORDS);
        table.number("sync_interval_ms", &mut self.sync_interval_ms, 1..=3_600_000, "a number of milliseconds");
        table.number("cache_bytes", &mut self.cache_bytes, 1 << 20..=1 << 44, "a number of bytes");
        table.number("disk_free_bytes_min", &mut self.disk_free_bytes_min, 1 << 20..=1 << 50, "a number of bytes");
    }
}
