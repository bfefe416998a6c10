//! Partitions of which this store may miss something.
//!
//! What a store has lost (to damage, to a full hint budget, to a restored backup) it does not know by itself: it would answer *not
//! found* in good faith. So a partition in doubt is marked. Until it has exchanged with all other owners the store counts in no pr and
//! pw for it, and nobody copies it from here. It goes on serving sloppy requests, and every merge makes it better.
//!
//! Each mark has a number, so that an exchange that began before the mark was set again does not take it away.
//!
//! The marks are kept in memory for all arbiters and beside the data for the next start. Whoever sets or takes away one writes the
//! change that [`NeedsSync::mark`] and [`NeedsSync::clear`] return with its next batch. A mark that a power loss took away is one whose
//! cause must be found again; one that came back is one exchange too many.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::core::id::Partition;
use crate::core::repair::Mark;
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

/// A mark as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marked {
    /// Why the partition is in doubt.
    pub why: Why,
    /// Tells the mark from those before and after it.
    pub number: Mark,
}

/// The marked partitions. Shared by all arbiters; asked for each reply.
#[derive(Debug, Default)]
pub struct NeedsSync {
    marks: ArcSwap<BTreeMap<Partition, Marked>>,
    last: AtomicU64,
}

impl NeedsSync {
    /// Reads the marks that a store keeps.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn open(engine: &dyn Engine) -> Result<NeedsSync, StorageError> {
        let stored = engine.scan(Space::Meta, PREFIX, None, MARKS_MAX)?;
        let needs_sync = NeedsSync::default();
        for (key, word) in &stored {
            if let Some(partition) = partition_of(key) {
                let why = Why::from_stored(word);
                log::warn!("partition {partition} needs sync: {why}");
                // It is written already.
                let _ = needs_sync.mark(partition, why);
            }
        }
        Ok(needs_sync)
    }

    /// Marks a partition from now on. The change is to be written.
    pub fn mark(&self, partition: Partition, why: Why) -> Change {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.change(|marks| {
            marks.insert(partition, Marked { why, number });
        });
        (Space::Meta, stored(partition), Some(Bytes::from_static(why.word().as_bytes())))
    }

    /// Takes this mark away, if the partition was not marked again since: it has exchanged with all other owners. The change is to be
    /// written.
    pub fn clear(&self, partition: Partition, number: Mark) -> Option<Change> {
        let is_this = |marks: &BTreeMap<Partition, Marked>| marks.get(&partition).is_some_and(|m| m.number == number);
        let before = self.change(|marks| {
            if is_this(marks) {
                marks.remove(&partition);
            }
        });
        is_this(&before).then(|| (Space::Meta, stored(partition), None))
    }

    /// Whether a partition is marked.
    pub fn contains(&self, partition: Partition) -> bool {
        self.marks.load().contains_key(&partition)
    }

    /// All marks.
    pub fn list(&self) -> Arc<BTreeMap<Partition, Marked>> {
        self.marks.load_full()
    }

    /// Returns the marks before the change.
    fn change(&self, change: impl Fn(&mut BTreeMap<Partition, Marked>)) -> Arc<BTreeMap<Partition, Marked>> {
        self.marks.rcu(|marks| {
            let mut marks = BTreeMap::clone(marks);
            change(&mut marks);
            marks
        })
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
        let mut changes = vec![needs_sync.mark(first, Why::Damage), needs_sync.mark(last, Why::Overflow)];
        let number = needs_sync.list()[&first].number;
        changes.extend(needs_sync.clear(first, number));
        assert!(!needs_sync.contains(first) && needs_sync.contains(last));
        engine.apply(Batch { changes }).unwrap();

        let again = NeedsSync::open(&engine).unwrap();
        let marked: Vec<(Partition, Why)> =
            again.list().iter().map(|(partition, mark)| (*partition, mark.why)).collect();
        assert_eq!(marked, [(last, Why::Overflow)]);
    }

    #[test]
    fn a_mark_that_was_set_again_stays() {
        let (needs_sync, partition) = (NeedsSync::default(), Partition(3));
        let _ = needs_sync.mark(partition, Why::Damage);
        let first = needs_sync.list()[&partition].number;
        let _ = needs_sync.mark(partition, Why::Doubt);
        assert_eq!(needs_sync.clear(partition, first), None);
        assert!(needs_sync.contains(partition));
        assert!(needs_sync.clear(partition, needs_sync.list()[&partition].number).is_some());
        assert!(!needs_sync.contains(partition));
    }

    #[test]
    fn what_a_newer_version_wrote_is_a_mark() {
        let engine = MemoryDisk::new().open();
        let mut batch = Batch::default();
        batch.put(Space::Meta, stored(Partition(7)), &b"flood"[..]);
        batch.put(Space::Meta, &b"needs-sync/other"[..], &b"damage"[..]);
        engine.apply(batch).unwrap();
        let marks = NeedsSync::open(&engine).unwrap().list();
        assert_eq!(marks.iter().map(|(p, mark)| (*p, mark.why)).collect::<Vec<_>>(), [(Partition(7), Why::Doubt)]);
    }
}
