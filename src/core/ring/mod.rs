//! Who owns what.
//!
//! The token space is cut into Q equal partitions (Dynamo's third strategy). The ring gives each partition an ordered
//! list of distinct owners, the *primaries*, in fixed *places*; all other members follow as *fallbacks* in
//! an order of the partition's own. A ring is an immutable value: a change makes a new one with a higher epoch.
//!
//! [`placement`] chooses the owners, [`preference`] the order in which a key's replicas are asked. Both follow one
//! order of all members that each partition has for itself, by weighted rendezvous hashing (`rendezvous`); how much
//! each member should own is worked out before (`share`).

#[cfg(test)]
mod fixture;
pub mod placement;
pub mod preference;
mod rendezvous;
mod share;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::id::{Epoch, NodeId, Partition, StoreId};
use super::key::Key;

pub use preference::PreferenceList;

/// Partitions of a new cluster.
pub const PARTITIONS_DEFAULT: u32 = 256;
/// The most partitions a cluster may have.
pub const PARTITIONS_MAX: u32 = 1 << 16;
/// Owners of each partition in a new cluster.
pub const REPLICATION_DEFAULT: u8 = 3;

/// A member of the cluster, as the ring knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Its data directory. What the ring names.
    pub store: StoreId,
    /// The node that serves this store.
    pub node: NodeId,
    /// Where others reach it: `host:port`, resolved again at each reconnect.
    pub address: String,
    /// Members of one zone fail together; owners are spread over zones.
    pub zone: String,
    /// Its share of the partitions, relative to the others'. Zero owns nothing.
    pub weight: u32,
}

/// Who owns what, at one epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ring {
    /// Its age.
    pub epoch: Epoch,
    /// Owners of each partition.
    pub replication: u8,
    /// All members, by store.
    members: Vec<Member>,
    /// For each partition the places' owners, as indices into `members`.
    owners: Vec<Vec<u16>>,
}

/// Why there can be no such ring.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RingError {
    /// Q must be a power of two, at most [`PARTITIONS_MAX`].
    #[error("{0} partitions: must be a power of two from 1 to {PARTITIONS_MAX}")]
    Partitions(u32),
    /// Replication must be at least one.
    #[error("replication is 0: must be at least 1")]
    Replication,
    /// A cluster has at least one member that may own something.
    #[error("no member has a weight above 0")]
    NoMembers,
    /// More members than the ring can index.
    #[error("{0} members: the ring holds at most 65535")]
    TooManyMembers(usize),
    /// Two members claim one store.
    #[error("two members have store {0}")]
    DuplicateStore(StoreId),
}

impl Ring {
    /// A ring over `members`, placed from nothing. A cluster smaller than `replication` has that many owners for each
    /// partition: the ring never names a store twice.
    pub fn new(epoch: Epoch, partitions: u32, replication: u8, mut members: Vec<Member>) -> Result<Ring, RingError> {
        if !partitions.is_power_of_two() || partitions > PARTITIONS_MAX {
            return Err(RingError::Partitions(partitions));
        }
        if replication == 0 {
            return Err(RingError::Replication);
        }
        if members.iter().all(|m| m.weight == 0) {
            return Err(RingError::NoMembers);
        }
        if members.len() > u16::MAX as usize {
            return Err(RingError::TooManyMembers(members.len()));
        }
        members.sort_by_key(|m| m.store);
        let mut seen = BTreeSet::new();
        if let Some(twice) = members.iter().find(|m| !seen.insert(m.store)) {
            return Err(RingError::DuplicateStore(twice.store));
        }
        let owners = placement::place(partitions, replication, &members);
        Ok(Ring { epoch, replication, members, owners })
    }

    /// Q.
    pub fn partitions(&self) -> u32 {
        self.owners.len() as u32
    }

    /// The partition of a key.
    pub fn partition_of(&self, key: &Key) -> Partition {
        key.token().partition(self.partitions())
    }

    /// The owners of a partition, in the order of their places.
    pub fn owners(&self, partition: Partition) -> impl ExactSizeIterator<Item = &Member> + Clone {
        self.owners[partition.0 as usize].iter().map(|&i| &self.members[i as usize])
    }

    /// Whether `store` has a place among the first `n` of a partition.
    pub fn owns(&self, store: StoreId, partition: Partition, n: u8) -> bool {
        self.owners(partition).take(n as usize).any(|m| m.store == store)
    }

    /// All members, by store.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member with this store.
    pub fn member(&self, store: StoreId) -> Option<&Member> {
        self.members.binary_search_by_key(&store, |m| m.store).ok().map(|i| &self.members[i])
    }

    /// The member that is this node.
    pub fn node(&self, node: NodeId) -> Option<&Member> {
        self.members.iter().find(|m| m.node == node)
    }

    /// The node that serves a store; node 0, which no configuration may name, for a store that is no member any more.
    pub fn node_of(&self, store: StoreId) -> NodeId {
        self.member(store).map_or(NodeId(0), |m| m.node)
    }
}
