//! The durable engine: fjall, a log-structured merge tree with one journal for all spaces.
//!
//! A batch is one checksummed entry of the journal. [`Engine::apply`] hands it to the operating system, so it survives the
//! process; [`Engine::sync`] fsyncs the journal. Applying never fsyncs, so with `sync = "never"` no write waits for the disk.
//! Fjall by itself fsyncs the journal at four moments that no write waits for: when it is opened (what was recovered is
//! durable before it is shown), when a full memtable begins to be written out as a table, when a journal of 64 MB is
//! replaced by the next, and when it is closed. So "never" loses at a power failure at most what came since the last of
//! these, not everything.
//!
//! Facts that shape this file:
//!
//! - A journal is made 64 MiB long, not configurably, but as a hole: a fresh store occupies a few kilobytes.
//! - A write that fails half-way poisons fjall. The usual cause is a full disk, so [`Engine::apply`] refuses below a
//!   reserve of free space, which also leaves room for what fjall writes in the background: `reserve.rs`.
//! - A batch whose write failed may still reach the journal from fjall's buffer when it is closed: its outcome is unknown.
//! - When work in the background fails, fjall's writers wait for it for ever: [`Engine::apply`] waits by itself, and looks.
//! - Recovery drops the unreadable end of a journal without an error, be it the last batch torn by a power failure or synced
//!   data that rotted: `journal.rs` counts what it dropped.
//! - Sequence numbers in a journal are not covered by its checksums, and a damaged one ends in a panic: `sequence.rs`.
//! - Manifests and lost files are not checked by fjall, or are taken for an interrupted making and deleted: `manifest.rs`.
//! - Fjall keeps a space's newest data in one memtable each, and a journal until all that is in it was written out, so the
//!   sizes below bound memory (the memtables and one being written out each) and the time of a restart (the journals).

mod journal;
mod manifest;
mod reserve;
mod sequence;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use ::fjall::{AbstractTree, Database, Error, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode, Readable};
use bytes::Bytes;

use self::journal::Journals;
use self::reserve::Reserve;
use super::{Batch, Engine, Space, StorageError, disk, key_range};

/// The engine's name in configuration and in the data directory.
pub const NAME: &str = "fjall";

/// The file that fjall makes last: with it a database is whole, without it none.
const VERSION_FILE: &str = "version";

/// Journals that are kept before old data is written out to free them. A restart reads at most these again.
const JOURNALS_BYTES_MAX: u64 = 256 << 20;

/// Full memtables of a space that wait to be written out while the next one fills. Fjall's own limit is 4; a batch that was let
/// through can add two at most.
const SEALED_MEMTABLES_MAX: usize = 2;

/// Runs of tables that wait for their first compaction, which every read has to look through. Fjall's own limit is 30.
const YOUNG_RUNS_MAX: usize = 20;

/// How long to wait before looking again whether background work has caught up.
const CATCH_UP_POLL: Duration = Duration::from_millis(2);

/// What can be chosen about the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Memory for blocks that were read from disk, in bytes.
    pub cache_bytes: u64,
    /// Writes are refused while the disk has fewer bytes free. Fjall writes tables in the background: what it holds in
    /// memory should fit in here several times.
    pub reserve_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { cache_bytes: 64 << 20, reserve_bytes: 256 << 20 }
    }
}

/// An open database.
pub struct FjallEngine {
    path: PathBuf,
    reserve: Reserve,
    discarded_bytes: u64,
    /// The first failure of a write, which all later ones repeat.
    poison: OnceLock<String>,
    /// In the order of [`Space::ALL`].
    spaces: [Keyspace; Space::ALL.len()],
    database: Database,
}

impl FjallEngine {
    /// Opens the database in the directory `path`, or makes one if `path` is absent or empty.
    pub fn open(path: &Path, settings: &Settings) -> Result<FjallEngine, StorageError> {
        let exists = refuse_incomplete(path)?;
        let journals = Journals::look(path)?;
        if exists {
            manifest::verify(path)?;
            journals.verify(path)?;
        }
        let failed = |error| opening_failed(path, error);
        let database = Database::builder(path)
            .cache_size(settings.cache_bytes)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .open()
            .map_err(failed)?;
        let discarded_bytes = journals.discarded_bytes()?;
        let space = |space| {
            if exists && !database.keyspace_exists(name(space)) {
                return Err(StorageError::corrupt(path, format!("its space {:?} is gone", name(space))));
            }
            database.keyspace(name(space), || options(space)).map_err(failed)
        };
        let spaces = [space(Space::Objects)?, space(Space::Hints)?, space(Space::Meta)?];
        Ok(FjallEngine {
            path: path.into(),
            reserve: Reserve::new(settings.reserve_bytes),
            discarded_bytes,
            poison: OnceLock::new(),
            spaces,
            database,
        })
    }

    /// Bytes at the ends of journals that recovery could not read and dropped (without zeros behind them, so at least so
    /// many). After a power failure they are batches that no sync covered; damage to synced ones looks the same. Zero after an
    /// orderly stop of a sound disk.
    pub fn discarded_bytes(&self) -> u64 {
        self.discarded_bytes
    }

    /// Waits until the background work has caught up, or has failed. Fjall itself waits further on and without end: when its
    /// workers died meanwhile, of a full disk for instance, the writer would never return.
    fn wait_for_room(&self) -> Result<(), StorageError> {
        loop {
            // Writes nothing, as every batch is flushed when it is applied: it is the way to ask whether fjall is poisoned.
            self.database.persist(PersistMode::Buffer).map_err(|error| self.write_failed(error))?;
            let is_behind = |space: &Keyspace| {
                space.sealed_memtable_count() >= SEALED_MEMTABLES_MAX || space.tree.l0_run_count() >= YOUNG_RUNS_MAX
            };
            if !self.spaces.iter().any(is_behind) {
                return Ok(());
            }
            thread::sleep(CATCH_UP_POLL);
        }
    }

    fn write_failed(&self, error: Error) -> StorageError {
        let cause = match error {
            Error::Poisoned => "in the background; the log tells how".into(),
            Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        StorageError::Poisoned { cause: self.poison.get_or_init(|| cause).clone() }
    }
}

impl Engine for FjallEngine {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let found = self.spaces[space as usize].get(key).map_err(|error| reading_failed(&self.path, error))?;
        Ok(found.map(Bytes::from))
    }

    fn apply(&self, batch: Batch) -> Result<(), StorageError> {
        batch.check()?;
        self.reserve.admit(&self.path, &batch)?;
        self.wait_for_room()?;
        // All changes of a batch get one sequence number, and of two with the same key and number the later one stays.
        let mut changes = self.database.batch();
        for (space, key, value) in batch.changes {
            let keyspace = &self.spaces[space as usize];
            match value {
                Some(value) => changes.insert(keyspace, key, value),
                None => changes.remove(keyspace, key),
            }
        }
        changes.commit().map_err(|error| self.write_failed(error))
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.database.persist(PersistMode::SyncAll).map_err(|error| self.write_failed(error))
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        let Some(range) = key_range(prefix, after) else { return Ok(Vec::new()) };
        // Through a snapshot, because an iterator of the keyspace itself sees parts of batches that are being applied.
        let entries = self.database.snapshot().range(&self.spaces[space as usize], range);
        entries
            .take(limit)
            .map(|entry| {
                let (key, value) = entry.into_inner().map_err(|error| reading_failed(&self.path, error))?;
                Ok((key.into(), value.into()))
            })
            .collect()
    }

    fn disk_bytes(&self) -> u64 {
        disk::used_bytes(&self.path)
    }
}

fn name(space: Space) -> &'static str {
    match space {
        Space::Objects => "objects",
        Space::Hints => "hints",
        Space::Meta => "meta",
    }
}

fn options(space: Space) -> KeyspaceCreateOptions {
    let memtable_bytes_max = match space {
        Space::Objects => 32 << 20,
        Space::Hints | Space::Meta => 8 << 20,
    };
    KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes_max)
}

/// Whether there is a database. Refuses a directory that holds something but no version file: fjall would make a new
/// database over the old one.
fn refuse_incomplete(path: &Path) -> Result<bool, StorageError> {
    let is_empty = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(StorageError::io(path, error)),
    };
    let version_file = path.join(VERSION_FILE);
    match version_file.try_exists() {
        Ok(exists) if exists || is_empty => Ok(exists),
        Ok(_) => Err(StorageError::corrupt(&version_file, "it is gone")),
        Err(error) => Err(StorageError::io(&version_file, error)),
    }
}

fn opening_failed(path: &Path, error: Error) -> StorageError {
    match error {
        Error::Locked => StorageError::Held { path: path.into(), pid: None },
        Error::InvalidVersion(_) => version_failed(&path.join(VERSION_FILE)),
        Error::JournalRecovery(error) => StorageError::corrupt(path, format!("a journal: {error}")),
        other => reading_failed(path, other),
    }
}

fn reading_failed(path: &Path, error: Error) -> StorageError {
    let (Error::Io(error) | Error::Storage(LsmError::Io(error))) = error else {
        return StorageError::corrupt(path, error.to_string());
    };
    match error.kind() {
        // A file is gone; it ends too early; it points behind its end, or before its beginning.
        io::ErrorKind::NotFound
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput => StorageError::corrupt(path, error.to_string()),
        _ => StorageError::io(path, error),
    }
}

/// Tells a newer version of fjall from a damaged version file: three bytes of name, one of version.
fn version_failed(version_file: &Path) -> StorageError {
    const KNOWN: u64 = 3;
    match fs::read(version_file).as_deref() {
        Ok([b'F', b'J', b'L', found]) if u64::from(*found) > KNOWN => {
            StorageError::NewerFormat { path: version_file.into(), found: u64::from(*found), known: KNOWN }
        }
        _ => StorageError::corrupt(version_file, "it is not what fjall 3 writes"),
    }
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
