//! What a Replica is asked and what it answers.

use std::sync::Arc;

use actix::prelude::*;
use bytes::Bytes;

use crate::core::id::{Epoch, Partition, StoreId};
use crate::core::key::Key;
use crate::core::quorum::age::Reading;
use crate::core::reap::{self, Question};
use crate::core::request::Failure;
use crate::core::version::Clock;
use crate::core::version::mint::Write;
use crate::node::disk::Ticket;
use crate::node::env::Moment;
use crate::wire::exchange::{ClocksPage, LeavesAnswer, ObjectsPage, SumsAnswer};
use crate::wire::list::{Scan, Scanned};
use crate::wire::message::{Examined, Object, ReplicaError};

/// Calls that came together, for one Replica. Answered in batches to the sink, in any order.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReplicaBatch {
    /// What to do.
    pub calls: Vec<ReplicaCall>,
    /// Who wants to know.
    pub sink: Arc<dyn ReplicaSink>,
}

/// Takes a Replica's answers, at once and without waiting.
pub trait ReplicaSink: Send + Sync {
    /// Some answers.
    fn reply(&self, replies: Vec<ReplicaReply>);
}

/// One thing to do.
pub enum ReplicaCall {
    /// Give a write its dot, store it here. Answered by `Minted` at once and by `Stored` when it is durable; or by `Refused`.
    Mint {
        /// The asker's number.
        id: u64,
        /// The age of the key's partition by the asker's ring.
        epoch: Epoch,
        /// Whose.
        key: Key,
        /// The write.
        write: Box<Write>,
        /// The owner that this store stands in for.
        hint: Option<StoreId>,
        /// When it is too late to begin.
        expires: Moment,
    },
    /// Merge an object into what is here. Answered by `Stored` when the result is durable.
    Store {
        /// The asker's number.
        id: u64,
        /// As in `Mint`.
        epoch: Epoch,
        /// Whose.
        key: Key,
        /// The object, encoded.
        object: Bytes,
        /// The owner that this store stands in for.
        hint: Option<StoreId>,
        /// When it is too late to begin.
        expires: Moment,
    },
    /// Tell what is here. Answered by `Fetched`.
    Fetch {
        /// The asker's number.
        id: u64,
        /// As in `Mint`.
        epoch: Epoch,
        /// Whose.
        key: Key,
        /// On what the asker relies.
        reading: Reading,
        /// When it is too late to begin.
        expires: Moment,
    },
    /// Tell what is here and for whom. Answered by `Examined`.
    Examine {
        /// The asker's number.
        id: u64,
        /// Whose.
        key: Key,
    },
    /// Tell what is durable here of a range. Answered by `Scanned`.
    Scan {
        /// The asker's number.
        id: u64,
        /// Which range.
        scan: Scan,
        /// When it is too late to begin.
        expires: Moment,
    },
    /// Read hints for a target, in order. Answered by `Hints`.
    ScanHints {
        /// The asker's number.
        id: u64,
        /// For whom.
        target: StoreId,
        /// Begin after this one.
        after: Option<Bytes>,
        /// How many at most.
        limit: usize,
    },
    /// The target has acknowledged this version durably: drop the hint, and the copy with it, if it is still the one. Not answered.
    HandedOff {
        /// Ignored.
        id: u64,
        /// Whose.
        key: Key,
        /// Who has it now.
        target: StoreId,
        /// The version that it has.
        clock: Clock,
    },
    /// Tell what is here of a partition, in leaves. Answered by `Leaves`, with the leaves or with how far their making is.
    Leaves {
        /// The asker's number.
        id: u64,
        /// The epoch since which the asker knows the partition's owners.
        epoch: Epoch,
        /// Which.
        partition: Partition,
    },
    /// Tell the sums of some nodes of the tree over a partition's leaves. Answered by `Sums`.
    Sums {
        /// The asker's number.
        id: u64,
        /// As in `Leaves`.
        epoch: Epoch,
        /// Which.
        partition: Partition,
        /// Which level, counted from the root.
        depth: u32,
        /// The nodes' numbers in it.
        nodes: Vec<u32>,
    },
    /// Read a whole partition again, slowly, and look whether the tree that is kept of it is right. Not answered.
    Verify {
        /// Ignored.
        id: u64,
        /// Which.
        partition: Partition,
    },
    /// Tell the versions of the keys in some leaves, in key order. Answered by `Clocks`.
    Clocks {
        /// The asker's number.
        id: u64,
        /// As in `Leaves`.
        epoch: Epoch,
        /// Which.
        partition: Partition,
        /// The leaves' numbers, in order.
        leaves: Vec<u32>,
        /// Begin after this one.
        after: Option<Bytes>,
        /// How many at most.
        limit: usize,
    },
    /// Read a partition's objects, in key order. Answered by `Page`.
    Pull {
        /// The asker's number.
        id: u64,
        /// As in `Leaves`.
        epoch: Epoch,
        /// Which.
        partition: Partition,
        /// Begin after this one.
        after: Option<Bytes>,
        /// Bytes at most, unless a single object has more.
        bytes_max: usize,
    },
    /// Read these objects. Answered by `Page`.
    Objects {
        /// The asker's number.
        id: u64,
        /// As in `Leaves`.
        epoch: Epoch,
        /// Which.
        partition: Partition,
        /// In their stored form, all of this partition.
        keys: Vec<Bytes>,
    },
    /// Somebody could not keep a copy of this partition for this store: it needs sync. Answered by `Stored`.
    Missed {
        /// The asker's number.
        id: u64,
        /// Which.
        partition: Partition,
    },
    /// A target knows that it misses something of a partition. Not answered.
    Told {
        /// Ignored.
        id: u64,
        /// Who.
        target: StoreId,
        /// Of which partition.
        partition: Partition,
        /// How much had been refused when it was told.
        count: u64,
    },
    /// Hold this key no more, if this version is still the newest, nothing of the key is on its way to the disk, nobody waits for it
    /// by a hint, and this store owns no place of it. Answered by `Dropped`.
    Drop {
        /// The asker's number.
        id: u64,
        /// Whose.
        key: Key,
        /// The version that the owners are known to hold or to cover.
        clock: Clock,
    },
    /// Answer a question of who reaps. Answered by `Reap`, or by `Failed` if the rings differ or the partition is in motion.
    Reap {
        /// The asker's number.
        id: u64,
        /// The asker's ring.
        epoch: Epoch,
        /// About which partition.
        partition: Partition,
        /// What.
        question: Question,
    },
}

impl ReplicaCall {
    /// The asker's number.
    pub fn id(&self) -> u64 {
        match self {
            ReplicaCall::Mint { id, .. }
            | ReplicaCall::Store { id, .. }
            | ReplicaCall::Fetch { id, .. }
            | ReplicaCall::Examine { id, .. }
            | ReplicaCall::Scan { id, .. }
            | ReplicaCall::ScanHints { id, .. }
            | ReplicaCall::HandedOff { id, .. }
            | ReplicaCall::Leaves { id, .. }
            | ReplicaCall::Sums { id, .. }
            | ReplicaCall::Verify { id, .. }
            | ReplicaCall::Clocks { id, .. }
            | ReplicaCall::Pull { id, .. }
            | ReplicaCall::Objects { id, .. }
            | ReplicaCall::Missed { id, .. }
            | ReplicaCall::Told { id, .. }
            | ReplicaCall::Reap { id, .. }
            | ReplicaCall::Drop { id, .. } => *id,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum ReplicaReply {
    /// The dot is minted; the merged object goes to the others.
    Minted {
        /// The asker's number.
        id: u64,
        /// The merged object, encoded.
        object: Bytes,
        /// The writer's new context, encoded.
        context: Bytes,
        /// Live siblings.
        siblings: u32,
    },
    /// A limit forbids the write; nothing was stored.
    Refused {
        /// The asker's number.
        id: u64,
        /// Which.
        failure: Failure,
    },
    /// It is durable, or why not.
    Stored {
        /// The asker's number.
        id: u64,
        /// Whether it counts in pw: the partition is in sync and, once the answer has left, the store held a lease then.
        leased: bool,
        /// Ok, or why not.
        result: Result<(), ReplicaError>,
    },
    /// What is here.
    Fetched {
        /// The asker's number.
        id: u64,
        /// Whether it counts in pr, as in `Stored`.
        leased: bool,
        /// The object, encoded.
        result: Result<Option<Object>, ReplicaError>,
    },
    /// What is here and for whom.
    Examined {
        /// The asker's number.
        id: u64,
        /// The object and the hints.
        result: Result<Examined, ReplicaError>,
    },
    /// What is here of a range.
    Scanned {
        /// The asker's number.
        id: u64,
        /// As much as one answer holds.
        scanned: Scanned,
    },
    /// Hints for a target.
    Hints {
        /// The asker's number.
        id: u64,
        /// Each with its object.
        hints: Vec<HeldHint>,
        /// Where to go on; `None` at the end.
        next: Option<Bytes>,
    },
    /// What is here of a partition.
    Leaves {
        /// The asker's number.
        id: u64,
        /// The leaves, or how far their making is.
        result: Result<LeavesAnswer, ReplicaError>,
    },
    /// Sums of some nodes.
    Sums {
        /// The asker's number.
        id: u64,
        /// The sums, or how far the making of the leaves is.
        result: Result<SumsAnswer, ReplicaError>,
    },
    /// Versions of some keys of a partition.
    Clocks {
        /// The asker's number.
        id: u64,
        /// A page of them.
        result: Result<ClocksPage, ReplicaError>,
    },
    /// Objects of a partition.
    Page {
        /// The asker's number.
        id: u64,
        /// A page of them.
        result: Result<ObjectsPage, ReplicaError>,
    },
    /// Whether a key was dropped.
    Dropped {
        /// The asker's number.
        id: u64,
        /// The removal is durable, or there was nothing. If not, the key is held as before: look again at which version it has.
        dropped: bool,
    },
    /// The answer to a question of who reaps; if something was removed, that is durable.
    Reap {
        /// The asker's number.
        id: u64,
        /// The answer, or why there is none.
        result: Result<reap::Answer, ReplicaError>,
    },
    /// It could not be done. Stands for any of the answers above.
    Failed {
        /// The asker's number.
        id: u64,
        /// Why.
        error: ReplicaError,
    },
}

impl ReplicaReply {
    /// It could not be done.
    pub fn failed(id: u64, error: ReplicaError) -> ReplicaReply {
        ReplicaReply::Failed { id, error }
    }

    /// The same answer as it leaves: without a lease it counts in no pr and pw.
    pub fn leaving(mut self, with_lease: bool) -> ReplicaReply {
        if let ReplicaReply::Stored { leased, .. } | ReplicaReply::Fetched { leased, .. } = &mut self {
            *leased &= with_lease;
        }
        self
    }

    /// The asker's number.
    pub fn id(&self) -> u64 {
        match self {
            ReplicaReply::Minted { id, .. }
            | ReplicaReply::Refused { id, .. }
            | ReplicaReply::Stored { id, .. }
            | ReplicaReply::Fetched { id, .. }
            | ReplicaReply::Examined { id, .. }
            | ReplicaReply::Scanned { id, .. }
            | ReplicaReply::Hints { id, .. }
            | ReplicaReply::Leaves { id, .. }
            | ReplicaReply::Sums { id, .. }
            | ReplicaReply::Clocks { id, .. }
            | ReplicaReply::Page { id, .. }
            | ReplicaReply::Dropped { id, .. }
            | ReplicaReply::Reap { id, .. }
            | ReplicaReply::Failed { id, .. } => *id,
        }
    }
}

/// A copy that waits for its owner.
#[derive(Clone, Debug)]
pub struct HeldHint {
    /// Whose.
    pub key: Key,
    /// The object, encoded.
    pub object: Bytes,
    /// Its version.
    pub clock: Clock,
}

/// From the disk: everything up to this ticket is durable, or never will be.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Flushed {
    /// The last batch that this speaks of.
    pub ticket: Ticket,
    /// Ok, or why not.
    pub result: Result<(), Unwritten>,
}

/// A batch that the disk refused, or that may be there or not.
#[derive(Clone, Debug)]
pub struct Unwritten {
    /// Why.
    pub reason: String,
    /// The engine may show what is not durable, and takes no more writes.
    pub engine_shows_it: bool,
}

/// Answered when everything that was accepted before this is durable, or will never be.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub struct Settle;

/// Stop, after everything that was asked before.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Halt;
