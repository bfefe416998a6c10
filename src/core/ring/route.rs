//! What a request of one partition goes by.

use crate::core::id::{Epoch, Partition, StoreId};

/// Whom a request of a partition concerns, at one age of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Which one.
    pub partition: Partition,
    /// Its age, which every message of the request carries.
    pub since: Epoch,
    /// Who is read from and mints, in the order of their places.
    pub owners: Vec<StoreId>,
    /// While the partition changes hands, the other owners: a write needs its quorum among them as well. Else none.
    pub others: Vec<StoreId>,
    /// Members that have no place, in the order in which they stand in. Those that drain the partition are not among them.
    pub strangers: Vec<StoreId>,
}

impl Route {
    /// The first `n` of those who are read from; fewer if there are fewer.
    pub fn owners(&self, n: u8) -> &[StoreId] {
        &self.owners[..self.owners.len().min(n as usize)]
    }

    /// The first `n` of the other owners; none at rest.
    pub fn others(&self, n: u8) -> &[StoreId] {
        &self.others[..self.others.len().min(n as usize)]
    }

    /// Whether a store is among the first `n` on either side.
    pub fn is_owner(&self, store: StoreId, n: u8) -> bool {
        self.owners(n).contains(&store) || self.others(n).contains(&store)
    }

    /// Who stands in when one of the first `n` is down, most suitable first: owners of further places, since they hold the
    /// partition anyway, then everybody else.
    pub fn fallbacks(&self, n: u8) -> impl Iterator<Item = StoreId> {
        let beyond_n = self.owners.iter().chain(&self.others).copied().filter(move |&store| !self.is_owner(store, n));
        let beyond_n = beyond_n.enumerate().filter(move |&(i, store)| {
            let earlier = self.owners.iter().chain(&self.others).copied().filter(|&s| !self.is_owner(s, n));
            earlier.take(i).all(|other| other != store)
        });
        beyond_n.map(|(_, store)| store).chain(self.strangers.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores(of: &[u128]) -> Vec<StoreId> {
        of.iter().copied().map(StoreId).collect()
    }

    #[test]
    fn a_fallback_is_in_neither_set() {
        let route = Route {
            partition: Partition(0),
            since: Epoch::default(),
            owners: stores(&[1, 2, 3]),
            others: stores(&[1, 4, 3]),
            strangers: stores(&[6, 5]),
        };
        assert_eq!(route.fallbacks(3).collect::<Vec<_>>(), stores(&[6, 5]));
        assert_eq!(route.fallbacks(2).collect::<Vec<_>>(), stores(&[3, 6, 5]));
        assert_eq!(route.fallbacks(1).collect::<Vec<_>>(), stores(&[2, 3, 4, 6, 5]));
        assert!(route.is_owner(StoreId(4), 2) && !route.is_owner(StoreId(3), 2));
    }
}
