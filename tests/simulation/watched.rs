//! A disk that tells the history what it has for good.
//!
//! It wraps the memory engine and reads the records that a sync covered, so it says what is durable whatever the node above
//! believes: a replica that acknowledges too early is caught by its own disk.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kv::core::id::StoreId;
use kv::core::key::Key;
use kv::core::version::Record;
use kv::storage::{Batch, Engine, Space, StorageError};

use crate::recorder::Recorder;

/// The engine of one start of one store.
pub struct WatchedEngine {
    store: StoreId,
    engine: Arc<dyn Engine>,
    recorder: Arc<Recorder>,
    /// Records applied since the last sync.
    unsynced: Mutex<Vec<(Bytes, Bytes)>>,
}

impl WatchedEngine {
    /// Watches an engine that was just opened. What is in it now is durable.
    pub fn open(store: StoreId, engine: Arc<dyn Engine>, recorder: Arc<Recorder>) -> WatchedEngine {
        let held = engine.scan(Space::Objects, &[], None, usize::MAX).expect("an open engine");
        held.iter().for_each(|(key, record)| report(store, key, record, &recorder));
        WatchedEngine { store, engine, recorder, unsynced: Mutex::default() }
    }
}

fn report(store: StoreId, stored: &Bytes, record: &Bytes, recorder: &Recorder) {
    let (_, key) = Key::from_stored(stored).expect("a stored key");
    let record = Record::decode(record).expect("a stored record");
    recorder.durable(store, &key, &record.object);
}

impl Engine for WatchedEngine {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.engine.get(space, key)
    }

    fn apply(&self, batch: Batch) -> Result<(), StorageError> {
        let objects = batch.changes.iter().filter(|(space, ..)| *space == Space::Objects);
        let records: Vec<_> = objects.filter_map(|(_, key, record)| Some((key.clone(), record.clone()?))).collect();
        self.engine.apply(batch)?;
        self.unsynced.lock().unwrap().extend(records);
        Ok(())
    }

    fn sync(&self) -> Result<(), StorageError> {
        let records = std::mem::take(&mut *self.unsynced.lock().unwrap());
        self.engine.sync()?;
        records.iter().for_each(|(key, record)| report(self.store, key, record, &self.recorder));
        Ok(())
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        self.engine.scan(space, prefix, after, limit)
    }

    fn disk_bytes(&self) -> u64 {
        self.engine.disk_bytes()
    }
}
