//! How a store without a cluster becomes one of a cluster.
//!
//! It dials any member on a coordination link, sees in the greeting whether there is a cluster, and asks to join. Only then does
//! it know who it is: which cluster, which node, and under which store id.

use serde::{Deserialize, Serialize};

use crate::core::id::{ClusterId, NodeId, Start, StoreId};

/// What a newcomer asks. It may ask again, of anybody, as often as it likes: the same start gets the same answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Join {
    /// The number that its configuration gives it; `None` takes the next free one.
    pub node: Option<NodeId>,
    /// Its store, fresh, and which start of it.
    pub start: Start,
    /// Where the others will reach it, `host:port`.
    pub address: String,
    /// Its zone.
    pub zone: String,
    /// The share of the partitions that it is to have once it is an owner.
    pub weight: u32,
}

/// What a member answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Joined {
    /// The newcomer is known now, as this.
    Admitted(Admission),
    /// The member cannot say yet. Ask again, or another one.
    NotYet {
        /// What it waits for.
        reason: String,
    },
    /// No.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
}

/// Who a newcomer is from now on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Admission {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// The node's number.
    pub node: NodeId,
    /// The store's id: its own, or one that was reserved for this node when the cluster was made.
    pub store: StoreId,
    /// How many forced recoveries the coordination service has been through.
    pub generation: u32,
}
