//! What was deleted and is not forgotten yet, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::id::NodeId;

/// What one node holds of that.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct TombstonesReport {
    /// The node.
    pub node: Option<NodeId>,
    /// The bucket that was asked about; `None` is all.
    pub bucket: Option<String>,
    /// Keys with tombstones alone.
    pub tombstones: u64,
    /// Keys whose values have expired.
    pub expired: u64,
    /// Keys whose values are going to expire.
    pub expiring: u64,
    /// Of tombstones and expired: whose grace is over here.
    pub due: u64,
    /// For how long the grace of the oldest one has counted, in milliseconds; `None` if there is none.
    pub oldest_ms: Option<u64>,
    /// The grace, in milliseconds.
    pub grace_ms: u64,
    /// Tombstones and expired values forgotten since the start.
    pub reaped: u64,
    /// Context entries forgotten since the start.
    pub pruned: u64,
    /// What keeps something from being forgotten that is due.
    pub reaping: ReapReport,
}

/// What reaping is doing, and what keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReapReport {
    /// Partitions in which it is under way: everybody is asked, twice.
    pub under_way: u64,
    /// What blocks it, and in how many partitions.
    pub blocked: BTreeMap<String, u64>,
    /// Keys that another owner holds in another version than this node, as of the last time that it was asked. Repair brings them
    /// together.
    pub differing: BTreeMap<NodeId, u64>,
}
