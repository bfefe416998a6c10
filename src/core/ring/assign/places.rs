//! Who sits in which place.
//!
//! A bucket with n below the replication uses the first n places, so an owner that changed place would start or stop to
//! serve such buckets without having moved. Survivors therefore keep their places, and a newcomer takes the place of
//! one that left. Only when there are fewer places than before do survivors move up, in their order.

use super::super::super::id::{Partition, StoreId};
use super::super::Member;
use super::super::rendezvous::rank;

/// Seats `owners` (indices into `members`, distinct) in as many places. `previous` names the stores that had places.
pub(super) fn seat(partition: Partition, owners: &[u16], previous: &[StoreId], members: &[Member]) -> Vec<StoreId> {
    let mut newcomers: Vec<&Member> = owners.iter().map(|&i| &members[i as usize]).collect();
    let mut places: Vec<Option<&Member>> = vec![None; owners.len()];
    let compact = previous.len() > owners.len();
    let mut survivors = 0;
    for (before, store) in previous.iter().enumerate() {
        if let Some(i) = newcomers.iter().position(|m| m.store == *store) {
            places[if compact { survivors } else { before }] = Some(newcomers.remove(i));
            survivors += 1;
        }
    }

    newcomers.sort_by_key(|m| rank(partition, m));
    for place in 0..places.len() {
        if places[place].is_some() {
            continue;
        }
        // Spread the first places first; else in the zone of the one that left; else by rank.
        let left = previous.get(place).and_then(|store| zone_of(*store, members));
        let taken = |zone: &str| places[..place].iter().flatten().filter(|m| m.zone == zone).count();
        let best = (0..newcomers.len()).min_by_key(|&i| {
            let zone = newcomers[i].zone.as_str();
            (taken(zone), left != Some(zone))
        });
        places[place] = best.map(|i| newcomers.remove(i));
    }
    places.into_iter().flatten().map(|m| m.store).collect()
}

/// The zone of a store that may be no member any more; `members` are sorted by store.
fn zone_of(store: StoreId, members: &[Member]) -> Option<&str> {
    members.binary_search_by_key(&store, |m| m.store).ok().map(|i| members[i].zone.as_str())
}
