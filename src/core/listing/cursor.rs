//! Where a listing stands.

use bytes::{BufMut, Bytes, BytesMut};

use crate::core::id::Partition;

/// First byte of an encoded cursor; the next format gets another.
const FORMAT: u8 = 1;
/// Bytes before the name.
const HEADER: usize = 3;

/// Everything before this place has been listed. Callers get it as opaque bytes; it holds for one bucket and one prefix, which
/// they say again each time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The partition that is being listed; those before it are done.
    pub partition: Partition,
    /// The last name that was looked at there; `None` at the partition's beginning.
    pub after: Option<Bytes>,
}

/// Bytes that are no cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadCursor {
    /// Too short to be one.
    #[error("the cursor is truncated")]
    Truncated,
    /// Made by a later version.
    #[error("the cursor's format {0} is unknown here")]
    Format(u8),
    /// Beyond the last partition: it belongs to another cluster.
    #[error("the cursor names partition {0}, which this cluster does not have")]
    Partition(Partition),
}

impl Cursor {
    /// Nothing has been listed yet.
    pub const START: Cursor = Cursor { partition: Partition(0), after: None };

    /// The place after this one if the partition was listed up to `end`, or to its own end if that is `None`. `None` after
    /// the last of `partitions`.
    pub fn advance(&self, end: Option<Bytes>, partitions: u32) -> Option<Cursor> {
        if end.is_some() {
            return Some(Cursor { partition: self.partition, after: end });
        }
        let next = u32::from(self.partition.0) + 1;
        (next < partitions).then_some(Cursor { partition: Partition(next as u16), after: None })
    }

    /// The opaque form.
    pub fn encode(&self) -> Bytes {
        let name = self.after.as_deref().unwrap_or_default();
        let mut out = BytesMut::with_capacity(HEADER + name.len());
        out.put_u8(FORMAT);
        out.put_u16(self.partition.0);
        // No name is empty.
        out.put_slice(name);
        out.freeze()
    }

    /// Reads the opaque form in a cluster of so many partitions.
    ///
    /// # Errors
    /// [`BadCursor`] if it cannot be one that such a cluster gave out.
    pub fn decode(bytes: &Bytes, partitions: u32) -> Result<Cursor, BadCursor> {
        let &[format, high, low, ..] = &bytes[..] else { return Err(BadCursor::Truncated) };
        if format != FORMAT {
            return Err(BadCursor::Format(format));
        }
        let partition = Partition(u16::from_be_bytes([high, low]));
        if u32::from(partition.0) >= partitions {
            return Err(BadCursor::Partition(partition));
        }
        let name = bytes.slice(HEADER..);
        Ok(Cursor { partition, after: (!name.is_empty()).then_some(name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn opaque_form_round_trips(p in 0u16..64, name in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..20))) {
            let cursor = Cursor { partition: Partition(p), after: name.map(Bytes::from) };
            prop_assert_eq!(Cursor::decode(&cursor.encode(), 64), Ok(cursor));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..10)) {
            let bytes = Bytes::from(bytes);
            if let Ok(cursor) = Cursor::decode(&bytes, 1 << 16) {
                prop_assert_eq!(cursor.encode(), bytes);
            }
        }
    }

    #[test]
    fn what_no_cluster_gave_out_is_refused() {
        let beyond = Cursor { partition: Partition(64), after: None }.encode();
        assert_eq!(Cursor::decode(&beyond, 64), Err(BadCursor::Partition(Partition(64))));
        assert_eq!(Cursor::decode(&beyond.slice(..2), 64), Err(BadCursor::Truncated));
        assert_eq!(Cursor::decode(&Bytes::from_static(&[9, 0, 0]), 64), Err(BadCursor::Format(9)));
    }

    #[test]
    fn it_moves_through_a_partition_and_then_to_the_next() {
        let (mut cursor, mut seen) = (Some(Cursor::START), vec![]);
        let mut ends = vec![None, Some(Bytes::from_static(b"b")), Some(Bytes::from_static(b"a"))];
        while let Some(at) = cursor {
            seen.push((at.partition.0, at.after.clone()));
            cursor = at.advance(ends.pop().flatten(), 2);
        }
        let name = |name: &'static str| Some(Bytes::from_static(name.as_bytes()));
        assert_eq!(seen, [(0, None), (0, name("a")), (0, name("b")), (1, None)]);
    }
}
