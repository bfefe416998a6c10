//! The queue of what fades: tombstones, and values that expire.
//!
//! An entry beside the record, written with it in one batch, so that neither is there without the other. Entries are ordered by partition,
//! then by the moment from which the grace counts: the first of a partition is the oldest one. An entry may be left over when a
//! record that was never written takes another's place; whoever finds one that its record does not bear out drops it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::core::id::Partition;
use crate::core::key::Key;
use crate::core::version::{Clock, Payload, Record};

/// What all keys of entries begin with, among the facts that a store keeps of itself.
const PREFIX: &[u8] = b"reap/";
/// Bytes of the partition, with which a stored key begins.
const PARTITION_BYTES: usize = 2;

/// A record that fades.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The stored key.
    pub stored: Bytes,
    /// From when on its grace counts, in milliseconds since 1970 by the clock of the store that holds it.
    pub since_ms: u64,
    /// Its version.
    pub clock: Clock,
    /// Whether it holds values, which expire; else only tombstones.
    pub expires: bool,
}

/// What the keys of all entries begin with.
pub fn all() -> &'static [u8] {
    PREFIX
}

/// What the keys of a partition's entries begin with.
pub fn of(partition: Partition) -> Bytes {
    [PREFIX, &partition.0.to_be_bytes()].concat().into()
}

/// The entry of a record; `None` if it does not fade. Costs nothing then.
pub fn entry_of(stored: &Bytes, record: &Bytes) -> Option<Entry> {
    Record::fading_since_ms(record)?;
    let record = Record::decode(record).ok()?;
    let expires = record.object.siblings.iter().any(|sibling| sibling.payload != Payload::Tombstone);
    Some(Entry { stored: stored.clone(), since_ms: record.since_ms, clock: record.object.clock(), expires })
}

fn key(stored: &Bytes, since_ms: u64) -> Bytes {
    let (partition, rest) = stored.split_at(PARTITION_BYTES.min(stored.len()));
    let mut key = BytesMut::with_capacity(PREFIX.len() + 8 + stored.len());
    key.put_slice(PREFIX);
    key.put_slice(partition);
    key.put_u64(since_ms);
    key.put_slice(rest);
    key.freeze()
}

impl Entry {
    /// The form in which it is kept: key and value.
    pub fn encode(&self) -> (Bytes, Bytes) {
        let mut value = BytesMut::with_capacity(17);
        value.put_u8(self.expires.into());
        value.put_u128(self.clock.0);
        (key(&self.stored, self.since_ms), value.freeze())
    }

    /// The inverse of [`Entry::encode`].
    pub fn decode(key: &Bytes, value: &[u8]) -> Option<Entry> {
        let rest = key.strip_prefix(PREFIX)?;
        let (partition, rest) = rest.split_first_chunk::<PARTITION_BYTES>()?;
        let (since_ms, rest) = rest.split_first_chunk()?;
        let (expires, clock) = value.split_first()?;
        Some(Entry {
            stored: [partition, rest].concat().into(),
            since_ms: u64::from_be_bytes(*since_ms),
            clock: Clock(u128::from_be_bytes(clock.try_into().ok()?)),
            expires: *expires != 0,
        })
    }

    /// Whose it is.
    pub fn name(&self) -> Option<(Partition, Key)> {
        Key::from_stored(&self.stored)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_come_back_and_lie_in_the_order_of_their_age(
            partition: u16, name in proptest::collection::vec(any::<u8>(), 1..20), since: [u64; 2], clock: u128, expires: bool,
        ) {
            let stored = Key::bare(name).stored(Partition(partition));
            let entry = |since_ms| Entry { stored: stored.clone(), since_ms, clock: Clock(clock), expires };
            let [(one, value), (other, _)] = since.map(|since_ms| entry(since_ms).encode());
            prop_assert_eq!(Entry::decode(&one, &value), Some(entry(since[0])));
            prop_assert!(one.starts_with(&of(Partition(partition))) && one.starts_with(all()));
            prop_assert_eq!(one.cmp(&other), since[0].cmp(&since[1]));
        }
    }

    #[test]
    fn what_is_no_entry_is_none() {
        assert_eq!(Entry::decode(&Bytes::from_static(b"reap/short"), &[0; 17]), None);
        let (key, _) =
            Entry { stored: Bytes::from_static(b"\0\0key"), since_ms: 1, clock: Clock(1), expires: false }.encode();
        assert_eq!(Entry::decode(&key, &[0; 3]), None);
    }
}
