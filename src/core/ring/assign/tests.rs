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
        let explained = explain(replication, &members, Some(&before), &after).unwrap();
        prop_assert_eq!(explained.moved, moves(&before, &after) as u64);
        prop_assert_eq!(explained.fewest.replicas, explained.moved, "{:?}", explained.fewest.because);
        prop_assert!(explained.unfairness < 1.0);
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

fn even(nodes: usize, zones: u8) -> Vec<Member> {
    members(&(0..nodes).map(|i| (i as u8 % zones, 1)).collect::<Vec<_>>())
}

fn stores(ids: &[u128]) -> Vec<StoreId> {
    ids.iter().copied().map(StoreId).collect()
}

#[test]
fn a_newcomer_takes_its_share_and_nothing_else_moves() {
    let mut members = even(6, 1);
    let before = assign(256, 3, &members, None).unwrap();
    members.push(member(7, "z0", 1));
    let after = assign(256, 3, &members, Some(&before)).unwrap();
    assert_eq!(moves(&before, &after), 256 * 3 / 7, "rounded down: a replica is left over that nobody needs to move");
    assert!(before.iter().flatten().all(|s| s.0 != 7));
}

#[test]
fn a_leaver_s_replicas_move_and_no_others() {
    let mut members = even(6, 3);
    let before = assign(256, 3, &members, None).unwrap();
    let gone = members.remove(2).store;
    let after = assign(256, 3, &members, Some(&before)).unwrap();
    assert_eq!(moves(&before, &after), before.iter().flatten().filter(|s| **s == gone).count());
}

/// The third of three zones: every partition must give one replica to it, and the others must not move for that.
#[test]
fn a_new_zone_gets_one_replica_of_every_partition() {
    let mut members = even(6, 2);
    let before = assign(64, 3, &members, None).unwrap();
    members.push(member(7, "z2", 1));
    let after = assign(64, 3, &members, Some(&before)).unwrap();
    assert!(after.iter().all(|owners| owners.contains(&StoreId(7))));
    assert_eq!(moves(&before, &after), 64);
}

/// Two newcomers own 140 of 1,024 partitions each. If each took any, they would meet in 13 or fewer.
#[test]
fn newcomers_do_not_take_the_same_partitions() {
    let mut members = even(20, 20);
    let before = assign(1024, 3, &members, None).unwrap();
    let meet = |owners: &Owners| owners.iter().filter(|o| o.contains(&StoreId(21)) && o.contains(&StoreId(22))).count();
    members.push(member(21, "z20", 1));
    let one_by_one = assign(1024, 3, &members, Some(&before)).unwrap();
    members.push(member(22, "z21", 1));
    let one_by_one = assign(1024, 3, &members, Some(&one_by_one)).unwrap();
    let together = assign(1024, 3, &members, Some(&before)).unwrap();
    assert!(meet(&one_by_one) <= 26 && meet(&together) <= 26, "{} {}", meet(&one_by_one), meet(&together));
}

#[test]
fn a_newcomer_takes_the_place_of_one_that_left() {
    let after = assign(1, 3, &even(3, 1), Some(&[stores(&[1, 9, 2])])).unwrap();
    assert_eq!(after, [stores(&[1, 3, 2])]);
    let more_places = assign(1, 3, &even(3, 1), Some(&[stores(&[2])])).unwrap();
    assert_eq!(more_places[0][0], StoreId(2));
    let fewer_places = assign(1, 2, &even(3, 1), Some(&[stores(&[9, 3, 2])])).unwrap();
    assert_eq!(fewer_places, [stores(&[3, 2])]);
}

/// Stores 1 and 3 are in one zone, 2 and 4 in the other. Places 0 and 1 are a bucket with n = 2.
#[test]
fn newcomers_spread_the_first_places_over_the_zones() {
    let after = assign(1, 4, &even(4, 2), Some(&[stores(&[9, 2, 8, 7])])).unwrap();
    assert_eq!(after[0][1], StoreId(2));
    assert!([StoreId(1), StoreId(3)].contains(&after[0][0]), "{after:?}");
}

#[test]
fn what_cannot_be_assigned_is_refused() {
    let members = even(3, 1);
    let ring = |error| Err(AssignError::Ring(error));
    assert_eq!(assign(12, 3, &members, None), ring(RingError::Partitions(12)));
    assert_eq!(assign(8, 0, &members, None), ring(RingError::Replication));
    assert_eq!(assign(8, 3, &[], None), ring(RingError::NoMembers));
    let twice = [&members[..], &members[..1]].concat();
    assert_eq!(assign(8, 3, &twice, None), ring(RingError::DuplicateStore(StoreId(1))));
    let other = vec![Vec::new(); 4];
    let refused = AssignError::PreviousPartitions { previous: 4, partitions: 8 };
    assert_eq!(assign(8, 3, &members, Some(&other)), Err(refused));
}
