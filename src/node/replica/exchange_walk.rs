//! Reading a partition in key order, a little at a time, as it is durable.
//!
//! The engine shows what was applied. What of that is not durable yet, or is durable and not shown any more, [`Pending`] knows; both
//! are read in the same turn of the only Replica that writes these keys, so nothing comes between.
//!
//! Damage stops nothing: what lies behind it is shown, and that there is a gap is [remembered](Walk::met_damage).

use std::cell::Cell;

use bytes::Bytes;

use super::pending::Pending;
use crate::core::id::Partition;
use crate::storage::{self, Engine, Space, StorageError};

/// Entries read from the engine at once. It reads values whatever their size: this bounds what is in memory for a moment.
const CHUNK_MAX: usize = 64;
/// As long as it is not known how large the records are.
const CHUNK_FIRST: usize = 8;

/// A partition's durable records.
pub struct Walk<'a> {
    /// What was applied.
    engine: &'a dyn Engine,
    /// What is not durable of it.
    pending: &'a Pending,
    partition: Partition,
    met_damage: Cell<bool>,
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

impl<'a> Walk<'a> {
    /// Through `partition`. `pending` knows what of the engine's records is not durable.
    pub fn new(engine: &'a dyn Engine, pending: &'a Pending, partition: Partition) -> Walk<'a> {
        Walk { engine, pending, partition, met_damage: Cell::new(false) }
    }

    /// Whether something was passed over that cannot be read, not even its key.
    pub fn met_damage(&self) -> bool {
        self.met_damage.get()
    }

    /// Shows `visit` each record after `after`, in key order, with its stored key, until the budget is used up or it has enough.
    /// Returns the last key that was shown; `None` if there are no more.
    pub fn on(
        &self,
        mut after: Option<Bytes>,
        budget: Budget,
        mut visit: impl FnMut(Bytes, Bytes) -> Visited,
    ) -> Result<Option<Bytes>, StorageError> {
        let prefix = self.partition.0.to_be_bytes();
        let (mut keys, mut bytes, mut is_careful) = (0, 0, false);
        loop {
            let wanted = if is_careful { 1 } else { chunk(budget, keys, bytes) };
            let shown = match self.engine.scan(Space::Objects, &prefix, after.as_deref(), wanted) {
                Err(StorageError::Corrupt { .. }) if !is_careful => {
                    // What comes before the damage is shown first.
                    is_careful = true;
                    continue;
                }
                Err(StorageError::Corrupt { .. }) => {
                    self.met_damage.set(true);
                    let behind = storage::behind_damage(self.engine, Space::Objects, &prefix, after.as_deref());
                    let Some(behind) = behind else { return Ok(None) };
                    (after, is_careful) = (Some(behind), false);
                    continue;
                }
                shown => shown?,
            };
            let last = shown.last().filter(|_| shown.len() == wanted).map(|(key, _)| key.clone());
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
