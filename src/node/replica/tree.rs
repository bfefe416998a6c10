//! The Merkle leaves of the partitions that somebody asked about, kept equal to what is durable.
//!
//! A partition that nobody asked about has no tree and costs nothing. At the first question one is begun: the partition is read in
//! key order, a page at a time, up to a cursor. What becomes durable meanwhile at a key up to the cursor is entered; what lies
//! beyond it is not, for it will be read. Once the cursor has passed the last key the tree is whole, and from then on each durable
//! change costs the decoding of two records and two additions. Trees are made in the order in which they were asked for, one at
//! a time, and kept until they are [distrusted](Trees::distrust).
//!
//! That cost is about a microsecond for each durable write of a small object, and grows with its siblings and its context, not with
//! the bytes of its values.
//!
//! In memory a tree is its leaves: see [`leaf_count`](crate::core::merkle::leaf_count) for the bound of all of them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::exchange_walk::{Budget, Visited, Walk};
use super::pending::{Pending, Stored};
use crate::core::id::Partition;
use crate::core::merkle::{Leaves, UNREADABLE};
use crate::core::version::{Clock, Record};
use crate::storage::Engine;
use crate::wire::exchange::LeavesAnswer;

/// The trees of one Replica.
#[derive(Default)]
pub struct Trees {
    trees: BTreeMap<Partition, Tree>,
    /// Those that are not whole, in the order in which they were asked for.
    unfinished: VecDeque<Partition>,
}

struct Tree {
    leaves: Leaves,
    keys: u64,
    bytes: u64,
    reach: Reach,
}

/// Up to where a tree holds what is durable.
enum Reach {
    /// Up to this key; none yet, if there is none.
    UpTo(Option<Bytes>),
    /// All of the partition.
    Whole,
    /// It cannot be made, for this reason.
    Failed(String),
}

impl Trees {
    /// What is durable of a partition, in `leaf_count` leaves, or how far the making of its tree is. A partition that has no tree gets
    /// one. After a failure, which is told once, the next question begins anew.
    pub fn ask(&mut self, partition: Partition, leaf_count: usize) -> Result<LeavesAnswer, String> {
        let tree = self.trees.entry(partition).or_insert_with(|| {
            self.unfinished.push_back(partition);
            Tree { leaves: Leaves::new(leaf_count), keys: 0, bytes: 0, reach: Reach::UpTo(None) }
        });
        match &tree.reach {
            Reach::UpTo(_) => Ok(LeavesAnswer::Building { done_keys: tree.keys }),
            Reach::Whole => {
                let leaves = tree.leaves.clone();
                Ok(LeavesAnswer::Whole { leaves, keys: tree.keys, bytes: tree.bytes })
            }
            Reach::Failed(reason) => {
                let reason = reason.clone();
                self.trees.remove(&partition);
                Err(reason)
            }
        }
    }

    /// Whether there is a tree to be made.
    pub fn is_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// Reads a page for the tree that was asked for first. `pending` knows what of the engine's records is not durable.
    pub fn read_on(&mut self, engine: &dyn Engine, pending: &Pending, page: Budget) {
        let Some(&partition) = self.unfinished.front() else { return };
        let Some(tree) = self.trees.get_mut(&partition) else { return };
        let Reach::UpTo(after) = &tree.reach else { return };
        let after = after.clone();
        let read = Walk { engine, pending, partition }.on(after, page, |key, record| {
            tree.replace(&key, &None, &Some(record));
            Visited::GoOn
        });
        tree.reach = match read {
            Ok(Some(last)) => Reach::UpTo(Some(last)),
            Ok(None) => Reach::Whole,
            Err(error) => Reach::Failed(error.to_string()),
        };
        if !matches!(tree.reach, Reach::UpTo(_)) {
            self.unfinished.pop_front();
        }
    }

    /// A key's durable record has changed.
    pub fn flushed(&mut self, key: &Bytes, before: &Stored, after: &Stored) {
        let Some(partition) = key.first_chunk().map(|bytes| Partition(u16::from_be_bytes(*bytes))) else { return };
        let Some(tree) = self.trees.get_mut(&partition) else { return };
        if tree.reaches(key) {
            tree.replace(key, before, after);
        }
    }

    /// It is in doubt whether all changes were seen: no tree is kept, and each is made anew when it is asked for.
    pub fn distrust(&mut self) {
        *self = Trees::default();
    }

    /// Bytes of all leaves.
    pub fn bytes(&self) -> usize {
        self.trees.len() * self.trees.first_key_value().map_or(0, |(_, tree)| tree.leaves.bytes())
    }
}

impl Tree {
    fn reaches(&self, key: &Bytes) -> bool {
        match &self.reach {
            Reach::UpTo(last) => last.as_ref().is_some_and(|last| key <= last),
            Reach::Whole => true,
            Reach::Failed(_) => false,
        }
    }

    fn replace(&mut self, key: &Bytes, before: &Stored, after: &Stored) {
        self.leaves.replace(key, before.as_ref().map(version), after.as_ref().map(version));
        let bytes = |record: &Stored| record.as_ref().map_or(0, |record| (key.len() + record.len()) as u64);
        self.keys = self.keys + after.iter().len() as u64 - before.iter().len() as u64;
        self.bytes = self.bytes + bytes(after) - bytes(before);
    }
}

/// The version of a record.
pub fn version(record: &Bytes) -> Clock {
    Record::decode(record).map_or(UNREADABLE, |record| record.object.clock())
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
