use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

type Held = BTreeMap<u16, u8>;

const COUNT: usize = 64;

fn stored(key: u16) -> [u8; 6] {
    let [high, low] = key.to_be_bytes();
    [0, 7, 0, 0, high, low]
}

fn clock(version: u8) -> Clock {
    Clock(version as u128 + 1)
}

fn leaves(held: &Held) -> Leaves {
    let mut leaves = Leaves::new(COUNT);
    held.iter().for_each(|(key, version)| leaves.add(&stored(*key), clock(*version)));
    leaves
}

fn held() -> impl Strategy<Value = Held> {
    proptest::collection::btree_map(0..300u16, 0..3u8, 0..200)
}

proptest! {
    #[test]
    fn the_order_does_not_matter(held in held().prop_map(|held| held.into_iter().collect::<Vec<_>>()).prop_shuffle()) {
        let mut shuffled = Leaves::new(COUNT);
        held.iter().for_each(|(key, version)| shuffled.add(&stored(*key), clock(*version)));
        prop_assert_eq!(shuffled, leaves(&held.into_iter().collect()));
    }

    #[test]
    fn adding_and_removing_changes_nothing(held in held(), key: u16, version: u8) {
        let before = leaves(&held);
        let mut after = before.clone();
        after.add(&stored(key), clock(version));
        prop_assert_ne!(&after, &before);
        after.remove(&stored(key), clock(version));
        prop_assert_eq!(after, before);
    }

    #[test]
    fn following_each_change_comes_to_the_same(
        changes in proptest::collection::vec((0..20u16, proptest::option::of(0..3u8)), 0..200),
    ) {
        let (mut model, mut followed) = (Held::new(), Leaves::new(COUNT));
        for (key, version) in changes {
            let before = match version {
                Some(version) => model.insert(key, version),
                None => model.remove(&key),
            };
            followed.replace(&stored(key), before.map(clock), version.map(clock));
        }
        prop_assert_eq!(followed, leaves(&model));
    }

    #[test]
    fn exactly_the_leaves_of_differing_keys_differ(ours in held(), theirs in held()) {
        let (a, b) = (leaves(&ours), leaves(&theirs));
        let keys = ours.keys().chain(theirs.keys()).filter(|key| ours.get(key) != theirs.get(key));
        let expected: BTreeSet<u32> = keys.map(|key| a.leaf_of(&stored(*key))).collect();
        prop_assert_eq!(a.differing(&b), expected.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(a == b, ours == theirs);
        prop_assert_eq!(a.root() == b.root(), ours == theirs);
    }

    #[test]
    fn each_level_sums_the_one_below(held in held(), bits in 6..=12u32) {
        let mut leaves = Leaves::new(1 << bits);
        held.iter().for_each(|(key, version)| leaves.add(&stored(*key), clock(*version)));
        prop_assert_eq!(leaves.level(0), vec![leaves.root()]);
        for depth in 0..4 {
            let (upper, lower) = (leaves.level(depth), leaves.level(depth + 1));
            prop_assert!(lower.len() <= upper.len() * FAN_OUT);
            let sums: Vec<u128> = lower.chunks(lower.len() / upper.len()).map(sum).collect();
            prop_assert_eq!(upper, sums);
        }
        prop_assert_eq!(leaves.level(3), leaves.sums.to_vec());
    }

    #[test]
    fn the_sent_form_is_one_byte_string_and_round_trips(held in held()) {
        let leaves = leaves(&held);
        let sent = rmp_serde::to_vec(&leaves).expect("leaves serialize");
        prop_assert!(sent.len() <= leaves.bytes() + 5);
        prop_assert_eq!(rmp_serde::from_slice::<Leaves>(&sent).expect("leaves deserialize"), leaves);
    }
}

#[test]
fn other_lengths_are_refused() {
    for bytes in [0, 16, 63 * 16, 64 * 16 + 1, 65 * 16, 8192 * 16] {
        let sent = rmp_serde::to_vec(&bytes::Bytes::from(vec![0; bytes])).expect("bytes serialize");
        assert!(rmp_serde::from_slice::<Leaves>(&sent).is_err(), "{bytes} bytes");
    }
}

#[test]
fn a_store_that_holds_everything_stays_within_its_bytes() {
    for bits in 0..=16 {
        let partitions = 1 << bits;
        let leaves = Leaves::new(leaf_count(partitions));
        let in_all = leaves.bytes() * partitions as usize;
        assert!(in_all <= if partitions <= 4096 { 4 << 20 } else { 64 << 20 }, "Q = {partitions}");
    }
    assert_eq!(leaf_count(256), 1024);
}

#[test]
fn different_shapes_differ_in_every_leaf_of_the_larger() {
    let (small, large) = (Leaves::new(64), Leaves::new(128));
    assert_eq!(small.differing(&large).len(), 128);
    assert_eq!(large.differing(&small).len(), 128);
}

#[test]
fn a_record_that_cannot_be_read_differs_from_one_that_can_and_from_none() {
    let (mut unreadable, mut readable) = (Leaves::new(COUNT), Leaves::new(COUNT));
    unreadable.add(b"key", UNREADABLE);
    assert_eq!(unreadable.differing(&readable).len(), 1);
    readable.add(b"key", clock(1));
    assert_eq!(unreadable.differing(&readable).len(), 1);
}

#[test]
fn keys_of_one_partition_spread_over_all_leaves() {
    use crate::core::id::Partition;
    use crate::core::key::Key;
    let (leaves, mut counts) = (Leaves::new(COUNT), [0; COUNT]);
    let keys = (0..1_000_000u32).map(|i| Key::bare(i.to_string()));
    let of_one = keys.filter(|key| key.token().partition(64) == Partition(5));
    of_one.for_each(|key| counts[leaves.leaf_of(&key.stored(Partition(5))) as usize] += 1);
    // 15,625 keys, 244 in a leaf on average, with a deviation of 16.
    assert!(counts.iter().all(|count| (150..350).contains(count)), "{counts:?}");
}

/// Owners of different releases compare their leaves: a change of these values needs another version of the protocol.
#[test]
fn the_hash_is_fixed_for_ever() {
    let mut leaves = Leaves::new(COUNT);
    leaves.add(b"key", Clock(1));
    assert_eq!(leaves.leaf_of(b"key"), 35);
    assert_eq!(format!("{:032x}", leaves.root()), "8264d0bac9d6df80a447f41a0cc2e215");
}
