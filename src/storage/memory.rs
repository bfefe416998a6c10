//! An engine that lives in memory and can lose power.
//!
//! A [`MemoryDisk`] outlives the engines opened on it, as a disk outlives processes. It keeps one live state and, for each
//! batch that no sync covers yet, what the batch overwrote. A sync forgets those records; a power loss undoes them from the
//! newest backwards and stops at a random point, because a disk may have written more than it was asked to. Batches are
//! never torn: an engine with a checksummed journal discards a torn batch, so a torn one counts as lost.
//!
//! Everything is deterministic: the only chance is the generator handed in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;

use super::{Batch, Engine, Space, StorageError, key_range};

type Spaces = [BTreeMap<Bytes, Bytes>; Space::ALL.len()];

/// What a batch overwrote, in the order in which it did.
type Undo = Vec<(Space, Bytes, Option<Bytes>)>;

/// The bytes of a store. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

/// What a disk held for good at one moment, to go back to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot(Spaces);

#[derive(Default)]
struct State {
    live: Spaces,
    /// One record for each batch that was applied since the last sync, oldest first.
    unsynced: Vec<Undo>,
    /// Which of the engines that were ever opened may still work.
    opened: u64,
    poisoned: bool,
    next_sync_fails: bool,
    full: bool,
    sync_latency: Duration,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// Opens the engine. One that was opened before is closed, and what it left is durable, as [`Engine`] asks.
    pub fn open(&self) -> MemoryEngine {
        let mut state = self.state();
        state.close();
        state.unsynced.clear();
        state.poisoned = false;
        MemoryEngine { disk: self.clone(), opened: state.opened }
    }

    /// The process is killed; the operating system lives on and writes out what was applied. Older engines only
    /// answer [`StorageError::Closed`].
    pub fn crash(&self) {
        self.state().close();
    }

    /// The machine loses power: batches that no sync covered are lost, but for a random number of the first ones.
    /// Older engines only answer [`StorageError::Closed`].
    pub fn power_loss(&self, random: &mut impl Rng) {
        let mut state = self.state();
        state.close();
        let kept = random.random_range(0..=state.unsynced.len());
        for undo in state.unsynced.split_off(kept).into_iter().rev() {
            undo_batch(&mut state.live, undo);
        }
        state.unsynced.clear();
    }

    /// The disk is replaced by an empty one; its faults stay. Older engines only answer [`StorageError::Closed`].
    pub fn wipe(&self) {
        self.restore(&Snapshot(Spaces::default()));
    }

    /// A copy of what is durable now.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state();
        let mut durable = state.live.clone();
        for undo in state.unsynced.iter().rev() {
            undo_batch(&mut durable, undo.clone());
        }
        Snapshot(durable)
    }

    /// Rolls the disk back to a snapshot. Older engines only answer [`StorageError::Closed`].
    pub fn restore(&self, snapshot: &Snapshot) {
        let mut state = self.state();
        state.close();
        state.live = snapshot.0.clone();
        state.unsynced.clear();
    }

    /// The next sync fails and poisons its engine.
    pub fn fail_next_sync(&self) {
        self.state().next_sync_fails = true;
    }

    /// Takes every planted fault back.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.next_sync_fails, state.full, state.sync_latency) = (false, false, Duration::ZERO);
    }

    /// Whether every batch finds the disk full.
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// How long a sync is to take from now on. The engine itself never waits: whoever calls it under simulated time does.
    pub fn set_sync_latency(&self, latency: Duration) {
        self.state().sync_latency = latency;
    }

    /// How long a sync is to take.
    pub fn sync_latency(&self) -> Duration {
        self.state().sync_latency
    }

    /// How many batches a power loss may take.
    pub fn unsynced_batches(&self) -> usize {
        self.state().unsynced.len()
    }

    /// No call panics between two changes of the state, so a lock left by a panicking test holds a whole one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self) {
        self.opened += 1;
    }
}

fn undo_batch(spaces: &mut Spaces, undo: Undo) {
    for (space, key, value) in undo.into_iter().rev() {
        change(spaces, space, key, value);
    }
}

/// Makes one change; answers what was there before.
fn change(spaces: &mut Spaces, space: Space, key: Bytes, value: Option<Bytes>) -> Option<Bytes> {
    match value {
        Some(value) => spaces[space as usize].insert(key, value),
        None => spaces[space as usize].remove(&key),
    }
}

/// A process's handle on a [`MemoryDisk`]. It ends with a crash, a power loss, or the next opening.
pub struct MemoryEngine {
    disk: MemoryDisk,
    opened: u64,
}

impl MemoryEngine {
    fn state(&self) -> Result<MutexGuard<'_, State>, StorageError> {
        let state = self.disk.state();
        if state.opened == self.opened { Ok(state) } else { Err(StorageError::Closed) }
    }

    fn writable(&self) -> Result<MutexGuard<'_, State>, StorageError> {
        let state = self.state()?;
        if state.poisoned {
            return Err(StorageError::Poisoned { cause: "a planted fault of the disk".into() });
        }
        Ok(state)
    }
}

impl Engine for MemoryEngine {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.state()?.live[space as usize].get(key).cloned())
    }

    fn apply(&self, batch: Batch) -> Result<(), StorageError> {
        batch.check()?;
        let mut state = self.writable()?;
        if state.full {
            return Err(StorageError::DiskFull { path: PathBuf::from("memory"), bytes_free: 0 });
        }
        let undo = batch
            .changes
            .into_iter()
            .map(|(space, key, value)| (space, key.clone(), change(&mut state.live, space, key, value)))
            .collect();
        state.unsynced.push(undo);
        Ok(())
    }

    fn sync(&self) -> Result<(), StorageError> {
        let mut state = self.writable()?;
        if std::mem::take(&mut state.next_sync_fails) {
            state.poisoned = true;
            drop(state);
            return self.writable().map(drop);
        }
        state.unsynced.clear();
        Ok(())
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        let state = self.state()?;
        let Some((start, end)) = key_range(prefix, after) else { return Ok(Vec::new()) };
        let range = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        let entries = state.live[space as usize].range::<[u8], _>(range);
        Ok(entries.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn disk_bytes(&self) -> u64 {
        let state = self.disk.state();
        state.live.iter().flatten().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}

#[cfg(test)]
mod tests;
