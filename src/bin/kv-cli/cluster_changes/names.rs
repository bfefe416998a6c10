//! Stores by the nodes that people know.

use std::collections::BTreeMap;

use kv::core::id::{NodeId, StoreId};
use kv::core::ring::Ring;
use kv::wire::change::ChangeReport;

use crate::table;

/// Which store is which node's.
#[derive(Default)]
pub struct Names(BTreeMap<StoreId, NodeId>);

impl Names {
    /// Those of the ring, and of the stores that a change is about.
    pub fn of(ring: &Ring, change: Option<&ChangeReport>) -> Names {
        let members = ring.members().iter().map(|member| (member.store, member.node));
        let stores = change.iter().flat_map(|change| &change.stores).map(|store| (store.store, store.node));
        Names(members.chain(stores).filter(|(_, node)| *node != NodeId(0)).collect())
    }

    /// As people know it.
    pub fn name(&self, store: StoreId) -> String {
        self.0.get(&store).map_or_else(|| format!("store {}", table::store(store)), |node| format!("node {node}"))
    }

    /// Several of them: `node 1, node 2 and node 3`.
    pub fn names(&self, stores: impl IntoIterator<Item = StoreId>) -> String {
        let mut stores: Vec<StoreId> = stores.into_iter().collect();
        stores.sort_by_key(|store| (self.0.get(store).copied(), *store));
        and(&stores.into_iter().map(|store| self.name(store)).collect::<Vec<_>>())
    }
}

/// An enumeration as it is spoken.
pub fn and(items: &[String]) -> String {
    match items {
        [] => "nobody".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Stores that have the numbers of their nodes.
    pub fn names(nodes: &[u32]) -> Names {
        Names(nodes.iter().map(|node| (StoreId(u128::from(*node)), NodeId(*node))).collect())
    }

    #[test]
    fn stores_are_named_by_their_nodes() {
        let names = names(&[1, 2, 3]);
        assert_eq!(names.names([2, 3, 1].map(StoreId)), "node 1, node 2 and node 3");
        assert_eq!(names.name(StoreId(0xab << 96)), "store 000000ab");
        assert_eq!(names.names([]), "nobody");
    }
}
