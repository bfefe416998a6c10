//! The order in which a key's replicas are asked.
//!
//! First the primaries, the owners in the order of their places. If one of them is down, a fallback stands in for it:
//! an owner beyond the bucket's n if there is one, since it holds the partition for other buckets anyway, then all
//! other members in the partition's rendezvous order. As that order is the partition's own, a dead node's load spreads
//! over all others instead of falling on one neighbour. Zones play no part among fallbacks: a hint is on its way home,
//! not a replica to stay.

use super::super::id::{Partition, StoreId};
use super::rendezvous::{Rank, rank};
use super::{Member, Ring, Route, Slice};

/// Whom to ask for a key: its owners in the order of their places, then everybody else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreferenceList {
    /// The first n owners.
    pub primaries: Vec<StoreId>,
    /// All other members, in the order in which they stand in. Owners beyond n come first: they hold the partition
    /// anyway.
    pub fallbacks: Vec<StoreId>,
}

impl Ring {
    /// The preference list of a partition for a bucket with `n` replicas. It names every member that is not draining; a request
    /// needs mostly [`Ring::primaries`] alone.
    pub fn preference(&self, partition: Partition, n: u8) -> PreferenceList {
        PreferenceList {
            primaries: self.primaries(partition, n).collect(),
            fallbacks: self.fallbacks(partition, n).collect(),
        }
    }

    /// The first `n` owners of a partition that are read from, in the order of their places; fewer if it has fewer. Costs
    /// nothing.
    pub fn primaries(&self, partition: Partition, n: u8) -> impl ExactSizeIterator<Item = StoreId> + Clone {
        self.owners(partition).take(n as usize).map(|member| member.store)
    }

    /// Who stands in when one of the first `n` owners is down, most suitable first. See [`Route::fallbacks`].
    pub fn fallbacks(&self, partition: Partition, n: u8) -> impl Iterator<Item = StoreId> {
        self.route(partition).fallbacks(n).collect::<Vec<_>>().into_iter()
    }

    /// What requests of a partition go by. Ranks all members once: a few microseconds for ten members, a hundred for a
    /// thousand.
    pub fn route(&self, partition: Partition) -> Route {
        let Slice { owners, motion, draining, since } = self.slice(partition);
        let others = motion.map_or(vec![], |motion| motion.others().to_vec());
        let is_stranger =
            |m: &&Member| ![&owners, &others, &draining].into_iter().any(|known| known.contains(&m.store));
        let mut ranked: Vec<(Rank, StoreId)> =
            self.members().iter().filter(is_stranger).map(|m| (rank(partition, m), m.store)).collect();
        ranked.sort_unstable();
        let strangers = ranked.into_iter().map(|(_, store)| store).collect();
        Route { partition, since, owners, others, strangers }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{member, ring};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_every_member_once(
            weights in proptest::collection::vec(0u32..4, 1..12), replication in 1u8..6, n in 1u8..8,
        ) {
            let members: Vec<Member> =
                weights.iter().enumerate().map(|(i, &w)| member(i as u128 + 1, "z", w)).collect();
            prop_assume!(weights.iter().any(|&w| w > 0));
            let ring = ring(16, replication, &members);
            for p in (0..16).map(Partition) {
                let list = ring.preference(p, n);
                let owners: Vec<StoreId> = ring.owners(p).map(|m| m.store).collect();
                let named: Vec<StoreId> = list.primaries.iter().chain(&list.fallbacks).copied().collect();
                prop_assert!(named.starts_with(&owners));
                prop_assert_eq!(list.primaries.len(), owners.len().min(n as usize));
                let mut sorted = named.clone();
                sorted.sort();
                prop_assert_eq!(sorted, members.iter().map(|m| m.store).collect::<Vec<_>>());
                let weightless = |s: &&StoreId| ring.member(**s).is_some_and(|m| m.weight == 0);
                let last = named.iter().rev().take_while(weightless).count();
                prop_assert_eq!(last, weights.iter().filter(|&&w| w == 0).count());
            }
        }

        /// Whoever else comes or goes, two fallbacks keep their sequence.
        #[test]
        fn fallbacks_keep_their_sequence(count in 5u128..15, gone in 0usize..15) {
            let members: Vec<Member> = (1..=count).map(|i| member(i, "z", 1)).collect();
            let mut fewer = members.clone();
            let gone = fewer.remove(gone % members.len()).store;
            let (before, after) = (ring(16, 3, &members), ring(16, 3, &fewer));
            for p in (0..16).map(Partition) {
                let mut stayed: Vec<StoreId> = before.fallbacks(p, 3).collect();
                let mut later: Vec<StoreId> = after.fallbacks(p, 3).collect();
                stayed.retain(|s| *s != gone && later.contains(s));
                later.retain(|s| stayed.contains(s));
                prop_assert_eq!(stayed, later);
            }
        }
    }

    /// 1,000 partitions of one dead node, eight others to stand in: 125 each, standard deviation 10.5.
    #[test]
    fn a_dead_node_s_load_spreads_over_all_others() {
        let members: Vec<Member> = (1..=9).map(|i| member(i, "z", 1)).collect();
        let ring = ring(1024, 1, &members);
        let mut stands_in = [0i32; 10];
        for p in (0..1024).map(Partition) {
            stands_in[ring.fallbacks(p, 1).next().unwrap().0 as usize] += 1;
        }
        let expected = 1024 / 9;
        assert!(stands_in[1..].iter().all(|count| (count - expected).abs() <= 53), "{stands_in:?}");
    }
}
