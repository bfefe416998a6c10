use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::fixture::member;
use super::super::share::UNIT;
use super::*;

type Owners = Vec<Vec<StoreId>>;

/// Members with the given (zone, weight), stores 1, 2, …
fn members(of: &[(u8, u32)]) -> Vec<Member> {
    of.iter().enumerate().map(|(i, &(zone, weight))| member(i as u128 + 1, &format!("z{zone}"), weight)).collect()
}

fn some_members(most: usize) -> impl Strategy<Value = Vec<Member>> {
    let weight = prop_oneof![1 => Just(0u32), 4 => Just(1), 2 => 1u32..5, 1 => 1u32..1000, 1 => Just(u32::MAX)];
    proptest::collection::vec((0u8..5, weight), 1..=most)
        .prop_filter("somebody must own", |of| of.iter().any(|&(_, weight)| weight > 0))
        .prop_map(|of| members(&of))
}

/// Anything that has the form of an assignment: of members and strangers, of any number of places, with stores named twice.
fn some_owners(partitions: usize, stores: u128) -> impl Strategy<Value = Owners> {
    let owners = proptest::collection::vec((1..=stores).prop_map(StoreId), 0..6);
    proptest::collection::vec(owners, partitions)
}

/// A change of the cluster.
#[derive(Clone, Debug)]
enum Change {
    Join { zone: u8, weight: u32 },
    Leave(usize),
    Weight(usize, u32),
    Zone(usize, u8),
    Replication(u8),
}

fn some_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0u8..5, 0u32..4).prop_map(|(zone, weight)| Change::Join { zone, weight }),
        3 => (0usize..50).prop_map(Change::Leave),
        1 => (0usize..50, 0u32..4).prop_map(|(of, weight)| Change::Weight(of, weight)),
        1 => (0usize..50, 0u8..5).prop_map(|(of, zone)| Change::Zone(of, zone)),
        1 => (1u8..6).prop_map(Change::Replication),
    ]
}

fn apply(change: &Change, members: &mut Vec<Member>, replication: &mut u8) {
    let able = |members: &[Member]| members.iter().filter(|m| m.weight > 0).count();
    let before = members.clone();
    let count = members.len();
    match *change {
        Change::Join { zone, weight } => {
            let store = members.iter().map(|m| m.store.0).max().unwrap_or(0) + 1;
            members.push(member(store, &format!("z{zone}"), weight));
        }
        Change::Leave(of) => drop(members.remove(of % count)),
        Change::Weight(of, weight) => members[of % count].weight = weight,
        Change::Zone(of, zone) => members[of % count].zone = format!("z{zone}"),
        Change::Replication(new) => *replication = new,
    }
    if able(members) == 0 {
        *members = before;
    }
}

fn moves(before: &[Vec<StoreId>], after: &[Vec<StoreId>]) -> usize {
    before.iter().zip(after).map(|(b, a)| a.iter().filter(|s| !b.contains(s)).count()).sum()
}

fn able(members: &[Member]) -> Vec<&Member> {
    members.iter().filter(|m| m.weight > 0).collect()
}

/// Distinct owners in as many zones as there are: no zone has two more than another that has members left.
fn keeps_zone_rule(owners: &[&Member], members: &[Member]) -> bool {
    let mut zones: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    able(members).iter().for_each(|m| zones.entry(&m.zone).or_default().0 += 1);
    owners.iter().for_each(|m| zones.entry(&m.zone).or_default().1 += 1);
    let most = zones.values().map(|&(_, used)| used).max();
    zones.values().all(|&(size, used)| used <= size && (used == size || Some(used + 1) >= most))
}

/// What each member may own, at least and at most, by store.
fn bounds(partitions: u32, replication: u8, members: &[Member]) -> BTreeMap<StoreId, (usize, usize)> {
    let mut bounds: BTreeMap<StoreId, (usize, usize)> = members.iter().map(|m| (m.store, (0, 0))).collect();
    for zone in fair(partitions, replication, members).zones {
        for (&i, share) in zone.members.iter().zip(zone.shares) {
            bounds.insert(members[i as usize].store, ((share / UNIT) as usize, share.div_ceil(UNIT) as usize));
        }
    }
    bounds
}

/// The promises that do not depend on what was before.
fn check(owners: &Owners, replication: u8, members: &[Member]) -> Result<(), TestCaseError> {
    let by_store: BTreeMap<StoreId, &Member> = members.iter().map(|m| (m.store, m)).collect();
    let mut loads: BTreeMap<StoreId, usize> = members.iter().map(|m| (m.store, 0)).collect();
    for owners in owners {
        prop_assert_eq!(owners.len(), able(members).len().min(replication as usize));
        prop_assert_eq!(owners.iter().collect::<BTreeSet<_>>().len(), owners.len(), "{:?}", owners);
        let of: Vec<&Member> = owners.iter().filter_map(|s| by_store.get(s).copied()).collect();
        prop_assert_eq!(of.len(), owners.len(), "{:?} are members all", owners);
        prop_assert!(of.iter().all(|m| m.weight > 0));
        prop_assert!(keeps_zone_rule(&of, members), "{:?}", of);
        owners.iter().for_each(|s| *loads.entry(*s).or_default() += 1);
    }
    for (store, (least, most)) in bounds(owners.len() as u32, replication, members) {
        prop_assert!((least..=most).contains(&loads[&store]), "{:?}: {:?}", store, loads);
    }
    Ok(())
}

/// Survivors keep their places; if places vanish, their order.
fn check_places(before: &Owners, after: &Owners) -> Result<(), TestCaseError> {
    for (before, after) in before.iter().zip(after) {
        let survivors: Vec<&StoreId> = before.iter().filter(|s| after.contains(s)).collect();
        if before.len() > after.len() {
            prop_assert_eq!(after.iter().take(survivors.len()).collect::<Vec<_>>(), survivors);
        } else {
            for (place, store) in before.iter().enumerate().filter(|(_, s)| after.contains(s)) {
                prop_assert_eq!(after[place], *store, "{:?} {:?}", before, after);
            }
        }
    }
    Ok(())
}

/// The fewest replicas that must move, by trying everything: partition by partition every set of owners that the zone rule
/// allows, remembering for each combination of loads the fewest moves that lead to it.
fn fewest(before: &Owners, replication: u8, members: &[Member]) -> Option<usize> {
    let able = able(members);
    let replicas = able.len().min(replication as usize);
    let sets = (0u32..1 << able.len()).filter(|set| set.count_ones() as usize == replicas);
    let sets: Vec<Vec<usize>> = sets.map(|set| (0..able.len()).filter(|i| set & 1 << i != 0).collect()).collect();
    let sets: Vec<Vec<usize>> = sets
        .into_iter()
        .filter(|set| keeps_zone_rule(&set.iter().map(|&i| able[i]).collect::<Vec<_>>(), members))
        .collect();
    let bounds = bounds(before.len() as u32, replication, members);

    let mut reached = BTreeMap::from([(vec![0usize; able.len()], 0usize)]);
    for before in before {
        let mut next: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        for (loads, moved) in reached {
            for set in &sets {
                let mut loads = loads.clone();
                set.iter().for_each(|&i| loads[i] += 1);
                if set.iter().any(|&i| loads[i] > bounds[&able[i].store].1) {
                    continue;
                }
                let moved = moved + set.iter().filter(|&&i| !before.contains(&able[i].store)).count();
                next.entry(loads).and_modify(|fewest| *fewest = moved.min(*fewest)).or_insert(moved);
            }
        }
        reached = next;
    }
    let enough = |loads: &[usize]| loads.iter().zip(&able).all(|(load, m)| *load >= bounds[&m.store].0);
    reached.into_iter().filter(|(loads, _)| enough(loads)).map(|(_, moved)| moved).min()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever was before.
    #[test]
    fn the_promises_hold(
        members in some_members(24),
        (bits, before) in (0u32..7).prop_flat_map(|bits| (Just(bits), some_owners(1 << bits, 30))),
        replication in 1u8..8,
    ) {
        let after = assign(1 << bits, replication, &members, Some(&before)).unwrap();
        check(&after, replication, &members)?;
        prop_assert_eq!(&assign(1 << bits, replication, &members, Some(&after)).unwrap(), &after, "nothing moves twice");
    }

    #[test]
    fn no_assignment_moves_fewer(
        members in some_members(6),
        (bits, before) in (0u32..4).prop_flat_map(|bits| (Just(bits), some_owners(1 << bits, 7))),
        replication in 1u8..5,
    ) {
        let after = assign(1 << bits, replication, &members, Some(&before)).unwrap();
        prop_assert_eq!(Some(moves(&before, &after)), fewest(&before, replication, &members), "{:?}", after);
    }

    /// The life of a cluster.
    #[test]
    fn no_change_moves_more_than_it_must(
        mut members in some_members(5),
        changes in proptest::collection::vec(some_change(), 1..5),
        mut replication in 1u8..4,
        bits in 2u32..4,
    ) {
        let mut owners = assign(1 << bits, replication, &members, None).unwrap();
        for change in changes {
            apply(&change, &mut members, &mut replication);
            let after = assign(1 << bits, replication, &members, Some(&owners)).unwrap();
            check(&after, replication, &members)?;
            check_places(&owners, &after)?;
            if members.len() < 7 {
                prop_assert_eq!(Some(moves(&owners, &after)), fewest(&owners, replication, &members), "{:?}", after);
            }
            owners = after;
        }
    }

    #[test]
    fn what_fits_stays(members in some_members(24), replication in 1u8..8, bits in 0u32..8) {
        let founded = assign(1 << bits, replication, &members, None).unwrap();
        check(&founded, replication, &members)?;
        prop_assert_eq!(assign(1 << bits, replication, &members, Some(&founded)).unwrap(), founded);
    }

    #[test]
    fn the_order_of_members_does_not_matter(
        members in some_members(24), before in some_owners(32, 30), shuffled_by: u64,
    ) {
        let mut shuffled = members.clone();
        shuffled.sort_by_key(|m| xxhash_rust::xxh3::xxh3_64_with_seed(&m.store.0.to_be_bytes(), shuffled_by));
        prop_assert_eq!(assign(32, 3, &members, Some(&before)), assign(32, 3, &shuffled, Some(&before)));
    }
}
