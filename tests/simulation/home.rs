//! What a simulated machine keeps: a data directory whose engine tells the history what it has for good, and the coordination
//! service's file in it.

use std::path::Path;
use std::sync::Arc;

use kv::coordination::nookeeper::store::{FileCopy, SimulatedFile};
use kv::core::id::StoreId;
use kv::storage::home::memory::{DatabaseFile, MemoryDirectory, MemoryHome, Snapshot};
use kv::storage::home::{FreeSpace, Home, Identity, Joined};
use kv::storage::memory::MemoryDisk;
use kv::storage::{Engine, StorageError};
use rand::rngs::StdRng;

use crate::recorder::Recorder;
use crate::watched::WatchedEngine;

/// A disk with a data directory on it, and nothing else. Clones are the same.
#[derive(Clone)]
pub struct Drive {
    directory: MemoryDirectory,
    file: SimulatedFile,
}

/// A copy of all that was on a drive.
#[derive(Clone)]
pub struct Copy {
    directory: Snapshot,
    file: FileCopy,
}

/// The coordination service's file.
struct RaftFile(SimulatedFile);

impl DatabaseFile for RaftFile {
    fn open(&self) -> Result<redb::Database, StorageError> {
        self.0.open().map_err(|error| StorageError::database(Path::new("raft"), error))
    }

    fn remove(&self) {
        self.0.wipe();
    }
}

impl Drive {
    /// An empty one.
    pub fn new() -> Drive {
        let file = SimulatedFile::new();
        Drive { directory: MemoryDirectory::new(MemoryDisk::new(), Arc::new(RaftFile(file.clone()))), file }
    }

    /// Where the engine is.
    pub fn disk(&self) -> &MemoryDisk {
        self.directory.disk()
    }

    /// The store on it.
    pub fn store(&self) -> Option<StoreId> {
        self.directory.identity().map(|identity| identity.store)
    }

    /// How often that store was started.
    pub fn start(&self) -> u64 {
        self.directory.identity().map_or(0, |identity| identity.start)
    }

    /// The process that uses it is killed.
    pub fn crash(&self) {
        self.disk().crash();
        self.file.crash();
    }

    /// It loses power: of what was not synced, any part is lost, of the engine and of the coordination service.
    pub fn power_loss(&self, rng: &mut StdRng) {
        self.disk().power_loss(rng);
        self.file.power_loss(rng);
    }

    /// It is replaced by an empty one. No home may be open on it.
    pub fn wipe(&self) {
        self.directory.wipe();
    }

    /// What it holds for good. No home may be open on it.
    pub fn copy(&self) -> Copy {
        Copy { directory: self.directory.snapshot(), file: self.file.snapshot() }
    }

    /// It holds what was copied, and nothing else. No home may be open on it.
    pub fn restore(&self, copy: &Copy) {
        self.directory.restore(&copy.directory);
        self.file.restore(&copy.file);
    }

    /// Opens the directory as a process does; an empty one gets the store `fresh`.
    pub fn open(&self, fresh: StoreId, recorder: Arc<Recorder>) -> WatchedHome {
        WatchedHome { home: self.directory.open(fresh), engine: None, recorder }
    }
}

/// The home of one start of a store, with a watched engine.
pub struct WatchedHome {
    home: MemoryHome,
    /// Once it was opened.
    engine: Option<Arc<dyn Engine>>,
    recorder: Arc<Recorder>,
}

impl Home for WatchedHome {
    fn identity(&self) -> &Identity {
        self.home.identity()
    }

    fn was_clean(&self) -> bool {
        self.home.was_clean()
    }

    fn adopt(&mut self, joined: Joined, store: StoreId) -> Result<(), StorageError> {
        self.home.adopt(joined, store)
    }

    fn set_generation(&mut self, generation: u32) -> Result<(), StorageError> {
        self.home.set_generation(generation)
    }

    fn withdraw_start(&mut self) -> Result<(), StorageError> {
        self.home.withdraw_start()
    }

    fn set_aside(&mut self, fresh: StoreId) -> Result<(), StorageError> {
        self.engine = None;
        self.home.set_aside(fresh)
    }

    fn open_engine(&mut self) -> Result<Arc<dyn Engine>, StorageError> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let engine = WatchedEngine::open(self.identity().store, self.home.open_engine()?, self.recorder.clone());
        Ok(self.engine.insert(Arc::new(engine)).clone())
    }

    fn free_space(&self) -> FreeSpace {
        self.home.free_space()
    }

    fn open_coordination(&mut self) -> Result<redb::Database, StorageError> {
        self.home.open_coordination()
    }

    fn drop_coordination(&mut self) -> Result<(), StorageError> {
        self.home.drop_coordination()
    }

    fn save_ring(&self, ring: &[u8]) -> Result<(), StorageError> {
        self.home.save_ring(ring)
    }

    fn load_ring(&self) -> Option<Vec<u8>> {
        self.home.load_ring()
    }

    fn close(mut self: Box<Self>) -> Result<(), StorageError> {
        self.engine = None;
        Box::new(self.home).close()
    }
}
