//! How the cluster is, as one node sees it: what stands in the coordination service, put beside what that node's links say.

use serde::{Deserialize, Serialize};

use super::ServiceReport;
use crate::core::id::{Epoch, NodeId, StoreId};
use crate::core::ring::change::{Action, Standing};
use crate::wire::change::{ChangeReport, DownReport};

/// How the cluster is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClusterReport {
    /// The cluster's name.
    pub cluster: String,
    /// The node that says so.
    pub asked: NodeId,
    /// The ring it works with.
    pub epoch: Epoch,
    /// Q.
    pub partitions: u32,
    /// Owners of each partition.
    pub replication: u8,
    /// How the coordination service is; `None` of one that the node was started with by the program around it, which tells nothing
    /// of itself.
    pub service: Option<ServiceReport>,
    /// The asked node's session with it.
    pub session: Option<SessionState>,
    /// The asked node's right to serve strict requests.
    pub lease: LeaseReport,
    /// The members of the ring, by node.
    pub members: Vec<MemberReport>,
    /// What is held by fewer nodes than it should be.
    pub under_replicated: UnderReplicated,
    /// The ring change that is under way.
    pub change: Option<Box<ChangeReport>>,
    /// What is staged and not committed.
    pub staged: Vec<Action>,
    /// Members without a session, and what becomes of them.
    pub down: Vec<DownReport>,
    /// What an operator should know, the most urgent first.
    pub findings: Vec<Finding>,
}

/// The asked node's session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionState {
    /// Its number.
    pub session: u64,
    /// Milliseconds that it lives without a sign of life.
    pub timeout_ms: u64,
    /// Whether the service answers in it.
    pub connected: bool,
}

/// The right to serve strict requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeaseReport {
    /// Milliseconds that are left unless it is renewed; 0 once it is over.
    pub left_ms: u64,
}

/// A member of the ring.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberReport {
    /// The node; 0 for a store that no node serves any more.
    pub node: NodeId,
    /// Its store.
    pub store: StoreId,
    /// Where it is dialled.
    pub address: String,
    /// Its zone.
    pub zone: String,
    /// Its weight.
    pub weight: u32,
    /// What it is to the ring.
    pub standing: Standing,
    /// Partitions that it owns.
    pub partitions: u32,
    /// Whether the asked node has a link to it; always so of itself.
    pub up: bool,
    /// Why not.
    pub trouble: Option<String>,
    /// Its session with the coordination service.
    pub liveness: Liveness,
}

/// What is known of a member's session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Liveness {
    /// Nothing: the asked node cannot look.
    Unknown,
    /// It has one.
    Live {
        /// Its number.
        session: u64,
        /// Milliseconds that it lives without a sign of life, where that is known.
        timeout_ms: Option<u64>,
        /// Milliseconds since its last sign of life, where that is known.
        silent_ms: Option<u64>,
        /// The ring that it works with, where it has said so.
        epoch: Option<Epoch>,
    },
    /// It has none.
    Gone,
}

/// Partitions that lack owners.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct UnderReplicated {
    /// How many have at least one owner that cannot be reached.
    pub partitions: u32,
    /// How many of those have no owner that can be reached.
    pub without_owner: u32,
    /// Who is missing.
    pub gaps: Vec<Gap>,
}

/// An owner that is missing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gap {
    /// The node; 0 for a store that no node serves any more.
    pub node: NodeId,
    /// Its store.
    pub store: StoreId,
    /// How many partitions lack it.
    pub partitions: u32,
}

/// Something that an operator should know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Partitions of which no owner can be reached: strict requests fail, sloppy ones live on fallbacks.
    NoOwner {
        /// How many.
        partitions: u32,
    },
    /// The asked node's lease is over: it refuses strict requests.
    LeaseOver,
    /// The asked node cannot renew its lease.
    LeaseEnds {
        /// Milliseconds until it is over.
        in_ms: u64,
    },
    /// The asked node has no session that works.
    NoSession,
    /// The coordination service has no leader: nothing can be changed.
    NoLeader {
        /// Voters that the asked node reaches, itself included.
        reached: u32,
        /// How many must.
        needed: u32,
    },
    /// The provider says that something is wrong.
    ServiceTrouble {
        /// What.
        reason: String,
    },
    /// A copy of a store called and was refused, or a store was left behind by its node.
    Store {
        /// Which.
        store: StoreId,
        /// The node whose store it is or was.
        node: NodeId,
        /// What happened.
        fate: StoreFate,
    },
    /// A member can be reached neither by its link nor by its session.
    NodeDown {
        /// Which.
        node: NodeId,
        /// Partitions that it owns.
        partitions: u32,
    },
    /// A member has no link to the asked node, but its session lives.
    NodeUnreached {
        /// Which.
        node: NodeId,
        /// Partitions that it owns.
        partitions: u32,
        /// Why there is no link.
        reason: String,
        /// Milliseconds until its session ends if nothing more is heard, where that is known.
        session_ends_ms: Option<u64>,
    },
    /// A member answers, but has no session: it serves no strict requests.
    NodeWithoutSession {
        /// Which.
        node: NodeId,
    },
    /// A member works with an older ring.
    NodeBehind {
        /// Which.
        node: NodeId,
        /// Its epoch.
        epoch: Epoch,
    },
    /// A live member owns nothing, and nobody has staged that it should.
    OwnsNothing {
        /// Which.
        node: NodeId,
    },
    /// Changes are staged and not committed.
    Staged {
        /// How many.
        actions: u32,
    },
    /// One more voter lost and the coordination service stops.
    NoVoterToSpare {
        /// Voters that the asked node reaches, itself included.
        reached: u32,
        /// How many must.
        needed: u32,
    },
}

/// What happened to a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreFate {
    /// It was restored from an older copy, which was refused.
    RolledBack {
        /// Where the copy said that it is.
        address: String,
        /// The start that it showed.
        shown: u64,
        /// The latest that was registered.
        registered: u64,
    },
    /// A copy of it ran beside it, and was refused.
    Cloned {
        /// Where the copy said that it is.
        address: String,
    },
    /// It was left behind by its node, called again, and was refused.
    CameBack {
        /// Where it said that it is.
        address: String,
    },
    /// Its node came with another store; its places in the ring are not filled.
    Replaced {
        /// The store that the node serves instead.
        by: Option<StoreId>,
    },
}
