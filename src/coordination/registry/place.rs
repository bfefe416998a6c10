//! Where a store belongs.

use std::collections::BTreeMap;

use crate::config::NodeEntry;
use crate::core::id::{NodeId, StoreId};

use super::access::Record;
use super::error::{Error, Verdict};
use super::records::{ClusterRecord, RingMember, RingRecord, StoreRecord, StoreState};
use super::register::Joiner;

/// What is known when a store comes: for one that belongs to no cluster yet all stores, else its own record.
pub(super) struct Registered {
    pub cluster: ClusterRecord,
    pub ring: Record<RingRecord>,
    pub stores: BTreeMap<StoreId, Record<StoreRecord>>,
}

/// Where a store belongs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// It has been here before.
    Known { store: StoreId, node: NodeId },
    /// It adopts the id that is reserved for its node.
    Reserved { store: StoreId, node: NodeId },
    /// It comes with a node whose old store is gone.
    Takeover { old: StoreId, store: StoreId, node: NodeId, zone: String, weight: u32 },
    /// It comes with a new node.
    New { store: StoreId, node: NodeId, zone: String, weight: u32 },
}

impl Place {
    /// The id that the store has from now on.
    pub fn store(&self) -> StoreId {
        match self {
            Place::Known { store, .. }
            | Place::Reserved { store, .. }
            | Place::Takeover { store, .. }
            | Place::New { store, .. } => *store,
        }
    }

    /// The number of its node.
    pub fn node(&self) -> NodeId {
        match self {
            Place::Known { node, .. }
            | Place::Reserved { node, .. }
            | Place::Takeover { node, .. }
            | Place::New { node, .. } => *node,
        }
    }
}

/// Finds the place of a store.
pub(super) fn place(registered: &Registered, joiner: &Joiner) -> Result<Place, Error> {
    let Registered { cluster, ring, stores } = registered;
    let own = joiner.start.store;
    if let Some(belongs_to) = joiner.cluster.filter(|id| *id != cluster.id) {
        return Err(Verdict::OtherCluster { own: belongs_to, id: cluster.id }.into());
    }
    let claimed = |(_, record): &(&StoreId, &Record<StoreRecord>)| record.value.claimed_by == Some(own);
    if let Some((store, record)) = stores.get_key_value(&own).or_else(|| stores.iter().find(claimed)) {
        let node = record.value.node;
        let other = ring.value.members.iter().find(|m| m.node == node && m.is_present() && m.store != *store);
        if let Some(other) = other.filter(|_| record.value.state.is_absent()) {
            let reason = format!("node {node} has store {} since store {store} went out of the ring", other.store);
            return Err(Error::Invalid { reason });
        }
        return Ok(Place::Known { store: *store, node });
    }
    if joiner.cluster.is_some() {
        return Err(Verdict::Unknown { store: own }.into());
    }

    let mut present = ring.value.members.iter().filter(|member| member.is_present());
    let at_address = |member: &&RingMember| member.address.eq_ignore_ascii_case(&joiner.address);
    let before = match joiner.node {
        Some(NodeId(0)) => return Err(Error::Invalid { reason: "nodes are numbered from 1".into() }),
        Some(node) => present.clone().find(|member| member.node == node),
        // Who comes from a member's address without a number is that member's node.
        None => present.clone().find(at_address),
    };
    let node = joiner.node.or(before.map(|member| member.node)).unwrap_or_else(|| next_free(registered));
    if let Some(other) = present.find(|member| member.node != node && at_address(member)) {
        return Err(Error::AddressTaken { address: joiner.address.clone(), node: other.node });
    }
    let Some(member) = before else {
        let NodeEntry { zone, weight, .. } = NodeEntry::new(node, "");
        return Ok(Place::New { store: own, node, zone, weight });
    };
    let is_reserved = |record: &Record<StoreRecord>| record.value.state == StoreState::Reserved;
    if stores.get(&member.store).is_some_and(is_reserved) {
        return Ok(Place::Reserved { store: member.store, node });
    }
    Ok(Place::Takeover { old: member.store, store: own, node, zone: member.zone.clone(), weight: member.weight })
}

/// A number that no node has or had.
fn next_free(registered: &Registered) -> NodeId {
    let ring = registered.ring.value.members.iter().map(|member| member.node);
    let nodes = ring.chain(registered.stores.values().map(|record| record.value.node));
    NodeId(nodes.map(|node| node.0).max().unwrap_or(0) + 1)
}
