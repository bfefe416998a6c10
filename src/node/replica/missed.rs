//! What could not be kept for others.
//!
//! When the budget for hints is used up, a copy for an owner that is down is refused. The write may succeed without it, and then that
//! owner misses it and nobody holds it for him. So it is noted, durably, of which partition that was, and the owner is told when it is
//! back: the partition needs sync there, and is the first that it exchanges with the others.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use bytes::{BufMut, Bytes, BytesMut};

use super::needs_sync::{Change, Why};
use super::{Replica, ReplicaReply, Turn};
use crate::core::id::{Partition, StoreId};
use crate::storage::{Engine, Space, StorageError};
use crate::wire::message::ReplicaError;

/// What every note's key begins with; the target follows in sixteen bytes, the partition in two.
const PREFIX: &[u8] = b"missed/";
/// Notes read at once.
const SCAN: usize = 1024;

/// By target and partition, how often something was refused in this start. Shared by all arbiters.
#[derive(Debug, Default)]
pub struct Missed(Mutex<BTreeMap<StoreId, BTreeMap<Partition, u64>>>);

impl Missed {
    /// Reads the notes that a store keeps.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn open(engine: &dyn Engine) -> Result<Missed, StorageError> {
        let missed = Missed::default();
        let mut after = None;
        loop {
            let notes = engine.scan(Space::Meta, PREFIX, after.as_deref(), SCAN)?;
            for (target, partition) in notes.iter().filter_map(|(key, _)| parse(key)) {
                missed.lock().entry(target).or_default().insert(partition, 0);
            }
            match notes.last() {
                Some((last, _)) if notes.len() == SCAN => after = Some(last.clone()),
                _ => return Ok(missed),
            }
        }
    }

    /// Who is to be told, and of how many partitions.
    pub fn targets(&self) -> BTreeMap<StoreId, u32> {
        self.lock().iter().map(|(target, partitions)| (*target, partitions.len() as u32)).collect()
    }

    /// What a target is to be told; each with the count that says what it was told of.
    pub fn of(&self, target: StoreId) -> Vec<(Partition, u64)> {
        self.lock().get(&target).into_iter().flatten().map(|(partition, count)| (*partition, *count)).collect()
    }

    /// One more was refused. The change is to be written, if there is one.
    fn note(&self, target: StoreId, partition: Partition) -> Option<Change> {
        let mut notes = self.lock();
        let partitions = notes.entry(target).or_default();
        let is_new = !partitions.contains_key(&partition);
        *partitions.entry(partition).or_default() += 1;
        is_new.then(|| (Space::Meta, stored(target, partition), Some(Bytes::new())))
    }

    /// The target knows, and nothing was refused since it was told. The change is to be written, if there is one.
    fn told(&self, target: StoreId, partition: Partition, count: u64) -> Option<Change> {
        let mut notes = self.lock();
        let partitions = notes.get_mut(&target)?;
        if partitions.get(&partition) != Some(&count) {
            return None;
        }
        partitions.remove(&partition);
        if partitions.is_empty() {
            notes.remove(&target);
        }
        Some((Space::Meta, stored(target, partition), None))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StoreId, BTreeMap<Partition, u64>>> {
        self.0.lock().expect("no panic while notes are made")
    }
}

fn stored(target: StoreId, partition: Partition) -> Bytes {
    let mut key = BytesMut::from(PREFIX);
    key.put_u128(target.0);
    key.put_u16(partition.0);
    key.freeze()
}

fn parse(key: &[u8]) -> Option<(StoreId, Partition)> {
    let (target, partition) = key.strip_prefix(PREFIX)?.split_first_chunk()?;
    Some((StoreId(u128::from_be_bytes(*target)), Partition(u16::from_be_bytes(partition.try_into().ok()?))))
}

impl Replica {
    /// A copy for `target` was refused.
    pub(super) fn note_missed(&mut self, turn: &mut Turn, target: StoreId, partition: Partition) {
        turn.batch.changes.extend(self.parts.missed.note(target, partition));
    }

    /// The target of refused copies knows that it has to look for them.
    pub(super) fn told_missed(&mut self, turn: &mut Turn, target: StoreId, partition: Partition, count: u64) {
        turn.batch.changes.extend(self.parts.missed.told(target, partition, count));
    }

    /// Somebody could not keep a copy for this store.
    pub(super) fn missed(&mut self, turn: &mut Turn, id: u64, partition: Partition) -> Result<(), ReplicaError> {
        self.check_gate()?;
        let is_owner = self.parts.ring.load().ring.owns(self.parts.store, partition, u8::MAX);
        let told = ReplicaReply::Stored { id, leased: false, result: Ok(()) };
        if is_owner {
            turn.batch.changes.push(self.parts.needs_sync.mark(partition, Why::Overflow));
            turn.later.push((turn.ticket, told));
        } else {
            turn.now.push(told);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Batch;
    use crate::storage::memory::MemoryDisk;

    const TARGET: StoreId = StoreId(7);

    #[test]
    fn a_note_outlives_a_start_until_the_target_was_told() {
        let engine = MemoryDisk::new().open();
        let missed = Missed::open(&engine).unwrap();
        let changes: Vec<Change> = [3, 3, 4].iter().filter_map(|p| missed.note(TARGET, Partition(*p))).collect();
        assert_eq!(changes.len(), 2, "one for each partition");
        engine.apply(Batch { changes }).unwrap();
        assert_eq!(missed.of(TARGET), [(Partition(3), 2), (Partition(4), 1)]);

        let again = Missed::open(&engine).unwrap();
        assert_eq!(again.targets(), BTreeMap::from([(TARGET, 2)]));
        assert!(again.note(TARGET, Partition(3)).is_none());
        assert!(again.told(TARGET, Partition(3), 0).is_none(), "one more was refused meanwhile");
        let changes = vec![again.told(TARGET, Partition(3), 1).unwrap(), again.told(TARGET, Partition(4), 0).unwrap()];
        engine.apply(Batch { changes }).unwrap();
        assert!(again.targets().is_empty());
        assert!(Missed::open(&engine).unwrap().targets().is_empty());
    }
}
