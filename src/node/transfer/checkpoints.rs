//! The checkpoints of transfers, on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Recipient;

use crate::core::transfer::{Checkpoint, TransferId};
use crate::node::disk::{Disk, Ticket};
use crate::node::replica::messages::Flushed;
use crate::storage::{Batch, Engine, Space, StorageError};

/// How many are read at once.
const SCAN: usize = 1024;

/// All checkpoints of a store.
pub(super) struct Checkpoints {
    disk: Disk,
    kept: BTreeMap<TransferId, Checkpoint>,
    ticket: Ticket,
}

impl Checkpoints {
    /// Those that were kept before this start.
    pub fn open(engine: &Arc<dyn Engine>, disk: Disk) -> Result<Checkpoints, StorageError> {
        let (mut kept, mut after) = (BTreeMap::new(), None);
        loop {
            let found = engine.scan(Space::Meta, TransferId::prefix(), after.as_deref(), SCAN)?;
            let read = |(key, value): &(bytes::Bytes, bytes::Bytes)| {
                Some((TransferId::from_stored(key)?, Checkpoint::decode(value).unwrap_or_default()))
            };
            kept.extend(found.iter().filter_map(read));
            match found.last() {
                Some((last, _)) if found.len() == SCAN => after = Some(last.clone()),
                _ => return Ok(Checkpoints { disk, kept, ticket: 0 }),
            }
        }
    }

    /// How far a transfer is; at its beginning if nothing is kept.
    pub fn get(&self, id: &TransferId) -> Checkpoint {
        self.kept.get(id).cloned().unwrap_or_default()
    }

    /// Keeps how far a transfer is. What it speaks of must be durable. It need not be itself, ever: then more is copied again.
    pub fn keep(&mut self, id: TransferId, checkpoint: Checkpoint, told: Recipient<Flushed>) {
        let mut batch = Batch::default();
        batch.put(Space::Meta, id.stored(), checkpoint.encode());
        self.kept.insert(id, checkpoint);
        self.submit(batch, told);
    }

    /// Forgets those of transfers that will not go on.
    pub fn retain(&mut self, goes_on: impl Fn(&TransferId) -> bool, told: Recipient<Flushed>) {
        let mut batch = Batch::default();
        self.kept.retain(|id, _| {
            let goes_on = goes_on(id);
            if !goes_on {
                batch.remove(Space::Meta, id.stored());
            }
            goes_on
        });
        if !batch.changes.is_empty() {
            self.submit(batch, told);
        }
    }

    fn submit(&mut self, batch: Batch, told: Recipient<Flushed>) {
        self.ticket += 1;
        self.disk.submit(told, self.ticket, batch);
    }
}
