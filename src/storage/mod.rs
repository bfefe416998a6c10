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

/// Where reading goes on when [`Engine::scan`] finds [damage](StorageError::Corrupt) right behind `after`: a string, seldom a key, such
/// that what follows it can be read. `None` if nothing can to the end of the prefix.
///
/// Nobody knows which keys were in what is damaged. So the place is searched by halving the strings between, each of which costs a scan
/// of one entry; what is told apart are strings a good deal longer than the key before the damage.
pub fn behind_damage(engine: &dyn Engine, space: Space, prefix: &[u8], after: Option<&[u8]>) -> Option<Bytes> {
    /// Bytes beyond the length of the last key that was read.
    const FINER: usize = 64;
    let from = after.unwrap_or(prefix);
    let length = from.len().max(prefix.len()) + FINER;
    let fill = |bytes: &[u8], with: u8| -> Vec<u8> {
        bytes.iter().copied().chain(std::iter::repeat(with)).take(length).collect()
    };
    let (mut damaged, mut readable) = (fill(from, 0), fill(prefix, u8::MAX));
    let reads = |place: &[u8]| engine.scan(space, prefix, Some(place), 1).is_ok();
    if !reads(&readable) {
        return None;
    }
    while let Some(between) = halfway(&damaged, &readable) {
        if reads(&between) { readable = between } else { damaged = between }
    }
    Some(readable.into())
}

/// The string in the middle of two of one length; `None` if there is none between them.
fn halfway(low: &[u8], high: &[u8]) -> Option<Vec<u8>> {
    let mut sum = vec![0u16; low.len()];
    let mut carry = 0;
    for i in (0..low.len()).rev() {
        sum[i] = u16::from(low[i]) + u16::from(high[i]) + carry;
        (sum[i], carry) = (sum[i] & 0xff, sum[i] >> 8);
    }
    let mut middle = Vec::with_capacity(low.len());
    for digit in sum {
        let whole = carry << 8 | digit;
        middle.push((whole / 2) as u8);
        carry = whole % 2;
    }
    (middle != low).then_some(middle)
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

    /// Some of what it holds cannot be read.
    struct Damaged {
        keys: Vec<Bytes>,
        damaged: std::ops::Range<usize>,
    }

    impl Engine for Damaged {
        fn get(&self, _: Space, _: &[u8]) -> Result<Option<Bytes>, StorageError> {
            Ok(None)
        }

        fn apply(&self, _: Batch) -> Result<(), StorageError> {
            Ok(())
        }

        fn sync(&self) -> Result<(), StorageError> {
            Ok(())
        }

        fn scan(
            &self,
            _: Space,
            prefix: &[u8],
            after: Option<&[u8]>,
            limit: usize,
        ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
            let Some(range) = key_range(prefix, after) else { return Ok(vec![]) };
            let found: Vec<usize> =
                (0..self.keys.len()).filter(|i| range.contains(&self.keys[*i].to_vec())).take(limit).collect();
            if found.iter().any(|i| self.damaged.contains(i)) {
                return Err(StorageError::corrupt(std::path::Path::new("memory"), "rotten"));
            }
            Ok(found.into_iter().map(|i| (self.keys[i].clone(), Bytes::new())).collect())
        }

        fn disk_bytes(&self) -> u64 {
            0
        }
    }

    proptest! {
        #[test]
        fn what_follows_damage_is_found(
            names in proptest::collection::btree_set("[a-c]{1,6}", 3..40), at in any::<proptest::sample::Index>(), rotten in 1..6usize,
        ) {
            let keys: Vec<Bytes> = names.into_iter().map(|name| Bytes::from(format!("p/{name}"))).collect();
            let at = at.index(keys.len());
            let engine = Damaged { damaged: at..(at + rotten).min(keys.len()), keys };
            let before = at.checked_sub(1).map(|before| engine.keys[before].clone());
            let behind = behind_damage(&engine, Space::Objects, b"p/", before.as_deref()).expect("the end can be read");
            let rest = engine.scan(Space::Objects, b"p/", Some(&behind), 100).expect("it can be read");
            let rest: Vec<Bytes> = rest.into_iter().map(|(key, _)| key).collect();
            prop_assert_eq!(&rest[..], &engine.keys[engine.damaged.end..]);
        }
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
