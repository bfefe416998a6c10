//! Trees over an orderly stop.
//!
//! A tree costs the reading of a whole partition. So a store that is stopped in order writes down its trees, and its next start takes them
//! up again. They are right only if nothing was written after them: that holds if the stop went to its end, which the home knows
//! ([`Home::was_clean`](crate::storage::home::Home::was_clean)), and if they are of the start before this one, whose number they bear. A
//! start removes what it finds before it serves anything, so no tree is ever taken up twice.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::tree::Trees;
use crate::core::id::Partition;
use crate::core::merkle::Leaves;
use crate::storage::{Batch, Engine, Space, StorageError};

/// What every tree's key begins with; the partition follows, in two bytes.
const PREFIX: &[u8] = b"tree/";
/// Trees read or written at once: a few megabytes.
const AT_ONCE: usize = 256;

/// A whole tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptTree {
    /// All that was durable.
    pub leaves: Leaves,
    /// Keys in them.
    pub keys: u64,
    /// Bytes of keys and records.
    pub bytes: u64,
}

/// The trees that a start found, until its Replicas have taken them; and the number under which they will be kept again.
#[derive(Debug, Default)]
pub struct KeptTrees {
    start: u64,
    found: Mutex<BTreeMap<Partition, KeptTree>>,
}

impl KeptTrees {
    /// Takes what start `start - 1` left, if its stop was orderly, and removes whatever there is. A disk that takes no writes is no reason
    /// not to start: then nothing is taken, and what is left bears a number that no later start looks for.
    ///
    /// # Errors
    /// The engine cannot be read.
    pub fn take(engine: &dyn Engine, start: u64, was_clean: bool) -> Result<KeptTrees, StorageError> {
        let (mut found, mut after) = (BTreeMap::new(), None::<Bytes>);
        let mut there = Batch::default();
        loop {
            let stored = engine.scan(Space::Meta, PREFIX, after.as_deref(), AT_ONCE)?;
            for (key, value) in &stored {
                there.remove(Space::Meta, key.clone());
                found.extend(partition_of(key).zip(decode(value, start.wrapping_sub(1))).filter(|_| was_clean));
            }
            match stored.last() {
                Some((last, _)) if stored.len() == AT_ONCE => after = Some(last.clone()),
                _ => break,
            }
        }
        if !there.changes.is_empty()
            && let Err(error) = engine.apply(there).and_then(|()| engine.sync())
        {
            log::warn!("the Merkle trees of the last start are made anew: {error}");
            found.clear();
        }
        if !found.is_empty() {
            log::info!("the Merkle trees of {} partitions were kept over the stop", found.len());
        }
        Ok(KeptTrees { start, found: Mutex::new(found) })
    }

    /// Hands over what was found of the partitions that `wants` names, in trees of this many leaves.
    pub fn give(&self, trees: &mut Trees, leaf_count: usize, wants: impl Fn(Partition) -> bool) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, kept) in found.extract_if(.., |partition, _| wants(*partition)) {
            if kept.leaves.count() == leaf_count {
                trees.adopt(partition, kept);
            }
        }
    }

    /// What is to be written so that the next start finds these trees. They are of this moment: nothing else may be written after it.
    pub fn keep(&self, trees: &Trees) -> Vec<Batch> {
        let whole: Vec<(Partition, KeptTree)> = trees.whole().collect();
        let batch = |some: &[(Partition, KeptTree)]| {
            let mut batch = Batch::default();
            for (partition, kept) in some {
                batch.put(Space::Meta, [PREFIX, &partition.0.to_be_bytes()].concat(), encode(kept, self.start));
            }
            batch
        };
        whole.chunks(AT_ONCE).map(batch).collect()
    }
}

fn partition_of(stored: &[u8]) -> Option<Partition> {
    let bytes = stored.strip_prefix(PREFIX)?.try_into().ok()?;
    Some(Partition(u16::from_be_bytes(bytes)))
}

fn encode(kept: &KeptTree, start: u64) -> Vec<u8> {
    rmp_serde::to_vec(&(start, kept)).expect("a tree serializes into memory")
}

/// What another start left, or another version, is no tree.
fn decode(value: &Bytes, start: u64) -> Option<KeptTree> {
    let (kept_by, kept): (u64, KeptTree) = rmp_serde::from_slice(value).ok()?;
    (kept_by == start).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::version::Clock;
    use crate::storage::memory::{MemoryDisk, MemoryEngine};

    const LEAVES: usize = 64;

    fn trees(partitions: u16) -> Trees {
        let mut trees = Trees::default();
        for partition in 0..partitions {
            let mut leaves = Leaves::new(LEAVES);
            leaves.add(&partition.to_be_bytes(), Clock(1));
            trees.adopt(Partition(partition), KeptTree { leaves, keys: 1, bytes: u64::from(partition) });
        }
        trees
    }

    fn kept_by(engine: &MemoryEngine, start: u64, trees: &Trees) {
        let kept = KeptTrees { start, ..KeptTrees::default() };
        kept.keep(trees).into_iter().for_each(|batch| engine.apply(batch).unwrap());
    }

    fn found(engine: &MemoryEngine, start: u64, was_clean: bool) -> BTreeMap<Partition, KeptTree> {
        let (kept, mut trees) = (KeptTrees::take(engine, start, was_clean).unwrap(), Trees::default());
        kept.give(&mut trees, LEAVES, |_| true);
        trees.whole().collect()
    }

    #[test]
    fn the_next_start_finds_them_once() {
        let engine = MemoryDisk::new().open();
        let before = trees(300);
        kept_by(&engine, 7, &before);
        assert_eq!(found(&engine, 8, true), before.whole().collect());
        assert_eq!(found(&engine, 8, true), BTreeMap::new());
        assert!(engine.scan(Space::Meta, PREFIX, None, 1).unwrap().is_empty());
    }

    #[test]
    fn what_may_be_stale_is_no_tree() {
        for (start, was_clean) in [(8, false), (9, true), (7, true)] {
            let engine = MemoryDisk::new().open();
            kept_by(&engine, 7, &trees(3));
            assert_eq!(found(&engine, start, was_clean), BTreeMap::new());
            assert!(engine.scan(Space::Meta, PREFIX, None, 1).unwrap().is_empty(), "it is removed");
        }
    }

    #[test]
    fn a_disk_that_takes_no_writes_is_no_reason_not_to_start() {
        let disk = MemoryDisk::new();
        let engine = disk.open();
        kept_by(&engine, 7, &trees(3));
        disk.set_full(true);
        assert_eq!(found(&engine, 8, true), BTreeMap::new());
        disk.set_full(false);
        assert_eq!(found(&engine, 9, true), BTreeMap::new(), "nor are they taken up later");
    }

    #[test]
    fn each_replica_takes_its_own_and_none_of_another_shape() {
        let engine = MemoryDisk::new().open();
        kept_by(&engine, 1, &trees(4));
        let kept = KeptTrees::take(&engine, 2, true).unwrap();
        let (mut even, mut odd) = (Trees::default(), Trees::default());
        kept.give(&mut even, LEAVES, |partition| partition.0.is_multiple_of(2));
        kept.give(&mut odd, 2 * LEAVES, |_| true);
        assert_eq!(even.count(), (2, 0));
        assert_eq!(odd.count(), (0, 0));
    }
}
