//! Finding what is due: in the queue of what fades, and by a slow look through all keys for contexts to prune.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::core::id::Partition;
use crate::core::reap::{Candidate, queue};
use crate::core::version::Record;
use crate::storage::{Engine, Space, StorageError};

/// Records read at once. The engine reads them whatever their size.
const CHUNK: usize = 8;
/// Bytes that one look reads, and one chunk more.
const BYTES_MAX: usize = 1 << 20;
/// Keys remembered of each partition. What is more is found again.
const PRUNABLE_MAX: usize = 4096;

/// A page of a partition's queue.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// What is due, the oldest first.
    pub due: Vec<Candidate>,
    /// Keys of entries that no record bears out.
    pub stale: Vec<Bytes>,
    /// Where to go on; `None` at the end.
    pub next: Option<Bytes>,
}

/// What of a partition's queue, after `after`, has counted its grace since `until_ms` or longer.
pub(super) fn queued(
    engine: &dyn Engine,
    partition: Partition,
    until_ms: u64,
    after: Option<&Bytes>,
    limit: usize,
) -> Result<Page, StorageError> {
    let found = engine.scan(Space::Meta, &queue::of(partition), after.map(|after| &after[..]), limit)?;
    let mut page = Page::default();
    for (key, value) in &found {
        let Some(entry) = queue::Entry::decode(key, value) else { continue };
        if entry.since_ms > until_ms {
            return Ok(page);
        }
        // Both are written in one batch.
        let record = engine.get(Space::Objects, &entry.stored)?;
        if record.and_then(|record| queue::entry_of(&entry.stored, &record)).as_ref() == Some(&entry) {
            page.due.push(Candidate { stored: entry.stored, clock: entry.clock, prunes: false });
        } else {
            page.stale.push(key.clone());
        }
    }
    page.next = found.last().filter(|_| found.len() == limit).map(|(key, _)| key.clone());
    Ok(page)
}

/// Whether a partition's queue has anything that has counted its grace since `until_ms` or longer.
pub(super) fn is_any(engine: &dyn Engine, partition: Partition, until_ms: u64) -> Result<bool, StorageError> {
    let first = engine.scan(Space::Meta, &queue::of(partition), None, 1)?;
    let entry = first.first().and_then(|(key, value)| queue::Entry::decode(key, value));
    Ok(entry.is_some_and(|entry| entry.since_ms <= until_ms))
}

/// The look through all keys.
#[derive(Debug, Default)]
pub(super) struct Search {
    partition: u32,
    after: Option<Bytes>,
    prunable: BTreeMap<Partition, Vec<Candidate>>,
    entries_most: usize,
}

/// What a search looks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Contexts with so many idle entries or more,
    pub entries_min: usize,
    /// of versions held since then or longer.
    pub until_ms: u64,
}

impl Search {
    /// Reads on, about so many keys of the partitions that are `owned`. Answers, when it has come round, the entries of the largest
    /// context.
    pub fn look(
        &mut self,
        engine: &dyn Engine,
        partitions: u32,
        owned: impl Fn(Partition) -> bool,
        keys: usize,
        wanted: Wanted,
    ) -> Result<Option<usize>, StorageError> {
        let (mut seen, mut bytes) = (0, 0);
        while seen < keys && bytes < BYTES_MAX {
            if self.partition >= partitions {
                self.partition = 0;
                return Ok(Some(std::mem::take(&mut self.entries_most)));
            }
            let partition = Partition(self.partition as u16);
            let found = match owned(partition) {
                true => engine.scan(Space::Objects, &partition.0.to_be_bytes(), self.after.as_deref(), CHUNK)?,
                false => vec![],
            };
            for (stored, record) in &found {
                (seen, bytes) = (seen + 1, bytes + record.len());
                self.see(partition, stored, record, wanted);
            }
            match found.last() {
                Some((last, _)) if found.len() == CHUNK => self.after = Some(last.clone()),
                _ => (self.after, self.partition) = (None, self.partition + 1),
            }
        }
        Ok(None)
    }

    fn see(&mut self, partition: Partition, stored: &Bytes, record: &Bytes, wanted: Wanted) {
        // What cannot be read is the business of repair.
        let Ok(Record { since_ms, object, .. }) = Record::decode(record) else { return };
        self.entries_most = self.entries_most.max(object.context.entries());
        // What fades goes whole.
        if object.fades() || since_ms > wanted.until_ms || object.idle_entries() < wanted.entries_min {
            return;
        }
        let known = self.prunable.entry(partition).or_default();
        let candidate = Candidate { stored: stored.clone(), clock: object.clock(), prunes: true };
        if known.len() < PRUNABLE_MAX && !known.contains(&candidate) {
            known.push(candidate);
        }
    }

    /// Whether something was found in a partition.
    pub fn has(&self, partition: Partition) -> bool {
        self.prunable.contains_key(&partition)
    }

    /// Up to so many keys that were found in a partition. They are found again if nothing comes of it.
    pub fn take(&mut self, partition: Partition, limit: usize) -> Vec<Candidate> {
        let Some(known) = self.prunable.get_mut(&partition) else { return vec![] };
        let taken = known.drain(..known.len().min(limit)).collect();
        if known.is_empty() {
            self.prunable.remove(&partition);
        }
        taken
    }
}
