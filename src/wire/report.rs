//! What operators look at: status, statistics, the ring, where a key lies, the cluster and its coordination service. Shown
//! by `kv-cli`, as text or JSON.

mod anti_entropy;
mod cluster;
mod hints;
mod service;
mod tombstones;
mod transfers;

use serde::{Deserialize, Serialize};

use crate::core::bucket::Bucket;
use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::key::Key;
use crate::core::ring::Ring;

pub use anti_entropy::{AntiEntropyReport, ExchangeReport, RepairReport, UnsyncedReport};
pub use cluster::{
    ClusterReport, Finding, Gap, LeaseReport, Liveness, MemberReport, SessionState, StoreFate, UnderReplicated,
};
pub use hints::{HintReport, HintsReport};
pub use service::{
    KeeperRole, NookeeperReport, ParticipantReport, SESSIONS_SHOWN_MAX, ServiceReport, SessionReport, ZooKeeperReport,
};
pub use tombstones::{ReapReport, TombstonesReport};
pub use transfers::{DrainReport, TransferPhase, TransferReport, TransfersReport};

/// What a node can be asked to show.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Inspect {
    /// The ring and the buckets: what a client needs to send each key to an owner.
    Ring,
    /// How this node is.
    Status,
    /// What this node has done.
    Stats,
    /// Who should hold a key, and who holds which version of it.
    Locate(Key),
    /// How the coordination service is, as this node sees it.
    Service,
    /// Who is in the cluster, how it is, and what is about to happen, as this node sees it.
    Cluster,
    /// What this node copies and hands over because the ring changes.
    Transfers,
    /// What this node keeps for others.
    Hints,
    /// What was deleted or has expired and is not forgotten yet on this node; in one bucket, if one is named.
    Tombstones(Option<String>),
    /// How far this node is in comparing what it owns with the other owners.
    AntiEntropy,
    /// Compare now. The only thing here that is done and not only shown; asked again, it begins anew.
    Repair {
        /// Only keys of this bucket.
        bucket: Option<String>,
        /// All that the node owns, not only what it leads.
        all: bool,
    },
}

/// What it shows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Inspection {
    /// The ring and the buckets.
    Ring(RingReport),
    /// How the node is.
    Status(StatusReport),
    /// What the node has done.
    Stats(StatsReport),
    /// Where a key lies.
    Located(LocateReport),
    /// How the coordination service is.
    Service {
        /// As this node sees it.
        node: NodeId,
        /// `None` if the node uses none yet.
        service: Option<Box<ServiceReport>>,
    },
    /// How the cluster is.
    Cluster(Box<ClusterReport>),
    /// What the node copies and hands over.
    Transfers(Box<TransfersReport>),
    /// What the node keeps for others.
    Hints(Box<HintsReport>),
    /// What is deleted and not forgotten.
    Tombstones(Box<TombstonesReport>),
    /// How far the node is in comparing.
    AntiEntropy(Box<AntiEntropyReport>),
    /// So many pairs are going to be compared.
    Repairing {
        /// How many.
        pairs: u64,
    },
}

/// The ring and the buckets that are configured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RingReport {
    /// The cluster's name.
    pub cluster: String,
    /// Who owns what.
    pub ring: Ring,
    /// Properties of the buckets that have their own.
    pub buckets: Vec<(String, Bucket)>,
}

/// How a node is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatusReport {
    /// The node.
    pub node: NodeId,
    /// Its store.
    pub store: StoreId,
    /// The cluster's name.
    pub cluster: String,
    /// The program's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// How often this store has been started.
    pub start: u64,
    /// The ring it works with.
    pub epoch: Epoch,
    /// `fjall` or `memory`.
    pub engine: String,
    /// `always`, `interval` or `never`.
    pub sync: String,
    /// Whether it holds a lease, and so serves strict requests.
    pub leased: bool,
    /// Why it takes no writes, if it takes none.
    pub read_only: Option<String>,
    /// Bytes of its data directory, as the engine estimates them.
    pub disk_bytes: u64,
    /// Bytes free on its disk.
    pub disk_free_bytes: Option<u64>,
    /// Hints it holds, by owner they wait for.
    pub hints: Vec<(NodeId, u64)>,
    /// Its view of the others.
    pub peers: Vec<PeerReport>,
}

/// One node's view of another.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PeerReport {
    /// The other.
    pub node: NodeId,
    /// Where it is dialled.
    pub address: String,
    /// Whether its link is up.
    pub up: bool,
    /// Milliseconds since it was last heard; `None` if never.
    pub last_heard_ms: Option<u64>,
    /// Median and 95th percentile of its answers, in microseconds.
    pub latency_us: Option<(u64, u64)>,
    /// Calls waiting for its answer.
    pub in_flight: u64,
    /// Why the link is down.
    pub trouble: Option<String>,
}

/// What a node has done since it started.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StatsReport {
    /// The node.
    pub node: Option<NodeId>,
    /// Named counters and gauges, in a fixed order.
    pub counters: Vec<(String, u64)>,
    /// Named latencies, in a fixed order.
    pub latencies: Vec<(String, LatencyReport)>,
}

/// A latency's distribution, in microseconds.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LatencyReport {
    /// How many were measured.
    pub count: u64,
    /// The median.
    pub p50_us: u64,
    /// The 95th percentile.
    pub p95_us: u64,
    /// The 99th percentile.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// Where a key lies.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LocateReport {
    /// Its token, in hexadecimal.
    pub token: String,
    /// Its partition.
    pub partition: Partition,
    /// The ring by which this was found.
    pub epoch: Epoch,
    /// The ring with which the partition's owners, or their motion, last changed; zero if never.
    pub since: Epoch,
    /// How far the partition is on its way to other owners.
    pub phase: Phase,
    /// Owners in the order of their places, those who come to own it, those who drain it, then fallbacks in their order.
    pub replicas: Vec<ReplicaReport>,
}

/// How far a partition is on its way to other owners.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has its owners.
    AtRest,
    /// Those who arrive copy it. It is read from the old owners and written to old and new ones.
    Pending,
    /// It is read from the new owners and written to old and new ones, until everybody knows.
    Switched,
}

/// What one member has of a key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// The node.
    pub node: NodeId,
    /// Whether it owns the key's partition, on either side if that changes hands.
    pub owner: bool,
    /// What it is to the partition.
    pub role: Role,
    /// What it holds; the error if it could not be asked.
    pub holds: Result<Option<HeldReport>, String>,
    /// Owners for which it keeps this key as a hint.
    pub hints: Vec<NodeId>,
}

/// What a member is to a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Owns it, and stays so.
    Owner,
    /// Comes to own it: takes its writes, and copies what was there before.
    Arriving,
    /// Owns it still, and takes its writes, until those who arrive have it and everybody knows.
    Departing,
    /// Owned it, or was to. Takes nothing, hands over what it holds, and drops that.
    Draining,
    /// Stands in for owners that are down.
    Fallback,
}

/// An object as a replica holds it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HeldReport {
    /// The causal context, as text. Equal texts are equal versions.
    pub context: String,
    /// The siblings.
    pub siblings: Vec<SiblingReport>,
}

/// One sibling.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SiblingReport {
    /// The dot of the write that made it.
    pub dot: String,
    /// Bytes of its value; `None` for a tombstone.
    pub bytes: Option<u64>,
    /// When it was written, in milliseconds since 1970.
    pub written_ms: u64,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}
