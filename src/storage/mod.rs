//! Bytes on stable storage.
//!
//! An [`Engine`] keeps ordered byte strings in a few [`Space`]s and knows nothing of versions. It tells two moments apart:
//! *applied* (visible to reads, survives the process, gone after a power loss) and *synced* (there for good). Who waits for
//! which is decided above.
//!
//! What happens, in order:
//!
//! 1. A [`home::Home`] is opened. On a real disk it takes the [`directory::DataDir`]: the lock that keeps a second process out,
//!    and the identity that tells whose bytes these are. Whatever does not belong to this node, is of another format, or is
//!    damaged is refused untouched.
//! 2. It opens the engine inside. What an engine shows after it was opened is durable, whatever was synced before the stop.
//! 3. One writer thread calls [`Engine::apply`] for each group of waiting writes and then, as the policy says,
//!    [`Engine::sync`] once for all of them. Any thread reads.
//! 4. An orderly stop closes the engine and leaves a marker that lists its files, so that the next start notices one that
//!    was shortened or lost in between.
//!
//! Engines: [`fjall`] for real disks, [`memory`] for simulation and tests. Both pass one conformance suite.
//!
//! What storage does not do: it never merges, expires or compares values, never retries a failed write (after a failed
//! sync nobody knows what the disk holds, so the engine refuses writes until it is opened again), and never deletes what it
//! cannot read.

use std::ops::Bound;

use bytes::Bytes;

#[cfg(test)]
mod conformance;
pub mod directory;
pub mod disk;
mod error;
pub mod fjall;
pub mod home;
mod identity;
pub mod memory;

pub use error::StorageError;

/// Bytes of the longest key an engine takes; the shortest has one.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// Bytes of the longest value an engine takes.
pub const VALUE_BYTES_MAX: usize = u32::MAX as usize;

/// A named, ordered map of byte strings in an engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Space {
    /// Records: [`crate::core::key::Key::stored`] to a record.
    Objects,
    /// Hints: target store and key.
    Hints,
    /// Facts about the store itself.
    Meta,
}

impl Space {
    /// Every space.
    pub const ALL: [Space; 3] = [Space::Objects, Space::Hints, Space::Meta];
}

/// Changes that are applied together or not at all.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Batch {
    /// In order; `None` removes the key. A later change of a key wins.
    pub changes: Vec<(Space, Bytes, Option<Bytes>)>,
}

impl Batch {
    /// Stores `value` under `key`.
    pub fn put(&mut self, space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.changes.push((space, key.into(), Some(value.into())));
    }

    /// Removes `key`, which need not be there.
    pub fn remove(&mut self, space: Space, key: impl Into<Bytes>) {
        self.changes.push((space, key.into(), None));
    }

    /// Refuses keys and values that no engine takes.
    fn check(&self) -> Result<(), StorageError> {
        for (_, key, value) in &self.changes {
            if key.is_empty() || key.len() > KEY_BYTES_MAX {
                return Err(StorageError::OutOfBounds { what: "key", bytes: key.len(), bytes_max: KEY_BYTES_MAX });
            }
            let bytes = value.as_ref().map_or(0, Bytes::len);
            if bytes > VALUE_BYTES_MAX {
                return Err(StorageError::OutOfBounds { what: "value", bytes, bytes_max: VALUE_BYTES_MAX });
            }
        }
        Ok(())
    }
}

/// An ordered, durable map. All methods may block on a disk: call [`apply`](Engine::apply) and [`sync`](Engine::sync) from
/// a thread that may wait.
///
/// Whatever is visible when an engine was opened is durable, so a replica that holds a version since before its start
/// may acknowledge it without another sync.
pub trait Engine: Send + Sync + 'static {
    /// What is applied under `key`.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// Applies a batch: all of it is visible afterwards, and after a crash all of it is there or nothing.
    ///
    /// After [`StorageError::DiskFull`] and [`StorageError::OutOfBounds`] nothing was applied. After any other error the
    /// outcome is unknown: the batch may be there when the engine is opened again.
    fn apply(&self, batch: Batch) -> Result<(), StorageError>;

    /// Makes everything that was applied before the call durable. An error poisons the engine: reads go on, and nothing more
    /// is written until it is opened again.
    fn sync(&self) -> Result<(), StorageError>;

    /// Up to `limit` entries with keys that begin with `prefix` and are greater than `after`, in order; all as of one
    /// moment. The caller bounds the memory by `limit`: nothing here looks at the size of values.
    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError>;

    /// Bytes on disk, as far as the engine knows. May walk a directory: a gauge, not for the hot path.
    fn disk_bytes(&self) -> u64;
}

/// Both ends of a range of keys.
type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The keys that begin with `prefix` and are greater than `after`, as bounds of an ordered map; `None` if there can be none
/// (ordered maps panic on a range that ends before it begins).
fn key_range(prefix: &[u8], after: Option<&[u8]>) -> Option<KeyRange> {
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after.to_vec()),
        _ => Bound::Included(prefix.to_vec()),
    };
    // The first key after all those with the prefix: its last byte that can be raised, raised, the rest dropped.
    let Some(raised) = prefix.iter().rposition(|byte| *byte < u8::MAX) else {
        return Some((start, Bound::Unbounded));
    };
    let mut end = prefix[..=raised].to_vec();
    end[raised] += 1;
    match &start {
        Bound::Excluded(after) if *after >= end => None,
        _ => Some((start, Bound::Excluded(end))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::RangeBounds;

    /// Short strings of extreme bytes, so that prefixes, neighbours and carries are met often.
    fn edgy() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(254), Just(255)], 0..4)
    }

    proptest! {
        #[test]
        fn range_holds_exactly_what_follows_and_has_the_prefix(prefix in edgy(), after in proptest::option::of(edgy()), key in edgy()) {
            let wanted = key.starts_with(&prefix) && after.as_ref().is_none_or(|after| key > *after);
            let range = key_range(&prefix, after.as_deref());
            prop_assert_eq!(range.is_some_and(|range| range.contains(&key)), wanted);
        }
    }
}
