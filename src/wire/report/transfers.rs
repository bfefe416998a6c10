//! How partitions are on their way to a node, and from it.

use serde::{Deserialize, Serialize};

use crate::core::id::{NodeId, Partition};

/// What one node copies and delivers.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct TransfersReport {
    /// What it is to own and has not yet, or not yet been told to read.
    pub arriving: Vec<TransferReport>,
    /// What it holds and does not own.
    pub draining: Vec<DrainReport>,
}

/// One partition that is copied from one node; or one that nobody can be asked for yet.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TransferReport {
    /// Which.
    pub partition: Partition,
    /// Who is copied from; `None` as long as it cannot be said.
    pub from: Option<NodeId>,
    /// Where it is.
    pub phase: TransferPhase,
    /// Keys copied.
    pub keys: u64,
    /// Keys that there were when the source was frozen; zero before that.
    pub keys_expected: u64,
    /// Bytes copied, those before a restart of the node included.
    pub bytes: u64,
    /// Of these, before the last restart.
    pub bytes_before: u64,
    /// Bytes that there were when the source was frozen; zero before that.
    pub bytes_expected: u64,
    /// Bytes a second, since it began or went on.
    pub bytes_per_s: u64,
    /// Keys of which no owner has a record that can be read.
    pub unreadable: u64,
    /// Why it does not go on, if it waits.
    pub waiting: Option<String>,
}

/// Where a transfer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferPhase {
    /// It has not begun.
    Waiting,
    /// The source is asked what it holds: that must be here in the end.
    Freezing,
    /// All of it is copied in the order of the keys.
    Copying,
    /// What was found to differ is copied.
    Comparing,
    /// Everything is here. The ring is to say so next.
    Arrived,
}

/// One partition that is delivered and dropped.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DrainReport {
    /// Which.
    pub partition: Partition,
    /// Keys held when it began.
    pub keys: u64,
    /// Dropped: every owner has them.
    pub dropped: u64,
    /// Objects that an owner lacked.
    pub sent: u64,
    /// Keys that are kept for a node that is down, until it has them.
    pub hinted: u64,
    /// Why it does not go on, if it waits.
    pub waiting: Option<String>,
}
