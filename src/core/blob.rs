//! Byte strings that decode without a copy.
//!
//! A frame arrives as one reference-counted buffer. While [`within`] it, every field marked
//! `#[serde(with = "crate::core::blob")]` becomes a slice of that buffer instead of a copy of it. A field read outside
//! [`within`], or from another buffer, is copied: slower, never wrong.
//!
//! The price: a small slice kept for long keeps its whole frame alive. What is stored is re-encoded first.

use std::cell::RefCell;

use bytes::Bytes;
use serde::{Deserializer, Serializer, de};

thread_local! {
    static BUFFER: RefCell<Option<Bytes>> = const { RefCell::new(None) };
}

/// Runs `decode` with `buffer` as the source that blobs are sliced from. Calls may nest; the inner one wins.
pub fn within<T>(buffer: &Bytes, decode: impl FnOnce() -> T) -> T {
    let outer = BUFFER.with(|b| b.replace(Some(buffer.clone())));
    let decoded = decode();
    BUFFER.with(|b| b.replace(outer));
    decoded
}

/// Writes a MessagePack byte string.
pub fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes)
}

/// Reads a byte string, sliced from the buffer of [`within`] where it lies inside it.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    from.deserialize_bytes(BlobVisitor)
}

/// The same for an optional byte string.
pub mod option {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Wrapped(#[serde(with = "super")] Bytes);

    /// Writes nil or a byte string.
    pub fn serialize<S: Serializer>(bytes: &Option<Bytes>, to: S) -> Result<S::Ok, S::Error> {
        bytes.clone().map(Wrapped).serialize(to)
    }

    /// Reads nil or a byte string.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Bytes>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(from)?.map(|w| w.0))
    }
}

struct BlobVisitor;

impl<'de> de::Visitor<'de> for BlobVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Bytes, E> {
        Ok(BUFFER.with(|b| match &*b.borrow() {
            Some(buffer) if contains(buffer, bytes) => buffer.slice_ref(bytes),
            _ => Bytes::copy_from_slice(bytes),
        }))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(bytes.into())
    }
}

fn contains(buffer: &Bytes, part: &[u8]) -> bool {
    let (outer, inner) = (buffer.as_ptr_range(), part.as_ptr_range());
    !part.is_empty() && outer.start <= inner.start && inner.end <= outer.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Carrier(
        #[serde(with = "crate::core::blob")] Bytes,
        #[serde(with = "crate::core::blob::option")] Option<Bytes>,
    );

    #[test]
    fn slices_the_buffer_inside_and_copies_outside() {
        let sent = Carrier(Bytes::from_static(b"value"), Some(Bytes::from_static(b"context")));
        let frame = Bytes::from(rmp_serde::to_vec(&sent).unwrap());
        let sliced: Carrier = within(&frame, || rmp_serde::from_slice(&frame)).unwrap();
        let copied: Carrier = rmp_serde::from_slice(&frame).unwrap();
        assert_eq!((&sliced, &copied), (&sent, &sent));
        assert!(contains(&frame, &sliced.0) && contains(&frame, sliced.1.as_ref().unwrap()));
        assert!(!contains(&frame, &copied.0));
    }
}
