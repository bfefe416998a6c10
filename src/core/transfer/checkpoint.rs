//! How far a transfer is, kept over a restart.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::core::id::{Epoch, Partition, StoreId};

/// What all keys of checkpoints begin with, among the facts that a store keeps of itself.
const PREFIX: &[u8] = b"transfer/";
/// First byte of a kept checkpoint; the next format gets another.
const FORMAT: u8 = 1;

/// One transfer: which partition, of which motion, from whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TransferId {
    /// Which.
    pub partition: Partition,
    /// The epoch that set it in motion. Another motion of the same partition begins from nothing.
    pub since: Epoch,
    /// Who is copied from.
    pub source: StoreId,
}

/// How far the bulk of a transfer is. Written after what it speaks of is durable, so it is never ahead.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Everything up to this stored key was copied.
    pub after: Option<Bytes>,
    /// There was nothing more.
    pub is_whole: bool,
    /// Keys copied.
    pub keys: u64,
    /// Bytes of keys and objects copied.
    pub bytes: u64,
}

impl TransferId {
    /// What the keys of all checkpoints begin with.
    pub fn prefix() -> &'static [u8] {
        PREFIX
    }

    /// The key of its checkpoint.
    pub fn stored(&self) -> Bytes {
        let mut key = BytesMut::with_capacity(PREFIX.len() + 30);
        key.put_slice(PREFIX);
        key.put_u16(self.partition.0);
        key.put_u32(self.since.generation);
        key.put_u64(self.since.counter);
        key.put_u128(self.source.0);
        key.freeze()
    }

    /// The inverse of [`TransferId::stored`].
    pub fn from_stored(key: &[u8]) -> Option<TransferId> {
        let rest: &[u8; 30] = key.strip_prefix(PREFIX)?.try_into().ok()?;
        let (partition, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (counter, rest) = rest.split_first_chunk()?;
        Some(TransferId {
            partition: Partition(u16::from_be_bytes(*partition)),
            since: Epoch { generation: u32::from_be_bytes(*generation), counter: u64::from_be_bytes(*counter) },
            source: StoreId(u128::from_be_bytes(rest.try_into().ok()?)),
        })
    }
}

impl Checkpoint {
    /// The kept form.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(FORMAT);
        rmp_serde::encode::write(&mut (&mut out).writer(), self).expect("checkpoints serialize into memory");
        out.freeze()
    }

    /// Reads the kept form. One that cannot be read is as good as none: the transfer begins again.
    pub fn decode(kept: &[u8]) -> Option<Checkpoint> {
        rmp_serde::from_slice(kept.strip_prefix(&[FORMAT])?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_is_read_again(
            partition: u16, generation: u32, counter: u64, source: u128,
            after in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)), is_whole: bool, keys: u64, bytes: u64,
        ) {
            let since = Epoch { generation, counter };
            let id = TransferId { partition: Partition(partition), since, source: StoreId(source) };
            prop_assert_eq!(TransferId::from_stored(&id.stored()), Some(id));
            prop_assert!(id.stored().starts_with(TransferId::prefix()));
            let checkpoint = Checkpoint { after: after.map(Bytes::from), is_whole, keys, bytes };
            prop_assert_eq!(Checkpoint::decode(&checkpoint.encode()), Some(checkpoint));
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_none() {
        assert_eq!(TransferId::from_stored(b"transfer/short"), None);
        assert_eq!(TransferId::from_stored(b"else"), None);
        assert_eq!(Checkpoint::decode(&[]), None);
        assert_eq!(Checkpoint::decode(&[FORMAT + 1, 0x90]), None);
    }
}
