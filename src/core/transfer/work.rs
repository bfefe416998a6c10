//! What works want and are told.
//!
//! The questions are those that stores answer each other about a whole partition. Keys are named in their
//! [stored form](crate::core::key::Key::stored), in whose order a partition is read.

use bytes::Bytes;

use super::checkpoint::Checkpoint;
use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::merkle::{Leaves, Sums};
use crate::core::version::Clock;

/// Keys that one question names at most.
const KEYS_MAX: usize = 512;

/// The first of these keys, as many as one question names.
pub(in crate::core) fn page_of(keys: &[Bytes]) -> Vec<Bytes> {
    keys[..keys.len().min(KEYS_MAX)].to_vec()
}

/// What is left of these keys when the first ones were asked for, and some of them did not fit into the answer.
pub(in crate::core) fn left_of(keys: &[Bytes], left_over: Vec<Bytes>) -> Vec<Bytes> {
    let unasked = &keys[keys.len().min(KEYS_MAX)..];
    left_over.into_iter().chain(unasked.iter().cloned()).collect()
}

/// Who is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Whom {
    /// This store.
    Own,
    /// Another one.
    Peer(StoreId),
}

/// A question about a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// What do you hold, in leaves? Answered by [`Answer::Holding`].
    Leaves,
    /// What are the sums of these nodes of your tree? Answered by [`Answer::Sums`].
    Sums {
        /// Which level, counted from the root.
        depth: u32,
        /// The nodes' numbers in it.
        nodes: Vec<u32>,
    },
    /// Which versions do you hold of the keys in these leaves, after this one? Answered by [`Answer::Versions`].
    Clocks {
        /// The leaves, in order.
        leaves: Vec<u32>,
        /// Begin after this stored key.
        after: Option<Bytes>,
    },
    /// What do you hold after this key, whole? Answered by [`Answer::Objects`].
    Pull {
        /// Begin after this stored key.
        after: Option<Bytes>,
    },
    /// What do you hold of these keys, whole? Answered by [`Answer::Objects`].
    Objects {
        /// Stored keys.
        keys: Vec<Bytes>,
    },
}

/// What a work wants next. The same until it is told what came of it; each step may be repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Ask this.
    Ask(Whom, Ask),
    /// Have these merged and held durably. Answered by [`Answer::Stored`] when all of them are.
    Store(Whom, Vec<(Key, Bytes)>),
    /// Drop these versions here, unless a key has another one by now or waits for somebody. Answered by [`Answer::Dropped`].
    Drop(Vec<(Key, Clock)>),
    /// It is complete.
    Done,
}

/// What a store holds of a partition, durably and at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holding {
    /// In leaves.
    pub leaves: Leaves,
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and records.
    pub bytes: u64,
}

/// Durable versions of some keys, in key order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Versions {
    /// The stored key and its version; `None` for a record that cannot be read.
    pub clocks: Vec<(Bytes, Option<Clock>)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Bytes>,
}

/// Objects of some keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Objects {
    /// Each with its object, encoded. What is not there is not here.
    pub objects: Vec<(Key, Bytes)>,
    /// Stored keys of records that cannot be read.
    pub unreadable: Vec<Bytes>,
    /// Stored keys that were asked for and did not fit.
    pub left_over: Vec<Bytes>,
    /// Where to go on pulling; `None` at the end.
    pub next: Option<Bytes>,
}

/// What came of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Of [`Ask::Leaves`].
    Holding(Holding),
    /// Of [`Ask::Sums`].
    Sums(Sums),
    /// Of [`Ask::Clocks`].
    Versions(Versions),
    /// Of [`Ask::Pull`] and [`Ask::Objects`].
    Objects(Objects),
    /// Of [`Step::Store`]: all of it is durable.
    Stored,
    /// Of [`Step::Drop`]: done, but for so many keys that were not as expected.
    Dropped {
        /// How many are held as before.
        kept: u64,
    },
}

/// What a work may look up.
pub trait Known {
    /// How many owners the key's bucket has: those of the first places.
    fn replicas(&self, key: &Key) -> usize;

    /// Whether this store keeps the key for somebody, by a hint. It stays until that one has it.
    fn is_hinted(&self, stored: &Bytes) -> bool;
}

/// Something that is done step by step.
pub trait Work {
    /// What to do next.
    fn next(&self) -> Step;

    /// What came of it. What is returned speaks only of what is durable already, and should be kept, now or a little later.
    fn answered(&mut self, answer: Answer, known: &dyn Known) -> Option<Checkpoint>;

    /// It failed, and [`Work::next`] says what to do after a pause: mostly the same again. What was to be sent to another store is read
    /// anew: a version must not be sent long after it was read ([`crate::core::reap`]). What arrives here is stored as long as the
    /// partition is in motion, when nothing of it is reaped.
    fn failed(&mut self);
}
