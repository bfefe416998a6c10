//! What one replica keeps of a key: the object, and beside it the mark.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Actor, Malformed, Object};

const UNMARKED: u8 = 0;
const MARKED: u8 = 1;
/// Bytes of the header with a mark: flag, incarnation, birth.
const MARK_BYTES: usize = 17;

/// An object as a replica stores it. Only the object is ever sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// The actor that is this replica's own for the key, if its memory is unbroken.
    pub mark: Option<Actor>,
    /// The key's state.
    pub object: Object,
}

impl Record {
    /// The stored form, and the object's form within it.
    pub fn encode(&self) -> (Bytes, Bytes) {
        let mut out = BytesMut::with_capacity(MARK_BYTES + 64 + self.object.value_bytes());
        match self.mark {
            None => out.put_u8(UNMARKED),
            Some(actor) => {
                out.put_u8(MARKED);
                out.put_u64(actor.incarnation);
                out.put_u64(actor.birth);
            }
        }
        let header = out.len();
        self.object.encode_into(&mut out);
        let record = out.freeze();
        let object = record.slice(header..);
        (record, object)
    }

    /// Reads the stored form.
    pub fn decode(stored: &Bytes) -> Result<Record, Malformed> {
        let (mark, object) = Record::split(stored)?;
        Ok(Record { mark, object: Object::decode(&object)? })
    }

    /// Takes the stored form apart without reading the object.
    pub fn split(stored: &Bytes) -> Result<(Option<Actor>, Bytes), Malformed> {
        match stored.first() {
            Some(&UNMARKED) => Ok((None, stored.slice(1..))),
            Some(&MARKED) if stored.len() >= MARK_BYTES => {
                let number = |at: usize| u64::from_be_bytes(stored[at..at + 8].try_into().expect("eight bytes"));
                Ok((Some(Actor { incarnation: number(1), birth: number(9) }), stored.slice(MARK_BYTES..)))
            }
            _ => Err(Malformed("no record header".into())),
        }
    }
}
