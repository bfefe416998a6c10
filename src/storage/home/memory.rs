//! A home in memory: for nodes that keep nothing, and for simulation.
//!
//! A [`MemoryDirectory`] outlives the homes opened on it, as a directory outlives processes, and can be taken back to what
//! it was or emptied. Its parts fail on their own: the engine's bytes are on a [`MemoryDisk`], which can lose power; the
//! coordination service's database is wherever its [`DatabaseFile`] puts it. Identity and ring are replaced
//! whole and durably, as the real files are.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::backends::InMemoryBackend;

use super::{FreeSpace, Home, Identity, Joined, release};
use crate::core::id::StoreId;
use crate::storage::memory::{self, MemoryDisk};
use crate::storage::{Engine, StorageError};

/// The name of the engine.
pub const NAME: &str = "memory";

/// What stands in errors for the path that a home in memory has not.
const PATH: &str = "memory";

/// Where a home in memory keeps the coordination service's database.
pub trait DatabaseFile: Send + Sync {
    /// Opens what is there; an empty database if nothing is.
    fn open(&self) -> Result<redb::Database, StorageError>;

    /// Throws away what is there, if anything.
    fn remove(&self);
}

/// A database that is gone when it is closed, as everything is in a process that keeps nothing.
struct Forgotten;

impl DatabaseFile for Forgotten {
    fn open(&self) -> Result<redb::Database, StorageError> {
        let backend = InMemoryBackend::new();
        redb::Database::builder().create_with_backend(backend).map_err(|e| StorageError::database(Path::new(PATH), e))
    }

    fn remove(&self) {}
}

/// A data directory in memory. Clones are the same one.
#[derive(Clone)]
pub struct MemoryDirectory {
    disk: MemoryDisk,
    database: Arc<dyn DatabaseFile>,
    facts: Arc<Mutex<Facts>>,
}

/// What is not the engine's, nor the coordination service's.
#[derive(Clone, Default)]
struct Facts {
    /// `None`: the directory is empty.
    identity: Option<Identity>,
    was_clean: bool,
    ring: Option<Vec<u8>>,
    aside: Vec<SetAside>,
}

/// A store that was set aside.
#[derive(Clone, Debug)]
pub struct SetAside {
    /// Who it was.
    pub identity: Identity,
    /// What its engine held.
    pub bytes: memory::Snapshot,
}

/// What a directory held at one moment, to go back to; without the coordination service's database.
#[derive(Clone)]
pub struct Snapshot {
    facts: Facts,
    bytes: memory::Snapshot,
}

impl Default for MemoryDirectory {
    fn default() -> Self {
        MemoryDirectory::new(MemoryDisk::new(), Arc::new(Forgotten))
    }
}

impl fmt::Debug for MemoryDirectory {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("MemoryDirectory").field("identity", &self.facts().identity).finish_non_exhaustive()
    }
}

impl MemoryDirectory {
    /// An empty directory whose engine will be on `disk`.
    pub fn new(disk: MemoryDisk, database: Arc<dyn DatabaseFile>) -> MemoryDirectory {
        MemoryDirectory { disk, database, facts: Arc::default() }
    }

    /// Opens it as a process does, and raises its start number. An empty one gets a store with the id `fresh`.
    pub fn open(&self, fresh: StoreId) -> MemoryHome {
        let mut facts = self.facts();
        let identity = match facts.identity.take() {
            Some(identity) => Identity { start: identity.start + 1, ..identity },
            None => Identity::fresh(NAME, fresh),
        };
        facts.identity = Some(identity.clone());
        let was_clean = std::mem::take(&mut facts.was_clean);
        drop(facts);
        MemoryHome { directory: self.clone(), identity, was_clean, engine: None }
    }

    /// Where the engine is.
    pub fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// What the directory says of its store; `None` if it is empty.
    pub fn identity(&self) -> Option<Identity> {
        self.facts().identity.clone()
    }

    /// The stores that were set aside, oldest first.
    pub fn aside(&self) -> Vec<SetAside> {
        self.facts().aside.clone()
    }

    /// A copy of what is durable now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { facts: self.facts().clone(), bytes: self.disk.snapshot() }
    }

    /// Takes the directory back to a snapshot, its own or another's. No home may be open on it. The coordination service's
    /// database stays: it is the caller's to take back.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.disk.restore(&snapshot.bytes);
        *self.facts() = snapshot.facts.clone();
    }

    /// Empties it. No home may be open on it.
    pub fn wipe(&self) {
        self.disk.wipe();
        self.database.remove();
        *self.facts() = Facts::default();
    }

    /// No call panics between two changes of the state, so a lock left by a panicking test holds a whole one.
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process's hold on a [`MemoryDirectory`].
pub struct MemoryHome {
    directory: MemoryDirectory,
    identity: Identity,
    was_clean: bool,
    /// Once it was opened.
    engine: Option<Arc<dyn Engine>>,
}

impl MemoryHome {
    fn keep_identity(&self) {
        self.directory.facts().identity = Some(self.identity.clone());
    }
}

impl Home for MemoryHome {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn was_clean(&self) -> bool {
        self.was_clean
    }

    fn adopt(&mut self, joined: Joined, store: StoreId) -> Result<(), StorageError> {
        self.identity.adopt(Path::new(PATH), joined, store)?;
        self.keep_identity();
        Ok(())
    }

    fn set_generation(&mut self, generation: u32) -> Result<(), StorageError> {
        self.identity.raise(Path::new(PATH), generation)?;
        self.keep_identity();
        Ok(())
    }

    fn withdraw_start(&mut self) -> Result<(), StorageError> {
        self.identity.withdraw_start();
        self.keep_identity();
        Ok(())
    }

    fn set_aside(&mut self, fresh: StoreId) -> Result<(), StorageError> {
        release(&mut self.engine).map_err(|handles| StorageError::StillOpen { path: PATH.into(), handles })?;
        let identity = std::mem::replace(&mut self.identity, Identity::fresh(NAME, fresh));
        self.was_clean = false;
        let directory = &self.directory;
        let mut facts = directory.facts();
        facts.aside.push(SetAside { identity, bytes: directory.disk.snapshot() });
        (facts.identity, facts.ring) = (Some(self.identity.clone()), None);
        directory.disk.wipe();
        directory.database.remove();
        Ok(())
    }

    fn open_engine(&mut self) -> Result<Arc<dyn Engine>, StorageError> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let engine = self.engine.insert(Arc::new(self.directory.disk.open())).clone();
        self.identity.engine_made = true;
        self.keep_identity();
        Ok(engine)
    }

    fn free_space(&self) -> FreeSpace {
        Box::new(|| None)
    }

    fn open_coordination(&mut self) -> Result<redb::Database, StorageError> {
        if !self.identity.coordination_made {
            self.directory.database.remove();
        }
        let database = self.directory.database.open()?;
        self.identity.coordination_made = true;
        self.keep_identity();
        Ok(database)
    }

    fn drop_coordination(&mut self) -> Result<(), StorageError> {
        self.identity.coordination_made = false;
        self.keep_identity();
        self.directory.database.remove();
        Ok(())
    }

    fn save_ring(&self, ring: &[u8]) -> Result<(), StorageError> {
        self.directory.facts().ring = Some(ring.into());
        Ok(())
    }

    fn load_ring(&self) -> Option<Vec<u8>> {
        self.directory.facts().ring.clone()
    }

    fn close(mut self: Box<Self>) -> Result<(), StorageError> {
        if let Some(engine) = &self.engine {
            engine.sync()?;
        }
        self.directory.facts().was_clean = release(&mut self.engine).is_ok();
        Ok(())
    }
}
