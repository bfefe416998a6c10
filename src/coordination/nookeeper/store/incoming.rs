//! A snapshot on its way from the leader to the disk.
//!
//! When all of it is there the Raft crate hands it to the machine, which is a task of its own, and purges the log that it covers
//! without waiting for that task. Were power to fail between the two, the log would be gone and the snapshot not there, and
//! the replica could never start again. So the machine purges, in the transaction that stores the snapshot, and the log leaves
//! that to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the leader has sent snapshots since the replica started. Clones are the same.
#[derive(Clone, Default)]
pub struct Incoming(Arc<AtomicBool>);

impl Incoming {
    /// One begins to arrive.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a purge beyond the stored snapshot can be due to another one, which the machine is about to store. Without one the
    /// crate purges no further than the stored one.
    pub fn is_possible(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
