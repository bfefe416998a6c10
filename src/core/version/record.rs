//! What one replica keeps of a key: the object, and beside it what is its own.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Actor, Malformed, Object};

/// In the first byte: a mark follows.
const MARKED: u8 = 1;
/// In the first byte: nothing in the object stays for ever, so its grace counts ([`Object::fades`]).
const FADING: u8 = 2;
/// Bytes of the header without a mark: flags, since when.
const HEADER_BYTES: usize = 9;
/// Bytes of a mark: incarnation, birth.
const MARK_BYTES: usize = 16;

/// An object as a replica stores it. Only the object is ever sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// The actor that is this replica's own for the key, if its memory is unbroken.
    pub mark: Option<Actor>,
    /// From when on the grace of this version counts, in milliseconds since 1970 by this replica's clock: since it came to hold it, or
    /// since its last value expires, if that is later.
    pub since_ms: u64,
    /// The key's state.
    pub object: Object,
}

impl Record {
    /// It holds another version, from now on.
    pub fn renew(&mut self, now_ms: u64) {
        self.since_ms = now_ms.max(self.object.expires_last_ms().unwrap_or(0));
    }

    /// The stored form, and the object's form within it.
    pub fn encode(&self) -> (Bytes, Bytes) {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + MARK_BYTES + 64 + self.object.value_bytes());
        let fading = if self.object.fades() { FADING } else { 0 };
        out.put_u8(fading | if self.mark.is_some() { MARKED } else { 0 });
        out.put_u64(self.since_ms);
        if let Some(actor) = self.mark {
            out.put_u64(actor.incarnation);
            out.put_u64(actor.birth);
        }
        let header = out.len();
        self.object.encode_into(&mut out);
        let record = out.freeze();
        let object = record.slice(header..);
        (record, object)
    }

    /// Reads the stored form.
    pub fn decode(stored: &Bytes) -> Result<Record, Malformed> {
        let (header, object) = header(stored)?;
        Ok(Record { mark: header.mark, since_ms: header.since_ms, object: Object::decode(&object)? })
    }

    /// Takes the stored form apart without reading the object.
    pub fn split(stored: &Bytes) -> Result<(Option<Actor>, Bytes), Malformed> {
        header(stored).map(|(header, object)| (header.mark, object))
    }

    /// From when on the grace of a stored record counts, if nothing in it stays for ever. Does not read the object.
    pub fn fading_since_ms(stored: &Bytes) -> Option<u64> {
        header(stored).ok().filter(|(header, _)| header.is_fading).map(|(header, _)| header.since_ms)
    }
}

struct Header {
    mark: Option<Actor>,
    since_ms: u64,
    is_fading: bool,
}

/// The header, and the object's bytes.
fn header(stored: &Bytes) -> Result<(Header, Bytes), Malformed> {
    let bad = || Malformed("no record header".into());
    let flags = *stored.first().filter(|flags| **flags <= MARKED | FADING).ok_or_else(bad)?;
    let has_mark = flags & MARKED != 0;
    let length = HEADER_BYTES + if has_mark { MARK_BYTES } else { 0 };
    if stored.len() < length {
        return Err(bad());
    }
    let number = |at: usize| u64::from_be_bytes(stored[at..at + 8].try_into().expect("eight bytes"));
    let mark = has_mark.then(|| Actor { incarnation: number(HEADER_BYTES), birth: number(HEADER_BYTES + 8) });
    Ok((Header { mark, since_ms: number(1), is_fading: flags & FADING != 0 }, stored.slice(length..)))
}
