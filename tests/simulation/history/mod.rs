//! What happened in a simulation, in order.
//!
//! Clients record what they asked and what they were told; stores record, through a trace hook, which dots they minted
//! and what became durable; the nemesis records its faults; the end is told by what each owner holds. Everything runs
//! in one thread, so the order in which events are recorded is the order in which they happened; the virtual time is
//! there for people.
//!
//! A history holds facts alone. In particular no client says what its context covers, only which answer it was part of;
//! what it must and may have covered is derived (`invariants::causality`).

mod print;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kv::core::id::{NodeId, StoreId};
use kv::core::key::Key;
use kv::core::ring::Ring;
use xxhash_rust::xxh3::xxh3_64;

/// Virtual microseconds since the simulation began.
pub type Micros = u64;

/// A client: one session, one operation at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ClientId(pub u32);

/// An operation, by the order of invocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OperationId(pub usize);

/// A put or delete. Each has a number of its own, never used twice in a history, and a put's value is made of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WriteId(pub u64);

impl WriteId {
    /// What a value is read as that no write can have made.
    pub const GARBAGE: WriteId = WriteId(u64::MAX);

    /// The value that this write puts: the number and its hash, so that no damage turns one write's value into
    /// another's.
    pub fn to_value(self) -> Bytes {
        let number = self.0.to_be_bytes();
        [number, xxh3_64(&number).to_be_bytes()].concat().into()
    }

    /// The write that made this value; [`WriteId::GARBAGE`] if none did.
    pub fn of_value(value: &[u8]) -> WriteId {
        let number = value.first_chunk().map(|number| WriteId(u64::from_be_bytes(*number)));
        number.filter(|write| write.to_value() == value).unwrap_or(WriteId::GARBAGE)
    }
}

/// The quorums of an operation, as numbers. `n` is the bucket's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quorums {
    pub n: u8,
    pub r: u8,
    pub w: u8,
    pub pr: u8,
    pub pw: u8,
    pub sloppy: bool,
}

impl Quorums {
    /// Whether a read with these quorums surely asks one of `holders` owners.
    pub fn meets(self, holders: u8) -> bool {
        u16::from(self.pr) + u16::from(holders) > u16::from(self.n)
    }
}

/// What a client asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    Get,
    Put { write: WriteId, covering: Covering },
    Delete { write: WriteId, covering: Covering },
}

impl Call {
    /// The write, if it is one.
    pub fn write(&self) -> Option<WriteId> {
        match self {
            Call::Get => None,
            Call::Put { write, .. } | Call::Delete { write, .. } => Some(*write),
        }
    }

    /// What it covers, if it is a write.
    pub fn covering(&self) -> Option<Covering> {
        match self {
            Call::Get => None,
            Call::Put { covering, .. } | Call::Delete { covering, .. } => Some(*covering),
        }
    }
}

/// What a write was told to cover.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Covering {
    /// It had the context of this operation's answer: a read's, or that of an earlier write.
    Answer(OperationId),
    /// No context: what the coordinating replica holds (`blind_write = "supersede"`, and every delete without a
    /// context).
    WhatIsHeld,
    /// No context, and it covers nothing (`blind_write = "sibling"`).
    Nothing,
}

/// What a client was told. An operation without an outcome is as good as [`Outcome::Unknown`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A read's siblings, in the order of the answer.
    Read(Vec<WriteId>),
    /// W replicas hold the write.
    Written,
    /// Surely not applied.
    Failed(String),
    /// Perhaps applied, perhaps later.
    Unknown(String),
}

/// What the nemesis did to a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The process is gone.
    Crash,
    /// The process is gone, and every byte that was not synced.
    PowerLoss,
    /// A write or sync failed.
    DiskFailure,
    /// The disk is empty.
    Wipe,
    /// The disk is as it was some time ago.
    Rollback,
    /// The machine is gone for good.
    Gone,
}

impl Fault {
    /// Whether the store may have forgotten what it held durably.
    pub fn loses_durable(self) -> bool {
        matches!(self, Fault::Wipe | Fault::Rollback | Fault::Gone)
    }
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    Invoked {
        operation: OperationId,
        client: ClientId,
        key: Key,
        quorums: Quorums,
        call: Call,
    },
    Answered {
        operation: OperationId,
        outcome: Outcome,
    },
    /// A store made a dot for a write. `dot` in any form in which equal dots are equal.
    Minted {
        store: StoreId,
        key: Key,
        dot: String,
        write: WriteId,
    },
    /// From here on what the store has on stable storage covers this dot: it holds the value, or has it superseded.
    Durable {
        store: StoreId,
        key: Key,
        dot: String,
    },
    /// A process begins with this store.
    Started {
        store: StoreId,
    },
    /// A store's node works by this ring from now on.
    Published {
        store: StoreId,
        ring: Arc<Ring>,
    },
    /// An operator did something to the ring, or tried to.
    Operated(String),
    Faulted {
        store: StoreId,
        fault: Fault,
    },
    /// The coordination service has this session, and in it the live entry of a store.
    SessionBegan {
        store: StoreId,
        session: u64,
    },
    /// The coordination service has ended this session of a store: some replica has applied it.
    SessionEnded {
        store: StoreId,
        session: u64,
    },
    /// A store relied on its lease: as a replica, in a reply, or as a coordinator, in answering a strict request.
    StrictCounted {
        store: StoreId,
    },
    /// A store was told that it was rolled back, and its bytes were put aside.
    SetAside {
        store: StoreId,
    },
    /// What has become of a store that was rolled back, by the coordination service at the end: the store that its node serves
    /// instead, if any.
    Replaced {
        store: StoreId,
        by: Option<StoreId>,
    },
    /// Faults leave the coordination service no majority.
    MajorityLost,
    /// They do not any more.
    MajorityBack,
    /// Faults and workload are over, anti-entropy and hints have had their time. Reads from here on are *final*.
    Settled,
    /// How many deleted or expired keys a node has at the end, and what it says why. Recorded where the grace is short.
    Deleted {
        node: NodeId,
        keys: u64,
        why: String,
    },
    /// What a store holds at the end: recorded for every owner of a key, also one that holds nothing, and for every
    /// other store that holds something. `object` in any form in which equal objects, contexts included, are equal.
    Holds {
        store: StoreId,
        key: Key,
        owner: bool,
        object: Option<String>,
    },
}

/// Something that happened, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub at: Micros,
    pub what: What,
}

/// Everything that happened, in order.
#[derive(Clone, Default, Debug)]
pub struct History {
    events: Vec<Event>,
    operations: usize,
    /// Buckets whose conflicts the newest write wins.
    lww_buckets: BTreeSet<Bytes>,
    /// How far two nodes' clocks may be apart.
    pub clock_skew_max: Micros,
    /// Whether only clients tell what happened, and no store what it minted and made durable, as with real processes.
    pub is_untraced: bool,
}

impl History {
    /// Declares a bucket to be `conflict = "lww"`.
    pub fn declare_lww(&mut self, bucket: impl Into<Bytes>) {
        self.lww_buckets.insert(bucket.into());
    }

    /// Whether the newest of concurrent writes wins this key.
    pub fn is_lww(&self, key: &Key) -> bool {
        self.lww_buckets.contains(&key.bucket)
    }

    /// A client asks for something.
    pub fn invoke(&mut self, at: Micros, client: ClientId, key: &Key, quorums: Quorums, call: Call) -> OperationId {
        let operation = OperationId(self.operations);
        self.operations += 1;
        self.record(at, What::Invoked { operation, client, key: key.clone(), quorums, call });
        operation
    }

    /// A client is told what came of it.
    pub fn answer(&mut self, at: Micros, operation: OperationId, outcome: Outcome) {
        self.record(at, What::Answered { operation, outcome });
    }

    /// Anything else happens.
    pub fn record(&mut self, at: Micros, what: What) {
        self.events.push(Event { at, what });
    }

    /// All events, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_name_their_write() {
        let value = WriteId(7).to_value();
        assert_eq!(WriteId::of_value(&value), WriteId(7));
        let mut damaged = value.to_vec();
        damaged[7] ^= 1;
        for garbage in [&damaged[..], &value[..15], &value[..7], b""] {
            assert_eq!(WriteId::of_value(garbage), WriteId::GARBAGE);
        }
    }
}
