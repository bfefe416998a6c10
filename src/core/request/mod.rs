//! What the store is asked and what it answers, whichever interface carries it.
//!
//! Native frames, HTTP and RESP all make the same [`Request`] and get the same `Result<`[`Answer`]`, `[`Failure`]`>`.

mod failure;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::bucket::{BlindWrite, QuorumSize};
use super::id::NodeId;
use super::key::Key;
use super::version::{Payload, Sibling};

pub use failure::Failure;

/// How sure one request wants to be. What is `None` comes from the key's bucket.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Ask only the first so many owners; never more than the bucket's n.
    pub n: Option<u8>,
    /// Replicas that must answer a read.
    pub r: Option<QuorumSize>,
    /// Replicas that must hold a write durably.
    pub w: Option<QuorumSize>,
    /// How many of `r` must be owners.
    pub pr: Option<QuorumSize>,
    /// How many of `w` must be owners.
    pub pw: Option<QuorumSize>,
    /// Whether fallbacks may stand in for owners that are down.
    pub sloppy: Option<bool>,
    /// Not sloppy, pr = r and pw = w. Recency then follows from `r + w > n`.
    pub strict: bool,
    /// How long to try, in milliseconds; `None` is the node's `request_timeout_ms`.
    pub timeout_ms: Option<u32>,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// Every surviving sibling of a key, and the context that covers them.
    Get {
        /// Whose.
        key: Key,
    },
    /// A new value.
    Put {
        /// Whose.
        key: Key,
        /// The bytes.
        #[serde(with = "crate::core::blob")]
        value: Bytes,
        /// What the writer had read: the new value covers exactly that. `None` is a blind write.
        #[serde(with = "crate::core::blob::option")]
        context: Option<Bytes>,
        /// Milliseconds from now after which the value counts as deleted.
        ttl_ms: Option<u64>,
        /// What a blind write covers; `None` is the bucket's choice.
        blind: Option<BlindWrite>,
    },
    /// A write of a tombstone.
    Delete {
        /// Whose.
        key: Key,
        /// What the deleter had read; `None` deletes what the coordinating replica holds.
        #[serde(with = "crate::core::blob::option")]
        context: Option<Bytes>,
    },
}

impl Operation {
    /// The key it is about.
    pub fn key(&self) -> &Key {
        match self {
            Operation::Get { key } | Operation::Put { key, .. } | Operation::Delete { key, .. } => key,
        }
    }

    /// Whether it may change anything.
    pub fn is_write(&self) -> bool {
        !matches!(self, Operation::Get { .. })
    }
}

/// One operation with its quorums.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// What to do.
    pub operation: Operation,
    /// How sure to be.
    pub options: Options,
}

impl Request {
    /// Bytes of its key and value.
    pub fn weight(&self) -> usize {
        let value = match &self.operation {
            Operation::Put { value, .. } => value.len(),
            Operation::Get { .. } | Operation::Delete { .. } => 0,
        };
        self.operation.key().name.len() + value
    }
}

/// One of the values that a read found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Value {
    /// The bytes.
    #[serde(with = "crate::core::blob")]
    pub bytes: Bytes,
    /// When it was written, in milliseconds since 1970 by its coordinator's hybrid clock.
    pub written_ms: u64,
    /// When it counts as deleted, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

impl Value {
    /// What a reader gets of a sibling; `None` of a tombstone.
    pub fn of(sibling: &Sibling) -> Option<Value> {
        let Payload::Value(bytes) = &sibling.payload else { return None };
        Some(Value { bytes: bytes.clone(), written_ms: sibling.written_ms(), expires_ms: sibling.expires_ms })
    }
}

/// A request that was met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// What a read found. No value is *not found*; its context still counts if the key was deleted.
    Read {
        /// Every surviving sibling, newest first.
        values: Vec<Value>,
        /// What was read, to be given back with the write that follows. `None` if no replica knows the key.
        #[serde(with = "crate::core::blob::option")]
        context: Option<Bytes>,
        /// Who answered.
        replicas: Vec<NodeId>,
    },
    /// A write that so many hold.
    Written {
        /// The write, and all that it covered: give it back to follow one's own write.
        #[serde(with = "crate::core::blob")]
        context: Bytes,
        /// Live siblings now; more than one means that a concurrent write was kept beside this one.
        siblings: u32,
        /// Who holds it durably.
        replicas: Vec<NodeId>,
    },
}

/// Read or write, for messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// A read; its size is r.
    Read,
    /// A write; its size is w.
    Write,
}

impl Kind {
    /// `R` or `W`, as in the names of the options.
    pub fn letter(self) -> char {
        match self {
            Kind::Read => 'R',
            Kind::Write => 'W',
        }
    }
}
