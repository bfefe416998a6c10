//! What a hint says beside whose it is.

use bytes::{BufMut, Bytes, BytesMut};

const BYTES: usize = 16;

/// The value of a hint's entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// When the copy was first kept for its target, in milliseconds since 1970 by the wall clock of the store that keeps it.
    pub kept_ms: u64,
    /// What it weighs in the budget: the bytes of the stored key and of the record, when it was last written for the target.
    pub bytes: u64,
}

impl Entry {
    /// The form in which it is kept.
    pub fn encode(self) -> Bytes {
        let mut encoded = BytesMut::with_capacity(BYTES);
        encoded.put_u64(self.kept_ms);
        encoded.put_u64(self.bytes);
        encoded.freeze()
    }

    /// The inverse. The hint is there whatever its value says: from a value of another form everything is zero.
    pub fn decode(encoded: &[u8]) -> Entry {
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).unwrap_or_default();
        match encoded.split_at_checked(BYTES / 2) {
            Some((kept_ms, bytes)) => Entry { kept_ms: number(kept_ms), bytes: number(bytes) },
            None => Entry::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let entry = Entry { kept_ms: 1_700_000_000_000, bytes: 77 };
        assert_eq!(Entry::decode(&entry.encode()), entry);
        for other in [&b""[..], b"short", &[7; 15], &[7; 17]] {
            assert_eq!(Entry::decode(other).bytes, 0);
        }
    }
}
