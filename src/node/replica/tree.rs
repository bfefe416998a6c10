//! The Merkle leaves of the partitions that somebody asked about, kept equal to what is durable.
//!
//! A partition that nobody asked about has no tree and costs nothing. At the first question one is begun: the partition is read in
//! key order, a page at a time, up to a cursor. What becomes durable meanwhile at a key up to the cursor is entered; what lies
//! beyond it is not, for it will be read. Once the cursor has passed the last key the tree is whole, and from then on each durable
//! change costs the decoding of two records and two additions. Trees are made in the order in which they were asked for, one at
//! a time, and kept until they are [distrusted](Trees::distrust); over an orderly stop as well ([`super::tree_kept`]).
//!
//! A kept tree says what was written, which a disk may have forgotten since. So now and then a partition is *verified*: a second tree
//! is made beside the first one, by the same reading, while the first one goes on to answer. In the end both must be equal. If not,
//! the second one is right, it takes the other's place, and the partition is compared with its other owners: there the leaf of a record
//! that rotted differs.
//!
//! That cost is about a microsecond for each durable write of a small object, and grows with its siblings and its context, not with
//! the bytes of its values.
//!
//! In memory a tree is its leaves: see [`leaf_count`](crate::core::merkle::leaf_count) for the bound of all of them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::exchange_walk::{Budget, Visited, Walk};
use super::pending::{Pending, Stored};
use super::tree_kept::KeptTree;
use crate::core::id::Partition;
use crate::core::merkle::{Leaves, UNREADABLE};
use crate::core::version::{Clock, Record};
use crate::storage::Engine;
use crate::wire::exchange::{LeavesAnswer, SumsAnswer};

/// The trees of one Replica.
#[derive(Default)]
pub struct Trees {
    trees: BTreeMap<Partition, Tree>,
    /// Second trees of partitions that are verified.
    second: BTreeMap<Partition, Tree>,
    /// Those that are not whole, in the order in which they were asked for.
    unfinished: VecDeque<(Partition, Reading)>,
}

/// For which tree a partition is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reading {
    First,
    Second,
}

/// What came to light while a page was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Stored keys of records that cannot be read.
    pub damaged: Vec<Bytes>,
    /// A partition of which a part cannot be read, not even its keys.
    pub gap: Option<Partition>,
    /// A partition that was verified, and how many leaves of the tree that was kept were wrong.
    pub verified: Option<(Partition, usize)>,
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
        let whole =
            |tree: &Tree| LeavesAnswer::Whole { leaves: tree.leaves.clone(), keys: tree.keys, bytes: tree.bytes };
        let tree = self.tree(partition, leaf_count)?;
        Ok(tree.map_or_else(|done_keys| LeavesAnswer::Building { done_keys }, whole))
    }

    /// The sums of some nodes over those leaves, likewise.
    pub fn sums(
        &mut self,
        partition: Partition,
        leaf_count: usize,
        depth: u32,
        nodes: &[u32],
    ) -> Result<SumsAnswer, String> {
        let tree = self.tree(partition, leaf_count)?;
        let sums = |tree: &Tree| SumsAnswer::Whole(tree.leaves.sums(depth, nodes));
        Ok(tree.map_or_else(|done_keys| SumsAnswer::Building { done_keys }, sums))
    }

    /// A whole tree, or how many keys are in it already.
    fn tree(&mut self, partition: Partition, leaf_count: usize) -> Result<Result<&Tree, u64>, String> {
        if let Some(Tree { reach: Reach::Failed(reason), .. }) = self.trees.get(&partition) {
            let reason = reason.clone();
            self.trees.remove(&partition);
            return Err(reason);
        }
        let tree = self.trees.entry(partition).or_insert_with(|| {
            self.unfinished.push_back((partition, Reading::First));
            Tree::empty(leaf_count)
        });
        Ok(if matches!(tree.reach, Reach::Whole) { Ok(tree) } else { Err(tree.keys) })
    }

    /// Verifies the tree of a partition, if it has a whole one and is not being verified.
    pub fn verify(&mut self, partition: Partition) {
        let Some(Tree { reach: Reach::Whole, leaves, .. }) = self.trees.get(&partition) else { return };
        let leaf_count = leaves.count();
        self.second.entry(partition).or_insert_with(|| {
            self.unfinished.push_back((partition, Reading::Second));
            Tree::empty(leaf_count)
        });
    }

    /// A whole tree that was kept over an orderly stop.
    pub fn adopt(&mut self, partition: Partition, kept: KeptTree) {
        let KeptTree { leaves, keys, bytes } = kept;
        self.trees.insert(partition, Tree { leaves, keys, bytes, reach: Reach::Whole });
    }

    /// All that are whole, to be kept.
    pub fn whole(&self) -> impl Iterator<Item = (Partition, KeptTree)> {
        let kept = |tree: &Tree| KeptTree { leaves: tree.leaves.clone(), keys: tree.keys, bytes: tree.bytes };
        let whole = self.trees.iter().filter(|(_, tree)| matches!(tree.reach, Reach::Whole));
        whole.map(move |(partition, tree)| (*partition, kept(tree)))
    }

    /// How many are whole, and how many are being made.
    pub fn count(&self) -> (usize, usize) {
        let whole = self.trees.values().filter(|tree| matches!(tree.reach, Reach::Whole)).count();
        (whole, self.trees.len() - whole)
    }

    /// Whether there is a tree to be made.
    pub fn is_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// Reads a page for the tree that was asked for first. `pending` knows what of the engine's records is not durable.
    pub fn read_on(&mut self, engine: &dyn Engine, pending: &Pending, page: Budget) -> Found {
        let mut found = Found::default();
        let Some(&(partition, reading)) = self.unfinished.front() else { return found };
        let trees = match reading {
            Reading::First => &mut self.trees,
            Reading::Second => &mut self.second,
        };
        let Some(Tree { reach: Reach::UpTo(after), .. }) = trees.get(&partition) else {
            self.unfinished.pop_front();
            return found;
        };
        let after = after.clone();
        let Some(tree) = trees.get_mut(&partition) else { return found };
        let walk = Walk::new(engine, pending, partition);
        let read = walk.on(after, page, |key, record| {
            if tree.replace(&key, &None, &Some(record)) == Some(UNREADABLE) {
                found.damaged.push(key);
            }
            Visited::GoOn
        });
        found.gap = walk.met_damage().then_some(partition);
        tree.reach = match read {
            Ok(Some(last)) => Reach::UpTo(Some(last)),
            Ok(None) => Reach::Whole,
            Err(error) => Reach::Failed(error.to_string()),
        };
        if !matches!(tree.reach, Reach::UpTo(_)) {
            self.unfinished.pop_front();
            if reading == Reading::Second {
                found.verified = self.end_verification(partition);
            }
        }
        found
    }

    /// The second tree is right.
    fn end_verification(&mut self, partition: Partition) -> Option<(Partition, usize)> {
        let second = self.second.remove(&partition).filter(|second| matches!(second.reach, Reach::Whole))?;
        let first = self.trees.get_mut(&partition).filter(|first| matches!(first.reach, Reach::Whole))?;
        let wrong = first.leaves.differing(&second.leaves).len();
        *first = second;
        Some((partition, wrong))
    }

    /// A key's durable record has changed.
    pub fn flushed(&mut self, key: &Bytes, before: &Stored, after: &Stored) {
        let Some(partition) = key.first_chunk().map(|bytes| Partition(u16::from_be_bytes(*bytes))) else { return };
        for tree in [self.trees.get_mut(&partition), self.second.get_mut(&partition)].into_iter().flatten() {
            if tree.reaches(key) {
                tree.replace(key, before, after);
            }
        }
    }

    /// It is in doubt whether all changes were seen: no tree is kept, and each is made anew when it is asked for.
    pub fn distrust(&mut self) {
        *self = Trees::default();
    }

    /// The same of one partition.
    pub fn forget(&mut self, partition: Partition) {
        self.trees.remove(&partition);
        self.second.remove(&partition);
    }

    /// Bytes of all leaves.
    pub fn bytes(&self) -> usize {
        let trees = self.trees.len() + self.second.len();
        trees * self.trees.first_key_value().map_or(0, |(_, tree)| tree.leaves.bytes())
    }
}

impl Tree {
    fn empty(leaf_count: usize) -> Tree {
        Tree { leaves: Leaves::new(leaf_count), keys: 0, bytes: 0, reach: Reach::UpTo(None) }
    }

    fn reaches(&self, key: &Bytes) -> bool {
        match &self.reach {
            Reach::UpTo(last) => last.as_ref().is_some_and(|last| key <= last),
            Reach::Whole => true,
            Reach::Failed(_) => false,
        }
    }

    /// Returns the version that the key has now, if it has one.
    fn replace(&mut self, key: &Bytes, before: &Stored, after: &Stored) -> Option<Clock> {
        let now = after.as_ref().map(version);
        self.leaves.replace(key, before.as_ref().map(version), now);
        let bytes = |record: &Stored| record.as_ref().map_or(0, |record| (key.len() + record.len()) as u64);
        self.keys = self.keys + after.iter().len() as u64 - before.iter().len() as u64;
        self.bytes = self.bytes + bytes(after) - bytes(before);
        now
    }
}

/// The version of a record.
pub fn version(record: &Bytes) -> Clock {
    Record::decode(record).map_or(UNREADABLE, |record| record.object.clock())
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
