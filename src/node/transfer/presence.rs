//! Who is live, and by which ring it works, as the coordination service has it.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordination::registry::View;
use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::transfer::Condition;

/// The stores whose nodes hold a session.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Presence {
    /// Each with the ring that it has acknowledged in this session.
    live: BTreeMap<StoreId, Option<Epoch>>,
    /// What they own and may lack something of.
    needs_sync: BTreeMap<StoreId, BTreeSet<Partition>>,
    /// What these held is gone for good.
    lost: BTreeSet<StoreId>,
    /// These went out of the ring and may return with what they hold.
    absent: BTreeMap<StoreId, NodeId>,
}

impl Presence {
    /// As the registry has it.
    pub fn of(view: &View) -> Presence {
        let needs_sync = view.transfers.iter().map(|(store, record)| (*store, record.needs_sync.clone()));
        let lost = view.stores.iter().filter(|(_, record)| record.state.is_lost()).map(|(store, _)| *store);
        let is_in = |store: StoreId| view.ring.members.iter().any(|member| member.store == store);
        let absent = view.stores.iter().filter(|(store, record)| record.state.is_absent() && !is_in(**store));
        Presence {
            absent: absent.map(|(store, record)| (*store, record.node)).collect(),
            live: view.live.values().map(|live| (live.store, live.epoch)).collect(),
            needs_sync: needs_sync.filter(|(_, partitions)| !partitions.is_empty()).collect(),
            lost: lost.collect(),
        }
    }

    /// Who is live and works by an older ring than that of `since`, or by none yet. What these have begun may still end at the old
    /// owners alone.
    pub fn lagging(&self, since: Epoch) -> impl Iterator<Item = StoreId> {
        self.live.iter().filter(move |(_, epoch)| **epoch < Some(since)).map(|(store, _)| *store)
    }

    /// Who went out of the ring and may return with what it holds, each with the node that it served.
    pub fn absent(&self) -> &BTreeMap<StoreId, NodeId> {
        &self.absent
    }

    /// Whether what a store held is gone for good.
    pub fn is_lost(&self, store: StoreId) -> bool {
        self.lost.contains(&store)
    }

    /// The partitions of which a store is said to miss something.
    pub fn needs_sync(&self, store: StoreId) -> BTreeSet<Partition> {
        self.needs_sync.get(&store).cloned().unwrap_or_default()
    }

    /// Whether a partition can be copied from a store.
    pub fn condition(&self, store: StoreId, partition: Partition) -> Condition {
        match self.needs_sync.get(&store) {
            _ if self.is_lost(store) => Condition::Lost,
            _ if !self.live.contains_key(&store) => Condition::Down,
            Some(partitions) if partitions.contains(&partition) => Condition::NeedsSync,
            _ => Condition::Good,
        }
    }
}

#[cfg(test)]
impl Presence {
    /// The same, except that what these held is gone.
    pub fn without(self, lost: impl IntoIterator<Item = StoreId>) -> Presence {
        Presence { lost: lost.into_iter().collect(), ..self }
    }
}

impl FromIterator<(StoreId, Option<Epoch>)> for Presence {
    fn from_iter<T: IntoIterator<Item = (StoreId, Option<Epoch>)>>(live: T) -> Presence {
        Presence { live: live.into_iter().collect(), ..Presence::default() }
    }
}
