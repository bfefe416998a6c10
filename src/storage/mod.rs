//! Bytes on stable storage.
//!
//! An [`Engine`] keeps ordered byte strings in a few [`Space`]s and knows nothing of versions. It tells two moments apart:
//! *applied* (visible to reads, gone after a power loss) and *synced* (there for good). Who waits for which is decided above.

use bytes::Bytes;

/// A named, ordered map of byte strings in an engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Space {
    /// Records: [`crate::core::key::Key::stored`] to a record.
    Objects,
    /// Hints: target store and key.
    Hints,
    /// Facts about the store itself.
    Meta,
}

/// Changes that are applied together or not at all.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    /// In order; `None` removes the key. A later change of a key wins.
    pub changes: Vec<(Space, Bytes, Option<Bytes>)>,
}

/// An ordered, durable map. All methods may block on a disk.
pub trait Engine: Send + Sync + 'static {
    /// What is applied under `key`.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError>;
    /// Applies a batch: all of it is visible afterwards, and after a crash all of it is there or nothing.
    fn apply(&self, batch: Batch) -> Result<(), StorageError>;
    /// Makes everything that was applied before the call durable.
    fn sync(&self) -> Result<(), StorageError>;
    /// Up to `limit` entries with keys that begin with `prefix` and are greater than `after`, in order.
    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError>;
    /// Bytes on disk, as far as the engine knows.
    fn disk_bytes(&self) -> u64;
}

/// What went wrong with storage.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Placeholder.
    #[error("storage")]
    Placeholder,
}
