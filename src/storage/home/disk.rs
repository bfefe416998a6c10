//! A data directory, and the fjall engine in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FreeSpace, Home, Identity, Joined, release};
use crate::core::id::{NodeId, StoreId};
use crate::storage::directory::{DataDir, Expected};
use crate::storage::fjall::{self, FjallEngine, Settings};
use crate::storage::{Engine, StorageError, disk};

/// Memory for pages of the coordination service's database. What is read often is in that service's own memory.
const DATABASE_CACHE_BYTES: usize = 8 << 20;

/// A home on a real disk.
pub struct DiskHome {
    directory: DataDir,
    settings: Settings,
    /// Once it was opened.
    engine: Option<Arc<dyn Engine>>,
}

impl DiskHome {
    /// Opens the data directory at `path` for node `node` of the cluster named `cluster`, as far as these are known yet. A new
    /// directory gets the store id `fresh`, which must be drawn at random.
    ///
    /// # Errors
    /// [`StorageError`] if the directory is held, damaged, of another format, or not this node's; it is left as it was.
    pub fn open(
        path: &Path,
        cluster: Option<String>,
        node: Option<NodeId>,
        settings: Settings,
        fresh: StoreId,
    ) -> Result<DiskHome, StorageError> {
        let expected = Expected { cluster, node, engine: fjall::NAME.into() };
        let directory = DataDir::open(path, &expected, fresh)?;
        if !directory.was_clean() && directory.identity().start > 1 {
            log::info!("the last stop was not orderly; recovering from the journal");
        }
        Ok(DiskHome { directory, settings, engine: None })
    }

    /// Where the coordination service's file is, for who works on it while no node runs.
    pub fn coordination_file(&self) -> PathBuf {
        self.directory.coordination_file()
    }
}

impl Home for DiskHome {
    fn identity(&self) -> &Identity {
        self.directory.identity()
    }

    fn was_clean(&self) -> bool {
        self.directory.was_clean()
    }

    fn adopt(&mut self, joined: Joined, store: StoreId) -> Result<(), StorageError> {
        self.directory.adopt(joined, store)
    }

    fn set_generation(&mut self, generation: u32) -> Result<(), StorageError> {
        self.directory.set_generation(generation)
    }

    fn withdraw_start(&mut self) -> Result<(), StorageError> {
        self.directory.withdraw_start()
    }

    fn set_aside(&mut self, fresh: StoreId) -> Result<(), StorageError> {
        release(&mut self.engine)
            .map_err(|handles| StorageError::StillOpen { path: self.directory.path().into(), handles })?;
        self.directory.set_aside(fresh)
    }

    fn open_engine(&mut self) -> Result<Arc<dyn Engine>, StorageError> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let engine = self.directory.open_engine(|path| FjallEngine::open(path, &self.settings))?;
        if engine.discarded_bytes() > 0 {
            log::warn!(
                "recovery dropped {} bytes of journal that no sync had confirmed, or that are damaged",
                engine.discarded_bytes()
            );
        }
        Ok(self.engine.insert(Arc::new(engine)).clone())
    }

    fn free_space(&self) -> FreeSpace {
        let path = self.directory.path().to_path_buf();
        Box::new(move || disk::free_bytes(&path).ok())
    }

    fn open_coordination(&mut self) -> Result<redb::Database, StorageError> {
        self.directory
            .open_coordination(|path| open_database(path).map_err(|error| StorageError::database(path, error)))
    }

    fn drop_coordination(&mut self) -> Result<(), StorageError> {
        self.directory.drop_coordination()
    }

    fn save_ring(&self, ring: &[u8]) -> Result<(), StorageError> {
        self.directory.save_ring(ring)
    }

    fn load_ring(&self) -> Option<Vec<u8>> {
        self.directory.load_ring()
    }

    /// Syncs, closes the engine, and marks the directory as cleanly closed. While another handle on the engine lives the
    /// marker would not stay true, so then it is left out, and the next start is like one after a crash.
    fn close(mut self: Box<Self>) -> Result<(), StorageError> {
        if let Some(engine) = &self.engine {
            engine.sync()?;
        }
        match release(&mut self.engine) {
            Ok(()) => self.directory.close(),
            Err(handles) => {
                let path = self.directory.path().display();
                log::warn!("{path} is not marked clean: {handles} handles on its engine are open");
                Ok(())
            }
        }
    }
}

/// Opens a database, or makes it. One that is there is read whole, so that damage shows now and not when a page is needed.
fn open_database(path: &Path) -> Result<redb::Database, redb::DatabaseError> {
    let mut builder = redb::Database::builder();
    builder.set_cache_size(DATABASE_CACHE_BYTES).set_check_integrity_on_open(true);
    if path.exists() { builder.open(path) } else { builder.create(path) }
}
