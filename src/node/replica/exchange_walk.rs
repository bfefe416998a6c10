//! Reading a partition in key order, a little at a time, as it is durable.
//!
//! The engine shows what was applied. What of that is not durable yet, or is durable and not shown any more, [`Pending`] knows; both
//! are read in the same turn of the only Replica that writes these keys, so nothing comes between.

use bytes::Bytes;

use super::pending::Pending;
use crate::core::id::Partition;
use crate::storage::{Engine, Space, StorageError};

/// Entries read from the engine at once. It reads values whatever their size: this bounds what is in memory for a moment.
const CHUNK_MAX: usize = 64;
/// As long as it is not known how large the records are.
const CHUNK_FIRST: usize = 8;

/// A partition's durable records.
pub struct Walk<'a> {
    /// What was applied.
    pub engine: &'a dyn Engine,
    /// What is not durable of it.
    pub pending: &'a Pending,
    /// Which partition.
    pub partition: Partition,
}

/// How much one turn reads.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Keys, at least one.
    pub keys: usize,
    /// Bytes of keys and records; the first record may have more.
    pub bytes: usize,
}

/// Whether a visitor has enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visited {
    /// The next one.
    GoOn,
    /// The rest another time.
    Enough,
}

impl Walk<'_> {
    /// Shows `visit` each record after `after`, in key order, with its stored key, until the budget is used up or it has enough.
    /// Returns the last key that was shown; `None` if there are no more.
    pub fn on(
        &self,
        mut after: Option<Bytes>,
        budget: Budget,
        mut visit: impl FnMut(Bytes, Bytes) -> Visited,
    ) -> Result<Option<Bytes>, StorageError> {
        let prefix = self.partition.0.to_be_bytes();
        let (mut keys, mut bytes) = (0, 0);
        loop {
            let chunk = chunk(budget, keys, bytes);
            let shown = self.engine.scan(Space::Objects, &prefix, after.as_deref(), chunk)?;
            let last = shown.last().filter(|_| shown.len() == chunk).map(|(key, _)| key.clone());
            for (key, record) in self.pending.durable_among(shown, &prefix, after.as_deref(), last.as_deref()) {
                let weight = key.len() + record.len();
                if keys > 0 && (keys >= budget.keys || bytes + weight > budget.bytes) {
                    return Ok(after);
                }
                (keys, bytes) = (keys + 1, bytes + weight);
                after = Some(key.clone());
                if visit(key, record) == Visited::Enough {
                    return Ok(after);
                }
            }
            if last.is_none() {
                return Ok(None);
            }
            after = last;
        }
    }
}

/// How many entries to read next: as many as will probably be shown.
fn chunk(budget: Budget, keys: usize, bytes: usize) -> usize {
    let Some(mean) = bytes.checked_div(keys) else { return CHUNK_FIRST };
    let fitting = budget.bytes.saturating_sub(bytes) / mean.max(1) + 1;
    fitting.min(budget.keys.saturating_sub(keys)).clamp(1, CHUNK_MAX)
}
