//! Durable records that were read or written lately, so that a busy key is not searched for in the engine again and again.
//!
//! Two generations bound it without a list to keep in order: what is used enters the young one; when that holds half of the
//! limit it becomes the old one, and what was old and not used since is forgotten. Only the Replica writes its keys, so
//! what is here is what the engine holds, as long as every flushed record is noted and nothing is kept over a failed write.

use std::collections::HashMap;

use bytes::Bytes;

use super::pending::Stored;

/// Bytes that an entry costs beside its key and its record, roughly.
const OVERHEAD: usize = 128;

/// Some of the engine's records, by stored key.
pub struct Recent {
    bytes_max: usize,
    young: HashMap<Bytes, Stored>,
    young_bytes: usize,
    old: HashMap<Bytes, Stored>,
}

impl Recent {
    /// Holds at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Recent {
        Recent { bytes_max, young: HashMap::new(), young_bytes: 0, old: HashMap::new() }
    }

    /// What the engine holds under `key`, from memory or by `read`.
    pub fn get<E>(&mut self, key: &Bytes, read: impl FnOnce() -> Result<Stored, E>) -> Result<Stored, E> {
        if let Some(record) = self.young.get(key) {
            return Ok(record.clone());
        }
        let record = match self.old.remove(key) {
            Some(record) => record,
            // A copy: the engine's may be a slice of a whole block, and would keep that in memory.
            None => read()?.map(|record| Bytes::copy_from_slice(&record)),
        };
        self.put(key.clone(), record.clone());
        Ok(record)
    }

    /// What is remembered of `key` may not be what the engine holds.
    pub fn forget(&mut self, key: &Bytes) {
        self.old.remove(key);
        if let Some(record) = self.young.remove(key) {
            self.young_bytes -= OVERHEAD + key.len() + record.as_ref().map_or(0, Bytes::len);
        }
    }

    /// The engine now holds `record` under `key`.
    pub fn put(&mut self, key: Bytes, record: Stored) {
        let key_bytes = key.len();
        let weight = |record: &Stored| OVERHEAD + key_bytes + record.as_ref().map_or(0, Bytes::len);
        let added = weight(&record);
        if self.young_bytes + added > self.bytes_max / 2 {
            (self.old, self.young_bytes) = (std::mem::take(&mut self.young), 0);
        }
        self.old.remove(&key);
        if added > self.bytes_max / 2 {
            return;
        }
        self.young_bytes += added;
        if let Some(before) = self.young.insert(key, record) {
            self.young_bytes -= weight(&before);
        }
    }

    /// What the engine holds is not known any more.
    pub fn clear(&mut self) {
        *self = Recent::new(self.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(i: usize) -> Bytes {
        Bytes::from(format!("key{i:05}"))
    }

    fn read(recent: &mut Recent, i: usize) -> Option<Stored> {
        recent.get(&key(i), || Err(())).ok()
    }

    #[test]
    fn remembers_what_was_read_and_what_was_written_over_it() {
        let mut recent = Recent::new(10_000);
        assert_eq!(recent.get::<()>(&key(1), || Ok(None)), Ok(None));
        assert_eq!(read(&mut recent, 1), Some(None));
        recent.put(key(1), Some(Bytes::from_static(b"one")));
        assert_eq!(read(&mut recent, 1), Some(Some(Bytes::from_static(b"one"))));
        recent.clear();
        assert_eq!(read(&mut recent, 1), None);
    }

    #[test]
    fn stays_within_its_bytes_and_keeps_what_is_used() {
        let mut recent = Recent::new(100 * (OVERHEAD + 18));
        let record = Some(Bytes::from_static(b"0123456789"));
        for i in 0..1000 {
            recent.put(key(i), record.clone());
            assert_eq!(read(&mut recent, 0), Some(record.clone()), "used all the time");
            assert!(recent.young.len() + recent.old.len() <= 100);
        }
        assert_eq!(read(&mut recent, 999), Some(record));
        assert_eq!(read(&mut recent, 500), None);
    }

    #[test]
    fn a_record_too_large_for_it_is_not_remembered_nor_the_one_before() {
        let mut recent = Recent::new(1000);
        recent.put(key(1), Some(Bytes::from_static(b"small")));
        recent.put(key(1), Some(Bytes::from(vec![0; 2000])));
        assert_eq!(read(&mut recent, 1), None);
        assert_eq!(recent.young_bytes, 0);
    }
}
