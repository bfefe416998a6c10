//! From a path to an engine, and back to a closed directory.

use std::path::Path;
use std::sync::Arc;

use super::directory::{DataDir, Expected};
use super::fjall::{FjallEngine, Settings};
use super::{Engine, StorageError};

/// A durable store that this process holds.
pub struct OpenStore {
    /// The engine. All other handles on it must be gone when the store is closed.
    pub engine: Arc<dyn Engine>,
    /// Whose bytes these are.
    pub directory: DataDir,
    /// Bytes of journal that recovery dropped: a write that was under way when power failed, or damage. If not zero, the
    /// store may have forgotten what it acknowledged and must not be trusted alone.
    pub discarded_bytes: u64,
}

/// Opens the data directory at `path` and the fjall engine in it.
pub fn open(path: &Path, expected: &Expected, settings: &Settings) -> Result<OpenStore, StorageError> {
    let mut directory = DataDir::open(path, expected)?;
    let engine = directory.open_engine(|path| FjallEngine::open(path, settings))?;
    let discarded_bytes = engine.discarded_bytes();
    Ok(OpenStore { engine: Arc::new(engine), directory, discarded_bytes })
}

impl OpenStore {
    /// An orderly stop: syncs, closes the engine, and marks the directory as cleanly closed. While another handle on the
    /// engine lives the marker would not stay true, so then it is left out, and the next start is like one after a crash.
    pub fn close(self) -> Result<(), StorageError> {
        self.engine.sync()?;
        match Arc::strong_count(&self.engine) {
            1 => {
                drop(self.engine);
                self.directory.close()
            }
            handles => {
                log::warn!(
                    "{} is not marked clean: {handles} handles on its engine are open",
                    self.directory.path().display()
                );
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::{NodeId, StoreId};
    use crate::storage::{Batch, Space};

    fn open_at(path: &Path) -> Result<OpenStore, StorageError> {
        let expected = Expected {
            cluster: "demo".into(),
            node: NodeId(1),
            store: StoreId(1),
            engine: super::super::fjall::NAME.into(),
        };
        open(path, &expected, &Settings { reserve_bytes: 0, ..Settings::default() })
    }

    fn write(store: &OpenStore, key: u64) {
        let mut batch = Batch::default();
        batch.put(Space::Objects, key.to_be_bytes().to_vec(), vec![1; 100]);
        store.engine.apply(batch).unwrap();
    }

    #[test]
    fn an_orderly_stop_is_clean_and_keeps_everything() {
        let dir = tempfile::tempdir().unwrap();
        for start in 1..5 {
            let store = open_at(dir.path()).unwrap();
            let seen = (store.directory.start(), store.directory.was_clean(), store.discarded_bytes);
            assert_eq!(seen, (start, start > 1, 0));
            assert_eq!(store.engine.scan(Space::Objects, b"", None, 10).unwrap().len() as u64, start - 1);
            write(&store, start);
            store.close().unwrap();
        }
    }

    #[test]
    fn a_stop_with_an_open_handle_is_not_clean() {
        let dir = tempfile::tempdir().unwrap();
        let store = open_at(dir.path()).unwrap();
        let handle = store.engine.clone();
        store.close().unwrap();
        drop(handle);
        assert!(!open_at(dir.path()).unwrap().directory.was_clean());
    }

    /// Cut between two batches a journal looks whole, but not to one who knows how long it was.
    #[test]
    fn a_journal_cut_after_an_orderly_stop_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = open_at(dir.path()).unwrap();
        write(&store, 1);
        store.close().unwrap();
        let journal = std::fs::OpenOptions::new().write(true).open(dir.path().join("engine/0.jnl")).unwrap();
        journal.set_len(0).unwrap();
        assert!(matches!(open_at(dir.path()).err().unwrap(), StorageError::Corrupt { .. }));
    }
}
