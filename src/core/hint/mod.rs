//! Hints: a fallback's copy and the owner that it waits for.
//!
//! The copy is an ordinary record under its key. The hint is an [`Entry`] beside it, ordered by target, so that all that waits for a
//! node is one range. [`Backlogs`] is the sum of all entries; it says whether a [`Budget`] leaves room for one more.

mod backlog;
mod entry;

use bytes::{BufMut, Bytes, BytesMut};

use crate::core::id::StoreId;

pub use backlog::{Backlog, Backlogs, Budget, Full};
pub use entry::Entry;

const TARGET_BYTES: usize = 16;

/// The bytes under which a store keeps the hint that the key stored under `stored` waits for `target`.
pub fn stored(target: StoreId, stored: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(TARGET_BYTES + stored.len());
    bytes.put_u128(target.0);
    bytes.put_slice(stored);
    bytes.freeze()
}

/// What all hints for `target` begin with.
pub fn prefix(target: StoreId) -> [u8; TARGET_BYTES] {
    target.0.to_be_bytes()
}

/// The inverse of [`stored`].
pub fn from_stored(hint: &Bytes) -> Option<(StoreId, Bytes)> {
    let target = hint.get(..TARGET_BYTES)?.try_into().ok()?;
    Some((StoreId(u128::from_be_bytes(target)), hint.slice(TARGET_BYTES..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let hint = stored(StoreId(7), b"key");
        assert!(hint.starts_with(&prefix(StoreId(7))));
        assert_eq!(from_stored(&hint), Some((StoreId(7), Bytes::from_static(b"key"))));
        assert_eq!(from_stored(&Bytes::from_static(b"short")), None);
    }
}
