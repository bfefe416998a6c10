//! Where a store lives: its identity, its bytes, the coordination service's file, the last known ring.
//!
//! A node asks its [`Home`] in this order:
//!
//! 1. [`Home::identity`] tells who it is. A fresh store belongs nowhere; once it founded or joined a cluster, [`Home::adopt`]
//!    says so for good.
//! 2. [`Home::open_coordination`] is for the coordination service, which judges the start: a store that was rolled back, or that
//!    has a living copy, is [set aside](Home::set_aside) before its bytes are served, and a fresh one begins.
//! 3. [`Home::open_engine`] gives the bytes.
//! 4. While it runs, each newer ring is [kept](Home::save_ring), for a start at which nobody can be asked.
//! 5. [`Home::close`] ends it in order. A home that is dropped was left as by a crash.
//!
//! [`disk`] is a data directory. [`memory`] forgets all with the process, or with the simulated disk that it is on.

pub mod disk;
pub mod memory;

use std::sync::Arc;

use super::{Engine, StorageError};
use crate::core::id::StoreId;

pub use super::identity::{Identity, Joined};

/// Tells how many bytes are free on a home's disk; `None` if there is no saying.
pub type FreeSpace = Box<dyn Fn() -> Option<u64> + Send>;

/// A store's home, held by this process. Its methods may block on a disk.
pub trait Home: Send {
    /// What the store knows of itself.
    fn identity(&self) -> &Identity;

    /// Whether the last stop was an orderly one; `false` if there was none.
    fn was_clean(&self) -> bool;

    /// Makes the store a member: of `joined`, under the id `store`, its own or one that the cluster reserved for it.
    /// Durable at the return. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`StorageError::Belongs`] if it is a member already, elsewhere or under another id.
    fn adopt(&mut self, joined: Joined, store: StoreId) -> Result<(), StorageError>;

    /// Notes that the store takes part in this generation of the coordination service. Durable at the return.
    ///
    /// # Errors
    /// [`StorageError::OlderGeneration`] if it took part in a later one.
    fn set_generation(&mut self, generation: u32) -> Result<(), StorageError>;

    /// Takes back that the store was started: the others took it for a copy, and it has served nothing. Otherwise a copy that is
    /// started again and again would get ahead of its original, which would then pass for the copy. Durable at the return.
    fn withdraw_start(&mut self) -> Result<(), StorageError>;

    /// Keeps all that the store has where an operator finds it, and starts again as the store `fresh`, drawn at random, which
    /// belongs nowhere. The coordination service's database must be closed.
    ///
    /// # Errors
    /// [`StorageError::StillOpen`] while somebody holds the engine.
    fn set_aside(&mut self, fresh: StoreId) -> Result<(), StorageError>;

    /// The store's engine; the same one to all who ask.
    fn open_engine(&mut self) -> Result<Arc<dyn Engine>, StorageError>;

    /// How to find out how many bytes are free.
    fn free_space(&self) -> FreeSpace;

    /// The coordination service's database, an empty one if there was none. One at a time.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if the store once had one and it is gone: a store must not vote again that forgot how it voted.
    fn open_coordination(&mut self) -> Result<redb::Database, StorageError>;

    /// Throws the coordination service's database away: after a forced recovery elsewhere. It must be closed, and the store
    /// must first have got another name in the service ([`Home::set_generation`]).
    fn drop_coordination(&mut self) -> Result<(), StorageError>;

    /// Keeps `ring` as the last known one, in the place of the one before. Durable at the return.
    fn save_ring(&self, ring: &[u8]) -> Result<(), StorageError>;

    /// The last known ring, if it is there and whole.
    fn load_ring(&self) -> Option<Vec<u8>>;

    /// An orderly stop. All handles on the engine should be gone, and the coordination service's database closed.
    fn close(self: Box<Self>) -> Result<(), StorageError>;
}

/// Drops the handle on the engine that a home keeps.
///
/// # Errors
/// How many others there are.
fn release(engine: &mut Option<Arc<dyn Engine>>) -> Result<(), usize> {
    match engine.as_ref().map_or(0, |engine| Arc::strong_count(engine) - 1) {
        0 => {
            *engine = None;
            Ok(())
        }
        handles => Err(handles),
    }
}

#[cfg(test)]
mod tests;
