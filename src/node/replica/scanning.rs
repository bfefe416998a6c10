//! A range of keys, for a listing.
//!
//! The engine is read in steps, because it counts entries and knows nothing of their size: the next step is as long as what is
//! left of the page's bytes allows, going by the average so far. Only the Replica's own writes change the engine meanwhile, and
//! of keys in flight it is `pending` that counts; so the steps together show one moment.

use bytes::Bytes;

use super::messages::ReplicaReply;
use super::storing::{malformed, unreadable};
use super::{Replica, Turn};
use crate::core::id::Partition;
use crate::core::key::Key;
use crate::core::listing::{PAGE_BYTES_MAX, PAGE_KEYS_MAX, outline};
use crate::core::version::{Object, Record};
use crate::node::env::Moment;
use crate::storage::Space;
use crate::wire::list::{Scan, Scanned, ScannedKey};
use crate::wire::message::{self, ReplicaError};

/// Entries of the first step: few, since they may be large.
const FIRST_STEP: usize = 8;

impl Replica {
    pub(super) fn scan(&mut self, turn: &mut Turn, id: u64, scan: &Scan, expires: Moment) -> Result<(), ReplicaError> {
        self.check_time(expires)?;
        self.check_owner(scan.partition)?;
        let scanned = self.scanned(scan)?;
        turn.now.push(ReplicaReply::Scanned { id, scanned });
        Ok(())
    }

    /// A store that is not read from for the partition may hold nothing of it, or some: its page would be a gap that nobody sees.
    pub(super) fn check_owner(&self, partition: Partition) -> Result<(), ReplicaError> {
        let view = self.parts.ring.load();
        let ring = &view.ring;
        let is_known = u32::from(partition.0) < ring.partitions();
        if is_known && ring.owners(partition).any(|owner| owner.store == self.parts.store) {
            return Ok(());
        }
        Err(ReplicaError::Moved(ring.epoch))
    }

    fn scanned(&self, scan: &Scan) -> Result<Scanned, ReplicaError> {
        let stored = |name: &Bytes| Key::new(scan.bucket.clone(), name.clone()).stored(scan.partition);
        let prefix = stored(&scan.prefix);
        let name_at = prefix.len() - scan.prefix.len();
        let mut page = Page::new(scan);
        let mut after = scan.after.as_ref().map(stored);
        loop {
            let step = page.step();
            let found = self.parts.engine.scan(Space::Objects, &prefix, after.as_deref(), step).map_err(unreadable)?;
            let until = found.last().filter(|_| found.len() == step).map(|(key, _)| key.clone());
            let durable = self.pending.durable_among(found, &prefix, after.as_deref(), until.as_deref());
            for (key, record) in durable {
                if page.is_full() {
                    return Ok(page.end());
                }
                page.add(key.slice(name_at..), record)?;
            }
            match until {
                None => return Ok(Scanned { entries: page.entries, end: None }),
                Some(_) if page.is_full() => return Ok(page.end()),
                until => after = until,
            }
        }
    }
}

/// A page that fills.
struct Page {
    entries: Vec<ScannedKey>,
    values: bool,
    keys_max: usize,
    /// Keys looked at, the last of them, and the bytes of their records.
    keys: usize,
    last: Option<Bytes>,
    bytes: usize,
}

impl Page {
    fn new(scan: &Scan) -> Page {
        let keys_max = scan.keys_max.clamp(1, PAGE_KEYS_MAX) as usize;
        Page { entries: vec![], values: scan.values, keys_max, keys: 0, last: None, bytes: 0 }
    }

    fn is_full(&self) -> bool {
        self.keys >= self.keys_max || self.bytes >= PAGE_BYTES_MAX
    }

    /// How many entries to read next.
    fn step(&self) -> usize {
        let keys_left = (self.keys_max - self.keys).max(1);
        if self.keys == 0 {
            return FIRST_STEP.min(keys_left);
        }
        let average = (self.bytes / self.keys).max(1);
        (PAGE_BYTES_MAX.saturating_sub(self.bytes) / average).clamp(1, keys_left)
    }

    fn add(&mut self, name: Bytes, record: Bytes) -> Result<(), ReplicaError> {
        self.keys += 1;
        self.bytes += name.len() + record.len();
        let (_, mut object) = Record::split(&record).map_err(malformed)?;
        if !self.values {
            object = outline(Object::decode(&object).map_err(malformed)?).encode();
        }
        self.entries.push(ScannedKey { name: name.clone(), object: message::Object(object) });
        self.last = Some(name);
        Ok(())
    }

    fn end(self) -> Scanned {
        Scanned { entries: self.entries, end: self.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys_max: u32) -> Page {
        let (bucket, prefix) = (Bytes::from_static(b"b"), Bytes::new());
        Page::new(&Scan { partition: Partition(0), bucket, prefix, after: None, keys_max, values: true })
    }

    /// A record of so many bytes.
    fn record(bytes: usize) -> Bytes {
        vec![0; bytes].into()
    }

    #[test]
    fn steps_follow_the_size_of_what_was_read() {
        let mut small = page(1000);
        assert_eq!(small.step(), FIRST_STEP);
        (0..8).for_each(|_| small.add(Bytes::from_static(b"k"), record(99)).unwrap());
        assert_eq!(small.step(), 992);
        let mut large = page(1000);
        large.add(Bytes::from_static(b"k"), record(PAGE_BYTES_MAX / 4)).unwrap();
        assert_eq!(large.step(), 2, "a fourth would pass the limit");
        assert_eq!(page(3).step(), 3);
    }

    #[test]
    fn a_page_ends_with_what_fills_it() {
        let mut by_bytes = page(1000);
        by_bytes.add(Bytes::from_static(b"a"), record(PAGE_BYTES_MAX * 3)).unwrap();
        assert!(by_bytes.is_full());
        let mut by_keys = page(2);
        by_keys.add(Bytes::from_static(b"a"), record(9)).unwrap();
        assert!(!by_keys.is_full());
        by_keys.add(Bytes::from_static(b"b"), record(9)).unwrap();
        assert!(by_keys.is_full());
        let scanned = by_keys.end();
        assert_eq!((scanned.entries.len(), scanned.end), (2, Some(Bytes::from_static(b"b"))));
        assert!(!page(0).is_full(), "a page has room for a key at least");
    }
}
