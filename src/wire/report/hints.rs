//! What a node keeps for others.

use serde::{Deserialize, Serialize};

use crate::core::id::{NodeId, StoreId};

/// The hints of one node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HintsReport {
    /// By target.
    pub targets: Vec<HintReport>,
    /// What all of them weigh.
    pub bytes: u64,
    /// What they may weigh: `hints.bytes_max`.
    pub bytes_max: u64,
    /// What those for one target may weigh: `hints.target_bytes_max`.
    pub target_bytes_max: u64,
    /// Copies refused since the node's start because that was used up.
    pub refused: u64,
}

/// What waits for one target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HintReport {
    /// Its store.
    pub store: StoreId,
    /// Its node; 0 if it is no member any more.
    pub node: NodeId,
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and records.
    pub bytes: u64,
    /// For how many seconds the oldest has been kept, to the minute above.
    pub oldest_s: u64,
    /// Partitions of which a copy was refused, and which it is told to look after when it is back.
    pub missed_partitions: u32,
    /// Bytes a second that it takes now; `None` if nothing is being delivered.
    pub bytes_per_s: Option<u64>,
    /// Why nothing is being delivered.
    pub waiting: Option<String>,
}
