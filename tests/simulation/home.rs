//! A home whose engine tells the history what it has for good.

use std::sync::Arc;

use kv::config::Config;
use kv::core::id::{ClusterId, StoreId};
use kv::storage::home::memory::{MemoryDirectory, MemoryHome};
use kv::storage::home::{FreeSpace, Home, Identity, Joined};
use kv::storage::{Engine, StorageError};

use crate::watched::WatchedEngine;

/// The simulated cluster.
pub const CLUSTER: ClusterId = ClusterId(1);

/// The home of one start of a store that is a member from the beginning.
pub struct WatchedHome {
    home: MemoryHome,
    engine: Arc<dyn Engine>,
}

impl WatchedHome {
    pub fn open(directory: &MemoryDirectory, store: StoreId, config: &Config, engine: WatchedEngine) -> WatchedHome {
        let mut home = directory.open(store);
        let (name, node) = (config.cluster.name.clone(), config.node.id);
        home.adopt(Joined { cluster: CLUSTER, name, node }, store).expect("a home of this cluster");
        WatchedHome { home, engine: Arc::new(engine) }
    }
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

    fn set_aside(&mut self, fresh: StoreId) -> Result<(), StorageError> {
        self.home.set_aside(fresh)
    }

    fn open_engine(&mut self) -> Result<Arc<dyn Engine>, StorageError> {
        Ok(self.engine.clone())
    }

    fn free_space(&self) -> FreeSpace {
        Box::new(|| None)
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

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        Ok(())
    }
}
