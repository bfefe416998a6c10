//! How long things take, at most.

use std::time::Duration;

/// The service's pace. All voters should have the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    /// How often the leader gives a sign of life, in milliseconds. It is also how long a follower may take to answer one, so
    /// it must exceed a round trip and a sync of the disk.
    pub heartbeat_ms: u64,
    /// Shortest time without a leader's sign of life after which a voter asks to be elected, in milliseconds. Several
    /// heartbeats.
    pub election_min_ms: u64,
    /// Longest such time, in milliseconds. The wider the range, the fewer elections that nobody wins.
    pub election_max_ms: u64,
    /// How long dialling a peer may take, greeting included, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a user's call looks for a leader that answers it before it fails, in milliseconds.
    pub call_timeout_ms: u64,
    /// After so many entries of the log a snapshot is made, and most of the log before it is dropped.
    pub snapshot_every: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            heartbeat_ms: 150,
            election_min_ms: 750,
            election_max_ms: 1500,
            connect_timeout_ms: 1000,
            call_timeout_ms: 10_000,
            snapshot_every: 5000,
        }
    }
}

impl Timing {
    pub(super) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(super) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    /// Who was not heard for so long is taken for dead: no leader would be kept that was.
    pub(super) fn silence(&self) -> Duration {
        Duration::from_millis(self.election_min_ms)
    }

    /// What the Raft crate is told.
    pub(super) fn raft(&self) -> openraft::Config {
        openraft::Config {
            cluster_name: "nookeeper".into(),
            heartbeat_interval: self.heartbeat_ms,
            // Its timer is off ([`elections`](super::elections)). What is left of these two: how long an answer to a candidate
            // may take, and how long a voter that has heard a leader elects no other.
            enable_elect: false,
            election_timeout_min: self.election_min_ms.saturating_sub(1),
            election_timeout_max: self.election_min_ms,
            // For each piece: the last one is answered when the whole tree was replaced and stored.
            install_snapshot_timeout: self.call_timeout_ms,
            snapshot_max_chunk_size: SNAPSHOT_PIECE_BYTES,
            max_payload_entries: ENTRIES_MAX,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            max_in_snapshot_log_to_keep: self.snapshot_every / 4,
            // Who lacks more than two snapshots' worth of the log gets a snapshot even while the log is there.
            replication_lag_threshold: self.snapshot_every * 2,
            ..openraft::Config::default()
        }
    }
}

/// Bytes of a snapshot that are sent at once: a heartbeat waits behind one such piece, never behind a snapshot.
const SNAPSHOT_PIECE_BYTES: u64 = 256 << 10;
/// Entries of the log that are sent at once, however small they are.
const ENTRIES_MAX: u64 = 256;
