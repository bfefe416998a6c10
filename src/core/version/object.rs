//! A key's state: its live siblings and everything it has seen.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{Context, Dot, Timestamp, clock};
use crate::core::blob;
use crate::core::bucket::Conflict;

/// First byte of an encoded object; the next format gets another.
const FORMAT: u8 = 1;

/// What a write wrote.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Payload {
    /// A value.
    Value(#[serde(with = "crate::core::blob")] Bytes),
    /// A delete.
    Tombstone,
}

/// One write that no other write has covered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sibling {
    /// The event that made it.
    pub dot: Dot,
    /// When, by the hybrid clock.
    pub time: Timestamp,
    /// What it wrote.
    pub payload: Payload,
    /// When the value turns into a tombstone, in milliseconds since 1970. Judged by whoever reads.
    pub expires_ms: Option<u64>,
}

impl Sibling {
    /// Whether a reader at this time finds no value here: a tombstone, or a value that has expired.
    pub fn is_deleted(&self, now_ms: u64) -> bool {
        self.payload == Payload::Tombstone || self.expires_ms.is_some_and(|at| at <= now_ms)
    }

    /// When it was written, in milliseconds since 1970 by the hybrid clock.
    pub fn written_ms(&self) -> u64 {
        clock::wall_ms(self.time)
    }

    /// Bytes of the value.
    pub fn value_bytes(&self) -> usize {
        match &self.payload {
            Payload::Value(bytes) => bytes.len(),
            Payload::Tombstone => 0,
        }
    }
}

/// A key's live siblings, and all events seen of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Object {
    /// Every event seen: those of the siblings and those they covered.
    pub context: Context,
    /// Sorted by dot.
    pub siblings: Vec<Sibling>,
}

/// What a merge changed, on the left side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merged {
    /// The other side brought nothing new.
    Unchanged,
    /// The left side has grown.
    Changed,
}

/// Which version of a key this is: equal for equal contexts and equal live dots, whatever the route to them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Clock(pub u128);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:08x}", (self.0 >> 96) as u32)
    }
}

/// Why bytes are no object.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Object {
    /// Takes in what another replica holds. Commutative, idempotent, never refused; associative in what was seen and
    /// what can be read. (A tombstone that was dropped beside a value on one route may be left over on another: it goes
    /// when the two meet.)
    pub fn merge(&mut self, other: &Object, conflict: Conflict) -> Merged {
        let keeps = |s: &Sibling| other.holds(s.dot) || !other.context.covers(s.dot);
        if self.context.dominates(&other.context) && self.siblings.iter().all(keeps) {
            return Merged::Unchanged;
        }
        self.siblings.retain(keeps);
        for theirs in &other.siblings {
            if !self.context.covers(theirs.dot) {
                self.insert(theirs.clone());
            }
        }
        self.context.join(&other.context);
        self.settle(conflict);
        Merged::Changed
    }

    /// Adds a sibling in its place.
    pub(super) fn insert(&mut self, sibling: Sibling) {
        let position = self.siblings.partition_point(|s| s.dot < sibling.dot);
        self.siblings.insert(position, sibling);
    }

    /// Drops what need not be kept: tombstones beside a value, and in an `lww` bucket all but the newest. Their dots
    /// stay in the context, so nothing comes back.
    pub(super) fn settle(&mut self, conflict: Conflict) {
        if self.siblings.len() < 2 {
            return;
        }
        if conflict == Conflict::Lww {
            let newest = self.siblings.iter().map(|s| (s.time, s.dot)).max();
            self.siblings.retain(|s| Some((s.time, s.dot)) == newest);
        } else if self.siblings.iter().any(|s| s.payload != Payload::Tombstone) {
            self.siblings.retain(|s| s.payload != Payload::Tombstone);
        }
    }

    /// Whether a sibling with this dot is live.
    pub fn holds(&self, dot: Dot) -> bool {
        self.siblings.binary_search_by_key(&dot, |s| s.dot).is_ok()
    }

    /// The siblings that a reader at this time gets, newest first.
    pub fn values(&self, now_ms: u64) -> Vec<&Sibling> {
        let mut values: Vec<_> = self.siblings.iter().filter(|s| !s.is_deleted(now_ms)).collect();
        values.sort_by_key(|s| std::cmp::Reverse((s.time, s.dot)));
        values
    }

    /// Whether nothing here stays for ever: every sibling is a tombstone or a value that expires.
    pub fn fades(&self) -> bool {
        self.siblings.iter().all(|s| s.payload == Payload::Tombstone || s.expires_ms.is_some())
    }

    /// Whether a reader at this time finds nothing.
    pub fn is_deleted(&self, now_ms: u64) -> bool {
        self.siblings.iter().all(|s| s.is_deleted(now_ms))
    }

    /// When the last of the values that expire does, in milliseconds since 1970.
    pub fn expires_last_ms(&self) -> Option<u64> {
        self.siblings.iter().filter_map(|s| s.expires_ms).max()
    }

    /// How many entries and single dots the context has of actors without a live sibling.
    pub fn idle_entries(&self) -> usize {
        let is_idle = |actor| !self.siblings.iter().any(|s| s.dot.actor == actor);
        let entries = self.context.vector.iter().filter(|(actor, _)| is_idle(*actor)).count();
        entries + self.context.dots.iter().filter(|dot| is_idle(dot.actor)).count()
    }

    /// Forgets those. Right only where no store holds, and no message carries, what they cover: see [`crate::core::reap`].
    pub fn prune(&mut self) {
        let siblings = &self.siblings;
        self.context.retain(|actor| siblings.iter().any(|s| s.dot.actor == actor));
    }

    /// Bytes of all values.
    pub fn value_bytes(&self) -> usize {
        self.siblings.iter().map(Sibling::value_bytes).sum()
    }

    /// Which version this is.
    pub fn clock(&self) -> Clock {
        /// No event has this dot.
        const END: Dot = Dot { actor: super::Actor { incarnation: 0, birth: 0 }, counter: 0 };
        let mut hash = Xxh3::new();
        let mut event = |dot: Dot| {
            hash.update(&dot.actor.incarnation.to_be_bytes());
            hash.update(&dot.actor.birth.to_be_bytes());
            hash.update(&dot.counter.to_be_bytes());
        };
        self.context.vector.iter().for_each(|(actor, counter)| event(Dot { actor, counter }));
        event(END);
        self.context.dots.iter().for_each(|dot| event(*dot));
        event(END);
        self.siblings.iter().for_each(|s| event(s.dot));
        Clock(hash.digest128())
    }

    /// The form that is stored and sent.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64 + self.value_bytes() + 40 * self.context.entries());
        self.encode_into(&mut out);
        out.freeze()
    }

    pub(super) fn encode_into(&self, out: &mut BytesMut) {
        out.put_u8(FORMAT);
        rmp_serde::encode::write(&mut out.writer(), self).expect("objects serialize into memory");
    }

    /// Reads the stored form; values are slices of `bytes`.
    pub fn decode(bytes: &Bytes) -> Result<Object, Malformed> {
        match bytes.first() {
            Some(&FORMAT) => {}
            Some(other) => return Err(Malformed(format!("object format {other} is unknown here"))),
            None => return Err(Malformed("empty object".into())),
        }
        let object: Object =
            blob::within(bytes, || rmp_serde::from_slice(&bytes[1..])).map_err(|e| Malformed(e.to_string()))?;
        let sorted = object.siblings.windows(2).all(|w| w[0].dot < w[1].dot);
        if !sorted || !object.context.is_well_formed() {
            return Err(Malformed("entries out of order".into()));
        }
        match object.siblings.iter().find(|s| !object.context.covers(s.dot)) {
            Some(stray) => Err(Malformed(format!("sibling {} is not in the object's own context", stray.dot))),
            None => Ok(object),
        }
    }
}
