//! What was seen of a key. A client gets it as opaque bytes and gives them back with its next write.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Dot, Timestamp, VersionVector};
use crate::core::key::Key;

/// First byte of an encoded context; the next format gets another.
const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

/// A set of events that were seen, of an object or of a client: everything up to an entry of the vector, and single dots beyond.
///
/// A read's context is that of what it found. The context of a write that left concurrent siblings behind covers the write and what its
/// writer had read, but not those siblings: they were never shown to it. Such a set has gaps, which no vector can say;
/// hence the dots. Given back to a replica that knows nothing of what lies in the gap, the gap travels on in the object,
/// until what fills it arrives.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Context {
    /// Everything up to here.
    pub vector: VersionVector,
    /// And these, none of which follows directly on the vector. Sorted.
    pub dots: Vec<Dot>,
    /// The highest timestamp covered: a write that follows gets a higher one.
    pub time: Timestamp,
}

/// Why bytes are no context of this key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadContext {
    /// Too short to be one.
    #[error("it is truncated")]
    Truncated,
    /// Made by a later version.
    #[error("its format {0} is unknown here")]
    Format(u8),
    /// Damaged, made up, or the context of another key.
    #[error("its checksum is wrong: it was damaged, or belongs to another key")]
    Checksum,
    /// The checksum is right and the content is not.
    #[error("it is malformed")]
    Malformed,
}

impl Context {
    /// Whether the client has seen this event's effect.
    pub fn covers(&self, dot: Dot) -> bool {
        self.vector.covers(dot) || self.dots.binary_search(&dot).is_ok()
    }

    /// Adds one event.
    pub fn add(&mut self, dot: Dot, time: Timestamp) {
        self.time = self.time.max(time);
        if let Err(position) = self.dots.binary_search(&dot) {
            self.dots.insert(position, dot);
        }
        self.absorb();
    }

    /// Adds all that `other` covers.
    pub fn join(&mut self, other: &Context) {
        self.time = self.time.max(other.time);
        self.vector.join(&other.vector);
        if !other.dots.is_empty() {
            self.dots.extend(&other.dots);
            self.dots.sort_unstable();
            self.dots.dedup();
        }
        self.absorb();
    }

    /// Forgets all events of the actors that `keeps` does not keep.
    pub(super) fn retain(&mut self, keeps: impl Fn(super::Actor) -> bool) {
        self.vector.retain(&keeps);
        self.dots.retain(|dot| keeps(dot.actor));
    }

    /// Whether everything that `other` covers is covered here.
    pub fn dominates(&self, other: &Context) -> bool {
        self.vector.dominates(&other.vector) && other.dots.iter().all(|dot| self.covers(*dot))
    }

    /// Whether the entries are in order and the dots beyond them: what was decoded may claim to be a context and not be one.
    pub(super) fn is_well_formed(&self) -> bool {
        let sorted = self.dots.windows(2).all(|pair| pair[0] < pair[1]);
        sorted && self.vector.is_well_formed() && self.dots.iter().all(|dot| !self.vector.covers(*dot))
    }

    /// Moves into the vector each dot that follows on it, and forgets those that it covers.
    fn absorb(&mut self) {
        let vector = &mut self.vector;
        self.dots.retain(|dot| {
            if vector.get(dot.actor).checked_add(1) == Some(dot.counter) {
                vector.advance(dot.actor, dot.counter);
            }
            !vector.covers(*dot)
        });
    }

    /// How many events of `actor` it knows of, the highest counting.
    pub fn highest(&self, actor: super::Actor) -> u64 {
        let beyond = self.dots.iter().filter(|d| d.actor == actor).map(|d| d.counter).max();
        self.vector.get(actor).max(beyond.unwrap_or(0))
    }

    /// How many actors and single dots it names.
    pub fn entries(&self) -> usize {
        self.vector.len() + self.dots.len()
    }

    /// The opaque form. It is bound to `key`: given back with another key it is refused.
    pub fn encode(&self, key: &Key) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(FORMAT);
        rmp_serde::encode::write(&mut (&mut out).writer(), self).expect("contexts serialize into memory");
        let checksum = checksum(&out, key);
        out.put_u64(checksum);
        out.freeze()
    }

    /// Reads the opaque form of a context of `key`.
    pub fn decode(bytes: &[u8], key: &Key) -> Result<Context, BadContext> {
        let Some(body_end) = bytes.len().checked_sub(CHECKSUM_BYTES).filter(|&end| end > 1) else {
            return Err(BadContext::Truncated);
        };
        let (body, sum) = bytes.split_at(body_end);
        if body[0] != FORMAT {
            return Err(BadContext::Format(body[0]));
        }
        if sum != checksum(body, key).to_be_bytes() {
            return Err(BadContext::Checksum);
        }
        let context: Context = rmp_serde::from_slice(&body[1..]).map_err(|_| BadContext::Malformed)?;
        if context.is_well_formed() { Ok(context) } else { Err(BadContext::Malformed) }
    }
}

fn checksum(body: &[u8], key: &Key) -> u64 {
    xxh3_64_with_seed(body, key.token().0)
}
