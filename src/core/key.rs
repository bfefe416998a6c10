//! Keys, their tokens and their partitions.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::id::Partition;

/// The bucket of a bare key.
pub const DEFAULT_BUCKET: &str = "default";

/// A bucket and a name in it; any bytes. Lengths are checked at the edge ([`super::limits::Limits::check_key`]).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Where it lives; [`DEFAULT_BUCKET`] for a bare key.
    #[serde(with = "crate::core::blob")]
    pub bucket: Bytes,
    /// Its name in the bucket.
    #[serde(with = "crate::core::blob")]
    pub name: Bytes,
}

impl Key {
    /// A key of a named bucket.
    pub fn new(bucket: impl Into<Bytes>, name: impl Into<Bytes>) -> Key {
        Key { bucket: bucket.into(), name: name.into() }
    }

    /// A bare key: it lives in [`DEFAULT_BUCKET`].
    pub fn bare(name: impl Into<Bytes>) -> Key {
        Key::new(DEFAULT_BUCKET, name)
    }

    /// Where the key lies in the token space: xxh3-64 of the length-prefixed bucket and the name.
    pub fn token(&self) -> Token {
        let mut hash = Xxh3::new();
        hash.update(&(self.bucket.len() as u32).to_be_bytes());
        hash.update(&self.bucket);
        hash.update(&self.name);
        Token(hash.digest())
    }

    /// The bytes under which a store keeps the key: partition first, so that a partition is one range; then
    /// the bucket, so that a bucket is one range in it.
    pub fn stored(&self, partition: Partition) -> Bytes {
        let mut bytes = BytesMut::with_capacity(4 + self.bucket.len() + self.name.len());
        bytes.put_u16(partition.0);
        bytes.put_u16(self.bucket.len() as u16);
        bytes.put_slice(&self.bucket);
        bytes.put_slice(&self.name);
        bytes.freeze()
    }

    /// The inverse of [`Key::stored`]; `None` if these bytes are not of that form.
    pub fn from_stored(stored: &Bytes) -> Option<(Partition, Key)> {
        let partition = u16::from_be_bytes(stored.get(0..2)?.try_into().ok()?);
        let bucket_end = 4 + u16::from_be_bytes(stored.get(2..4)?.try_into().ok()?) as usize;
        (bucket_end <= stored.len())
            .then(|| (Partition(partition), Key::new(stored.slice(4..bucket_end), stored.slice(bucket_end..))))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.bucket.escape_ascii(), self.name.escape_ascii())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A point of the token space, the 64-bit circle that partitions cut into equal arcs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

impl Token {
    /// The partition that holds this token when the space is cut into `partitions`, a power of two up to 65,536.
    pub fn partition(self, partitions: u32) -> Partition {
        debug_assert!(partitions.is_power_of_two() && partitions <= 1 << 16);
        Partition(((self.0 as u128 * partitions as u128) >> 64) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stored_form_round_trips(bucket in "[a-z]{1,20}", name in proptest::collection::vec(any::<u8>(), 1..50), p: u16) {
            let key = Key::new(bucket, name);
            prop_assert_eq!(Key::from_stored(&key.stored(Partition(p))), Some((Partition(p), key)));
        }

        #[test]
        fn partitions_nest(token: u64) {
            let fine = Token(token).partition(256).0;
            prop_assert_eq!(Token(token).partition(16).0, fine >> 4);
            prop_assert_eq!(Token(token).partition(1).0, 0);
        }

        #[test]
        fn garbage_is_no_key(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            if let Some((p, key)) = Key::from_stored(&bytes.clone().into()) {
                prop_assert_eq!(key.stored(p), bytes);
            }
        }
    }

    #[test]
    fn bucket_and_name_do_not_run_together() {
        assert_ne!(Key::new("ab", "c").token(), Key::new("a", "bc").token());
    }

    /// A change of this value would scatter every cluster's keys.
    #[test]
    fn token_is_fixed_for_ever() {
        assert_eq!(Key::bare("foo").token(), Key::new("default", "foo").token());
        assert_eq!(format!("{:016x}", Key::bare("foo").token().0), "824a1000e2665c04");
    }
}
