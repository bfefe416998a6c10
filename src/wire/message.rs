//! The messages inside frames.
//!
//! Clients and nodes number their calls; answers come in any order. Deadlines travel as milliseconds that are left, since
//! clocks differ: a receiver counts from arrival, and drops what is late before working on it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::exchange::{ClocksPage, LeavesAnswer, ObjectsPage, SumsAnswer};
use super::list::{ListPage, ListRequest, Scan, Scanned};
use super::report::{Inspect, Inspection};
use super::tree::{TreeAnswer, TreeFailure, TreeRequest};
use crate::core::id::{Epoch, Partition, StoreId};
use crate::core::key::Key;
use crate::core::quorum::age::Reading;
use crate::core::reap;
use crate::core::request::{Answer, Failure, Request};

/// From an application to a node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToNode {
    /// Do this. Answered by [`ToClient::Answer`] with the same id; if the connection breaks first, a write's outcome is unknown.
    Call {
        /// The caller's number, unique on this connection while it is unanswered.
        id: u64,
        /// The ring by which the caller chose this node.
        epoch: Option<Epoch>,
        /// What to do.
        request: Request,
    },
    /// Show this. Answered by [`ToClient::Shown`].
    Inspect {
        /// As in `Call`.
        id: u64,
        /// What to show.
        what: Inspect,
    },
    /// Ask the coordination service this. Answered by [`ToClient::Tree`]; if the connection breaks first, a write's outcome is
    /// unknown, and what was held for the connection is deleted.
    Tree {
        /// As in `Call`.
        id: u64,
        /// Milliseconds left; a watch waits that long and its own time.
        timeout_ms: u32,
        /// What to ask.
        request: TreeRequest,
    },
    /// The next page of a bucket's keys, please. Answered by [`ToClient::Listed`]; if the connection breaks first, ask any node again.
    List {
        /// As in `Call`.
        id: u64,
        /// Milliseconds left.
        timeout_ms: u32,
        /// Which page.
        request: ListRequest,
    },
    /// Are you there? Answered by [`ToClient::Pong`]; an idle connection is closed after `limits.idle_timeout_ms`.
    Ping(u64),
}

/// From a node to an application.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToClient {
    /// What came of a call.
    Answer {
        /// The call's.
        id: u64,
        /// The node's ring; one newer than the caller's is worth learning.
        epoch: Epoch,
        /// What came of it.
        result: Result<Answer, Failure>,
    },
    /// What was to be shown.
    Shown {
        /// The call's.
        id: u64,
        /// The report, or why there is none.
        result: Result<Box<Inspection>, Failure>,
    },
    /// What came of a question to the coordination service.
    Tree {
        /// The call's.
        id: u64,
        /// The answer, or why there is none.
        result: Result<Box<TreeAnswer>, TreeFailure>,
    },
    /// A page of a bucket's keys.
    Listed {
        /// The call's.
        id: u64,
        /// The node's ring.
        epoch: Epoch,
        /// The page, or why there is none: the same can be asked again.
        result: Result<ListPage, Failure>,
    },
    /// Yes.
    Pong(u64),
    /// The node closes this connection after its answers in flight; go elsewhere.
    Goodbye(String),
}

/// From a coordinating node to a replica's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToReplica {
    /// Hold this: merge it with what you have and acknowledge once the result is durable. Idempotent.
    Store {
        /// The caller's number.
        id: u64,
        /// The age of the key's partition by the caller's ring.
        epoch: Epoch,
        /// Milliseconds left.
        deadline_ms: u32,
        /// Whose.
        key: Key,
        /// The whole object after the merge, encoded.
        #[serde(with = "crate::core::blob")]
        object: Bytes,
        /// The owner that the receiver stands in for: its copy is a hint.
        hint: Option<StoreId>,
    },
    /// What do you hold?
    Fetch {
        /// The caller's number.
        id: u64,
        /// The age of the key's partition by the caller's ring.
        epoch: Epoch,
        /// Milliseconds left.
        deadline_ms: u32,
        /// Whose.
        key: Key,
        /// On what the caller relies.
        reading: Reading,
    },
    /// Coordinate this write: the sender is not in the key's preference list. Sent once and never again: if the
    /// link breaks before the answer the outcome is unknown.
    Forward {
        /// The caller's number.
        id: u64,
        /// The age of the key's partition by the caller's ring.
        epoch: Epoch,
        /// Milliseconds left.
        deadline_ms: u32,
        /// The client's request.
        request: Request,
    },
    /// Which hints and version do you hold of this key? For `kv-cli locate`.
    Examine {
        /// The caller's number.
        id: u64,
        /// Whose.
        key: Key,
    },
    /// What do you hold of this range of a partition? For a listing. Changes nothing; whoever does not answer is replaced by another
    /// owner.
    Scan {
        /// The caller's number.
        id: u64,
        /// The caller's ring.
        epoch: Epoch,
        /// Milliseconds left.
        deadline_ms: u32,
        /// Which range.
        scan: Scan,
    },
    /// What do you hold of this partition, in leaves? Answered by [`ToCoordinator::Leaves`]. See [`super::exchange`] for this question
    /// and the next four: they tell what is durable, change nothing, and may be asked again if an answer is lost.
    Leaves {
        /// The caller's number.
        id: u64,
        /// The epoch since which the caller knows the partition's owners.
        epoch: Epoch,
        /// Which.
        partition: Partition,
    },
    /// What are the sums of these nodes of the tree over your leaves? Answered by [`ToCoordinator::Sums`].
    Sums {
        /// The caller's number.
        id: u64,
        /// As in `Leaves`.
        epoch: Epoch,
        /// Which.
        partition: Partition,
        /// Which level, counted from the root, which alone is level 0.
        depth: u32,
        /// The nodes' numbers in it.
        nodes: Vec<u32>,
    },
    /// Which versions do you hold of the keys in these leaves? Answered by [`ToCoordinator::Clocks`], page by page.
    Clocks {
        /// The caller's number.
        id: u64,
        /// As in `Leaves`.
        epoch: Epoch,
        /// Which.
        partition: Partition,
        /// The leaves' numbers, in order.
        leaves: Vec<u32>,
        /// Begin after this stored key; an answer's `next`.
        after: Option<Bytes>,
        /// Keys in the answer, at most; a replica may set a lower limit.
        limit: u32,
    },
    /// What do you hold of this partition, whole? Answered by [`ToCoordinator::Page`], page by page.
    Pull {
        /// The caller's number.
        id: u64,
        /// As in `Leaves`.
        epoch: Epoch,
        /// Which.
        partition: Partition,
        /// Begin after this stored key; an answer's `next`.
        after: Option<Bytes>,
        /// Bytes of objects in the answer, at most, unless a single one has more; a replica may set a lower limit.
        bytes_max: u32,
    },
    /// What do you hold of these keys, whole? Answered by [`ToCoordinator::Page`].
    Objects {
        /// The caller's number.
        id: u64,
        /// As in `Leaves`.
        epoch: Epoch,
        /// Which.
        partition: Partition,
        /// The keys in their stored form, all of this partition. Those that do not fit into the answer are named as left over.
        keys: Vec<Bytes>,
    },
    /// Somebody who stood in for you could not keep a copy of this partition for you: exchange it with its other owners. Answered by
    /// [`ToCoordinator::Stored`] when you will not forget it. Idempotent.
    Missed {
        /// The caller's number.
        id: u64,
        /// Which.
        partition: Partition,
    },
    /// Something is to be reaped: answer this first, or do it. Answered by [`ToCoordinator::Reap`], or by `Failed` with
    /// [`ReplicaError::Moved`] if the rings differ or the partition is in motion. May be asked again if an answer is lost; that
    /// blocks the reaping until then.
    Reap {
        /// The caller's number.
        id: u64,
        /// The caller's ring.
        epoch: Epoch,
        /// Which partition.
        partition: Partition,
        /// What.
        question: reap::Question,
    },
    /// Are you there? Answered at once by the connection, not by an actor.
    Ping(u64),
}

impl ToReplica {
    /// The caller's number; zero for a ping, which has none.
    pub fn id(&self) -> u64 {
        match self {
            ToReplica::Store { id, .. }
            | ToReplica::Fetch { id, .. }
            | ToReplica::Forward { id, .. }
            | ToReplica::Examine { id, .. }
            | ToReplica::Leaves { id, .. }
            | ToReplica::Sums { id, .. }
            | ToReplica::Clocks { id, .. }
            | ToReplica::Pull { id, .. }
            | ToReplica::Objects { id, .. }
            | ToReplica::Missed { id, .. }
            | ToReplica::Reap { id, .. }
            | ToReplica::Scan { id, .. } => *id,
            ToReplica::Ping(_) => 0,
        }
    }
}

impl ToCoordinator {
    /// The call's number; zero for a pong, which has none.
    pub fn id(&self) -> u64 {
        match self {
            ToCoordinator::Stored { id, .. }
            | ToCoordinator::Fetched { id, .. }
            | ToCoordinator::Forwarded { id, .. }
            | ToCoordinator::Failed { id, .. }
            | ToCoordinator::Examined { id, .. }
            | ToCoordinator::Leaves { id, .. }
            | ToCoordinator::Sums { id, .. }
            | ToCoordinator::Clocks { id, .. }
            | ToCoordinator::Page { id, .. }
            | ToCoordinator::Reap { id, .. }
            | ToCoordinator::Scanned { id, .. } => *id,
            ToCoordinator::Pong(_) => 0,
        }
    }
}

/// From a replica's node to the coordinating one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToCoordinator {
    /// The object is durable here, or why not.
    Stored {
        /// The call's.
        id: u64,
        /// Whether the replica held a lease when it replied: else it counts in no pw.
        leased: bool,
        /// Ok, or why not.
        result: Result<(), ReplicaError>,
    },
    /// The object that is held, encoded; `None` if the key is unknown.
    Fetched {
        /// The call's.
        id: u64,
        /// Whether the replica held a lease when it replied: else it counts in no pr.
        leased: bool,
        /// The object, or why there is none.
        result: Result<Option<Object>, ReplicaError>,
    },
    /// What came of a forwarded write.
    Forwarded {
        /// The call's.
        id: u64,
        /// The answer for the client.
        result: Result<Answer, Failure>,
    },
    /// What was asked by [`ToReplica::Examine`].
    Examined {
        /// The call's.
        id: u64,
        /// The object and the stores it is held for.
        result: Result<Examined, ReplicaError>,
    },
    /// What was asked by [`ToReplica::Scan`].
    Scanned {
        /// The call's.
        id: u64,
        /// The range, or as much of it as one answer holds.
        scanned: Scanned,
    },
    /// What was asked by [`ToReplica::Leaves`].
    Leaves {
        /// The call's.
        id: u64,
        /// The leaves, or how far their making is.
        result: Result<LeavesAnswer, ReplicaError>,
    },
    /// What was asked by [`ToReplica::Sums`].
    Sums {
        /// The call's.
        id: u64,
        /// The sums, or how far the making of the leaves is.
        result: Result<SumsAnswer, ReplicaError>,
    },
    /// What was asked by [`ToReplica::Clocks`].
    Clocks {
        /// The call's.
        id: u64,
        /// A page of versions.
        result: Result<ClocksPage, ReplicaError>,
    },
    /// What was asked by [`ToReplica::Pull`] or [`ToReplica::Objects`].
    Page {
        /// The call's.
        id: u64,
        /// A page of objects.
        result: Result<ObjectsPage, ReplicaError>,
    },
    /// What was asked by [`ToReplica::Reap`]; what it removed is gone durably.
    Reap {
        /// The call's.
        id: u64,
        /// The answer, or why there is none.
        result: Result<reap::Answer, ReplicaError>,
    },
    /// It could not be done, whatever it was.
    Failed {
        /// The call's.
        id: u64,
        /// Why.
        error: ReplicaError,
    },
    /// Yes.
    Pong(u64),
}

/// An encoded [`crate::core::version::Object`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(#[serde(with = "crate::core::blob")] pub Bytes);

/// What one replica holds of a key.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Examined {
    /// The object, encoded.
    pub object: Option<Object>,
    /// The owners for which it is kept as a hint.
    pub hints: Vec<StoreId>,
}

/// Why a replica did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum ReplicaError {
    /// It takes no writes: its disk failed or is full.
    #[error("the replica takes no writes: {0}")]
    ReadOnly(String),
    /// What it holds cannot be read.
    #[error("the replica cannot read: {0}")]
    Unreadable(String),
    /// The object in the message is malformed.
    #[error("malformed object: {0}")]
    Malformed(String),
    /// The time for it had passed when its turn came.
    #[error("too late")]
    Late,
    /// A bounded queue is full, here or on the way.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// The caller's ring is too old for this partition, which changed at the epoch named. Nothing was done.
    #[error("moved: the partition changed at epoch {0}")]
    Moved(Epoch),
    /// The link broke or the node is down. Made by the caller's side, never sent.
    #[error("unreachable")]
    Unreachable,
}
