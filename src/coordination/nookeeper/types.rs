//! The words that this service and the Raft crate share.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Cursor;

use serde::{Deserialize, Serialize};

use super::runtime::SeededRuntime;
use crate::coordination::state::{Command, Reply};
use crate::core::id::{NodeId, StoreId};

/// A participant. A store that lost its log must never vote under the name it had, so participants are stores; and a forced
/// recovery begins anew, so a store takes part under another name after it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct RaftId {
    /// How many forced recoveries there were before.
    pub generation: u32,
    /// The store.
    pub store: StoreId,
}

impl fmt::Display for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{:?}", self.generation, self.store)
    }
}

/// Where a participant is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Endpoint {
    /// The node's number.
    pub node: u32,
    /// `host:port`.
    pub address: String,
}

impl Endpoint {
    /// The node.
    pub fn node(&self) -> NodeId {
        NodeId(self.node)
    }
}

/// Who should take part. The leader changes the membership until it is so.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roster {
    /// All stores of the cluster.
    pub members: BTreeMap<StoreId, Endpoint>,
    /// Those of them that should vote.
    pub voters: BTreeSet<StoreId>,
}

openraft::declare_raft_types!(
    /// What the Raft crate is told of this service.
    pub Types:
        D = Command,
        R = Reply,
        NodeId = RaftId,
        Node = Endpoint,
        Entry = openraft::Entry<Types>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = SeededRuntime,
);
