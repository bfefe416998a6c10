//! Partitions of which this store may miss something.
//!
//! What a store has lost (to damage, to a full hint budget, to a restored backup) it does not know by itself: it would answer *not
//! found* in good faith. So a partition in doubt is marked. Until it has exchanged with all other owners the store counts in no pr and
//! pw for it, and nobody copies it from here. It goes on serving sloppy requests, and every merge makes it better.
//!
//! The marks are kept in memory for all arbiters and beside the data for the next start. Whoever sets or takes away one writes the
//! change that [`NeedsSync::mark`] and [`NeedsSync::clear`] return with its next batch. A mark that a power loss took away is one whose
//! cause must be found again; one that came back is one exchange too many.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::core::id::Partition;
use crate::storage::{Engine, Space, StorageError};

/// What every mark's key begins with; the partition follows, in two bytes.
const PREFIX: &[u8] = b"needs-sync/";

/// Marks read at once: more than there can be partitions.
const MARKS_MAX: usize = 1 << 16;

/// Why a partition is in doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Storage found damage, or lost something.
    Damage,
    /// A bound was reached and something was not kept.
    Overflow,
    /// Somebody knows more of this store's own writes than itself.
    Doubt,
}

impl Why {
    const ALL: [Why; 3] = [Why::Damage, Why::Overflow, Why::Doubt];

    fn word(self) -> &'static str {
        match self {
            Why::Damage => "damage",
            Why::Overflow => "overflow",
            Why::Doubt => "doubt",
        }
    }

    /// What a newer version wrote is some doubt.
    fn from_stored(word: &[u8]) -> Why {
        Why::ALL.into_iter().find(|why| why.word().as_bytes() == word).unwrap_or(Why::Doubt)
    }
}

impl Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A change to be written: where, under which key, and the new value if there is one.
pub type Change = (Space, Bytes, Option<Bytes>);

/// The marked partitions. Shared by all arbiters; asked for each reply.
#[derive(Debug, Default)]
pub struct NeedsSync(ArcSwap<BTreeMap<Partition, Why>>);

impl NeedsSync {
    /// Reads the marks that a store keeps.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn open(engine: &dyn Engine) -> Result<NeedsSync, StorageError> {
        let stored = engine.scan(Space::Meta, PREFIX, None, MARKS_MAX)?;
        let mark = |(key, word): &(Bytes, Bytes)| Some((partition_of(key)?, Why::from_stored(word)));
        let marks: BTreeMap<Partition, Why> = stored.iter().filter_map(mark).collect();
        marks.iter().for_each(|(partition, why)| log::warn!("partition {partition} needs sync: {why}"));
        Ok(NeedsSync(ArcSwap::from_pointee(marks)))
    }

    /// Marks a partition from now on. The change is to be written.
    pub fn mark(&self, partition: Partition, why: Why) -> Change {
        self.change(|marks| marks.insert(partition, why));
        (Space::Meta, stored(partition), Some(Bytes::from_static(why.word().as_bytes())))
    }

    /// Takes the mark away: the partition has exchanged with all other owners. The change is to be written.
    pub fn clear(&self, partition: Partition) -> Change {
        self.change(|marks| marks.remove(&partition));
        (Space::Meta, stored(partition), None)
    }

    /// Whether a partition is marked.
    pub fn contains(&self, partition: Partition) -> bool {
        self.0.load().contains_key(&partition)
    }

    /// All marks.
    pub fn list(&self) -> Arc<BTreeMap<Partition, Why>> {
        self.0.load_full()
    }

    fn change<T>(&self, change: impl Fn(&mut BTreeMap<Partition, Why>) -> T) {
        self.0.rcu(|marks| {
            let mut marks = BTreeMap::clone(marks);
            change(&mut marks);
            marks
        });
    }
}

fn stored(partition: Partition) -> Bytes {
    [PREFIX, &partition.0.to_be_bytes()].concat().into()
}

fn partition_of(stored: &[u8]) -> Option<Partition> {
    let bytes = stored.strip_prefix(PREFIX)?.try_into().ok()?;
    Some(Partition(u16::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Batch;
    use crate::storage::memory::MemoryDisk;

    #[test]
    fn marks_outlive_a_start() {
        let engine = MemoryDisk::new().open();
        let needs_sync = NeedsSync::open(&engine).unwrap();
        let (first, last) = (Partition(0), Partition(u16::MAX));
        let changes =
            vec![needs_sync.mark(first, Why::Damage), needs_sync.mark(last, Why::Overflow), needs_sync.clear(first)];
        assert!(!needs_sync.contains(first) && needs_sync.contains(last));
        engine.apply(Batch { changes }).unwrap();

        let again = NeedsSync::open(&engine).unwrap();
        assert_eq!(*again.list(), BTreeMap::from([(last, Why::Overflow)]));
    }

    #[test]
    fn what_a_newer_version_wrote_is_a_mark() {
        let engine = MemoryDisk::new().open();
        let mut batch = Batch::default();
        batch.put(Space::Meta, stored(Partition(7)), &b"flood"[..]);
        batch.put(Space::Meta, &b"needs-sync/other"[..], &b"damage"[..]);
        engine.apply(batch).unwrap();
        assert_eq!(*NeedsSync::open(&engine).unwrap().list(), BTreeMap::from([(Partition(7), Why::Doubt)]));
    }
}
