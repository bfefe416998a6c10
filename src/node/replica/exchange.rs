//! What other stores, and this one, ask of a whole partition: see [`crate::wire::exchange`].
//!
//! Each call does a bounded piece of work and is answered at once, so that neither other partitions nor requests of applications
//! wait for it: a page ends where its budget ends, and names the place to go on from.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::exchange_walk::{Budget, Visited, Walk};
use super::messages::ReplicaReply;
use super::storing::unreadable;
use super::tree::version;
use super::{Replica, Turn};
use crate::core::id::Partition;
use crate::core::key::Key;
use crate::core::merkle::{Leaves, UNREADABLE, leaf_count};
use crate::core::version::{Object, Record};
use crate::storage::Space;
use crate::wire::exchange::{ClocksPage, ObjectsPage};
use crate::wire::message::{self, ReplicaError};

type Outcome = Result<(), ReplicaError>;

/// What one call reads at most: a millisecond's work, as long as the disk need not be waited for.
pub(super) const BUDGET: Budget = Budget { keys: 128, bytes: 256 << 10 };
/// How many keys one call searches for at most.
const SEARCHED_MAX: usize = 128;

impl Replica {
    /// Tells the versions of the keys in some leaves.
    pub(super) fn clocks(
        &mut self,
        turn: &mut Turn,
        id: u64,
        partition: Partition,
        leaves: &[u32],
        after: Option<Bytes>,
        limit: usize,
    ) -> Outcome {
        self.check_partition(partition)?;
        let (wanted, shape) = (BTreeSet::from_iter(leaves), Leaves::new(self.leaf_count()));
        let mut clocks = vec![];
        let visit = |key: Bytes, record: Bytes| {
            if wanted.contains(&shape.leaf_of(&key)) {
                clocks.push((key, Some(version(&record)).filter(|clock| *clock != UNREADABLE)));
            }
            if clocks.len() < limit { Visited::GoOn } else { Visited::Enough }
        };
        let walk = self.walk(partition);
        let next = walk.on(after, BUDGET, visit).map_err(unreadable)?;
        if walk.met_damage() {
            self.gap(partition);
        }
        clocks.iter().filter(|(_, clock)| clock.is_none()).for_each(|(stored, _)| self.damaged(stored));
        turn.now.push(ReplicaReply::Clocks { id, result: Ok(ClocksPage { clocks, next }) });
        Ok(())
    }

    /// Reads a partition's objects.
    pub(super) fn pull(
        &mut self,
        turn: &mut Turn,
        id: u64,
        partition: Partition,
        after: Option<Bytes>,
        bytes_max: usize,
    ) -> Outcome {
        self.check_partition(partition)?;
        let mut page = ObjectsPage::default();
        let budget = Budget { bytes: bytes_max.min(BUDGET.bytes), ..BUDGET };
        let visit = |stored: Bytes, record: Bytes| {
            put(&mut page, stored, &record);
            Visited::GoOn
        };
        let walk = self.walk(partition);
        let next = walk.on(after, budget, visit).map_err(unreadable)?;
        if walk.met_damage() {
            self.gap(partition);
        }
        page.next = next;
        page.unreadable.iter().for_each(|stored| self.damaged(stored));
        turn.now.push(ReplicaReply::Page { id, result: Ok(page) });
        Ok(())
    }

    /// Reads some objects of a partition.
    pub(super) fn objects(&mut self, turn: &mut Turn, id: u64, partition: Partition, keys: Vec<Bytes>) -> Outcome {
        self.check_partition(partition)?;
        let (mut page, mut bytes) = (ObjectsPage::default(), 0);
        let mut keys = keys.into_iter();
        for stored in keys.by_ref().take(SEARCHED_MAX) {
            if !stored.starts_with(&partition.0.to_be_bytes()) {
                return Err(ReplicaError::Malformed(format!("a key that is not of partition {partition}")));
            }
            let record = match self.pending.durable(&stored) {
                Some(durable) => Ok(durable.clone()),
                // Not through `recent`: what is exchanged is not what applications are busy with.
                None => self.parts.engine.get(Space::Objects, &stored).map_err(unreadable),
            };
            match record {
                Ok(Some(record)) if bytes > 0 && bytes + record.len() > BUDGET.bytes => {
                    page.left_over.push(stored);
                    break;
                }
                Ok(Some(record)) => {
                    bytes += record.len();
                    put(&mut page, stored, &record);
                }
                Ok(None) => {}
                Err(_) => page.unreadable.push(stored),
            }
        }
        page.left_over.extend(keys);
        page.unreadable.iter().for_each(|stored| self.damaged(stored));
        turn.now.push(ReplicaReply::Page { id, result: Ok(page) });
        Ok(())
    }

    fn walk(&self, partition: Partition) -> Walk<'_> {
        Walk::new(&*self.parts.engine, &self.pending, partition)
    }

    pub(super) fn leaf_count(&self) -> usize {
        leaf_count(self.parts.ring.load().ring.partitions())
    }

    /// Refuses a partition that there is not, or of which another arbiter's Replica keeps what is in flight.
    pub(super) fn check_partition(&self, partition: Partition) -> Outcome {
        let partitions = self.parts.ring.load().ring.partitions();
        if partition.0 as u32 >= partitions {
            return Err(ReplicaError::Malformed(format!("partition {partition} of {partitions}")));
        }
        if partition.0 as usize % self.parts.env.arbiters() != self.arbiter {
            return Err(ReplicaError::Malformed(format!("partition {partition} is pinned to another arbiter")));
        }
        Ok(())
    }
}

/// Adds a record's object to a page, if it can be read.
fn put(page: &mut ObjectsPage, stored: Bytes, record: &Bytes) {
    let object = Record::split(record).and_then(|(_, object)| Object::decode(&object).map(|_| object));
    match (Key::from_stored(&stored), object) {
        (Some((_, key)), Ok(object)) => page.objects.push((key, message::Object(object))),
        _ => page.unreadable.push(stored),
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
