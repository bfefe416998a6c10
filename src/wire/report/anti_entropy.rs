//! How far the owners of partitions are known to be equal.

use serde::{Deserialize, Serialize};

use crate::core::id::{NodeId, Partition};

/// What one node compares with others. Times are milliseconds before or after the report; counts are since the node started.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct AntiEntropyReport {
    /// The node.
    pub node: NodeId,
    /// Whether it compares without being asked.
    pub enabled: bool,
    /// Partitions that it owns together with others.
    pub partitions: u64,
    /// Pairs of a partition and another owner that this node leads.
    pub pairs: u64,
    /// Of these, compared within the last round.
    pub compared: u64,
    /// Pairs that are to be compared at once, by cause.
    pub urgent: Vec<(String, u64)>,
    /// When the last comparison ended.
    pub last_ms: Option<u64>,
    /// When the next round of a pair is due.
    pub next_ms: Option<u64>,
    /// Comparisons that were completed.
    pub exchanges: u64,
    /// Versions of keys that were compared.
    pub keys: u64,
    /// Objects that came.
    pub received: u64,
    /// Objects that went.
    pub sent: u64,
    /// Bytes that were moved for all that.
    pub bytes: u64,
    /// Records that were found to be unreadable.
    pub damaged: u64,
    /// Of these, replaced by what another owner holds.
    pub mended: u64,
    /// Merkle trees that are whole.
    pub trees: u64,
    /// Merkle trees that are being made.
    pub trees_building: u64,
    /// Partitions of which the node may miss something.
    pub needs_sync: Vec<UnsyncedReport>,
    /// What is being compared.
    pub under_way: Vec<ExchangeReport>,
    /// What an operator asked for last.
    pub run: Option<RepairReport>,
    /// Why no rounds are made, if none are.
    pub waiting: Option<String>,
}

/// A partition that needs sync.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnsyncedReport {
    /// Which.
    pub partition: Partition,
    /// Why.
    pub why: String,
    /// The owners with whom it is still to be compared.
    pub waits_for: Vec<NodeId>,
}

/// A comparison under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExchangeReport {
    /// Of which partition.
    pub partition: Partition,
    /// With whom.
    pub with: NodeId,
    /// What for.
    pub cause: String,
    /// Versions of keys compared so far.
    pub keys: u64,
    /// Objects that came.
    pub received: u64,
    /// Objects that went.
    pub sent: u64,
    /// Why it does not go on, if it waits.
    pub waiting: Option<String>,
}

/// How far the last `kv-cli repair` is on one node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RepairReport {
    /// Counts what was asked for since the node started.
    pub number: u64,
    /// Pairs that were to be compared.
    pub pairs: u64,
    /// Of these, compared, or no pairs any more.
    pub done: u64,
    /// Of the others, those whose other owner cannot be reached.
    pub unreachable: u64,
    /// Versions of keys compared.
    pub keys: u64,
    /// Objects that came.
    pub received: u64,
    /// Objects that went.
    pub sent: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Records that could not be read and were replaced.
    pub mended: u64,
    /// Records that can be read by neither.
    pub unreadable: u64,
    /// How long it has taken, or took.
    pub took_ms: u64,
    /// Whether all of it is done.
    pub is_over: bool,
}
