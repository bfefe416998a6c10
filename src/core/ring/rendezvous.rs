//! Weighted rendezvous hashing: every partition ranks all members in an order of its own.
//!
//! For each partition the members run a race. A member's time is `−log2(u) / weight`, where `u`, uniform between 0 and
//! 1, is a hash of the partition and the store. Such times are exponentially distributed with the weight as rate, so a
//! member comes first with probability `weight / sum of weights`, and among those behind it the same holds again. A
//! time depends on nobody else: who joins is inserted into each order, who leaves is cut out of it, and the others keep
//! their sequence.
//!
//! Every node must see the same order, whatever its processor and its mathematics library: floating-point logarithms
//! may differ in the last digit, so the logarithm here is made of integers.
//!
//! Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions on Networking 6
//! (1998); the weights are the logarithmic method of Schindelhauer and Schomaker, "Weighted Distributed Hash Tables",
//! SPAA 2005.

use xxhash_rust::xxh3::xxh3_64;

use super::super::id::{Partition, StoreId};
use super::Member;

/// Where a member stands in a partition's order: the smallest comes first. Members of weight 0 come after all others,
/// as if they had weight 1 among themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rank {
    weightless: bool,
    /// In units of 2^−([`FRACTION_BITS`] + [`WEIGHT_BITS`]).
    time: u128,
    /// Breaks ties.
    store: StoreId,
}

/// The rank of a member in the order of `partition`.
pub(super) fn rank(partition: Partition, member: &Member) -> Rank {
    let mut bytes = [0; 18];
    bytes[..2].copy_from_slice(&partition.0.to_be_bytes());
    bytes[2..].copy_from_slice(&member.store.0.to_be_bytes());
    let distance = u128::from(negative_log2(xxh3_64(&bytes)));
    Rank {
        weightless: member.weight == 0,
        time: (distance << WEIGHT_BITS) / u128::from(member.weight.max(1)),
        store: member.store,
    }
}

/// Bits behind the point of [`negative_log2`]. The winner among 65,535 members has a logarithm of about 2^−16, so 24
/// significant bits are left even there.
const FRACTION_BITS: u32 = 40;
/// Room for dividing by a weight without losing what tells two members apart.
const WEIGHT_BITS: u32 = u32::BITS;

/// `−log2(hash / 2^64)` in units of 2^−[`FRACTION_BITS`], rounded up: above 0, at most 64. The hash 0 counts as 1.
///
/// The integer part counts leading zeros. The fraction comes bit by bit: squaring a number doubles its logarithm, so
/// the square of the mantissa reaches 2 exactly if the next bit is 1.
fn negative_log2(hash: u64) -> u64 {
    let hash = hash.max(1);
    let zeros = hash.leading_zeros();
    // From 1 to below 2, with 63 bits behind the point.
    let mut mantissa = hash << zeros;
    let mut fraction = 0;
    for _ in 0..FRACTION_BITS {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let bit = (square >> 64) as u64;
        mantissa = (square >> bit) as u64;
        fraction = fraction << 1 | bit;
    }
    (u64::from(zeros + 1) << FRACTION_BITS) - fraction
}

#[cfg(test)]
mod tests {
    use super::super::fixture::member;
    use super::*;
    use proptest::prelude::*;

    const ONE: u64 = 1 << FRACTION_BITS;

    /// The float's own error near `u = 1` is that of turning the hash into a float.
    fn float_negative_log2(hash: u64) -> f64 {
        -(hash.max(1) as f64 / 2f64.powi(64)).ln() / std::f64::consts::LN_2
    }

    proptest! {
        #[test]
        fn agrees_with_floating_point(mantissa: u64, shift in 0u32..64) {
            let hash = mantissa >> shift;
            let ours = negative_log2(hash) as f64 / ONE as f64;
            prop_assert!((ours - float_negative_log2(hash)).abs() < 2e-12, "{hash:#x}: {ours}");
        }

        #[test]
        fn a_larger_hash_is_never_slower(a: u64, b: u64) {
            prop_assert!(negative_log2(a.max(b)) <= negative_log2(a.min(b)));
        }

        #[test]
        fn more_weight_is_never_slower(partition: u16, store: u128, weight in 1u32..u32::MAX) {
            let with = |weight| rank(Partition(partition), &member(store, "z", weight));
            prop_assert!(with(weight + 1) <= with(weight));
            prop_assert!(with(weight) < with(0));
        }
    }

    #[test]
    fn powers_of_two_are_exact() {
        for bit in 0..64 {
            assert_eq!(negative_log2(1 << bit), (64 - bit) * ONE);
        }
        assert_eq!(negative_log2(0), 64 * ONE);
        assert_eq!(negative_log2(u64::MAX), 1, "above 0, so that a weight always tells");
    }

    /// 20,000 races: the standard deviation of a count is at most 71, so five of them are 355.
    #[test]
    fn members_win_in_proportion_to_weight() {
        let members = [member(1, "a", 1), member(2, "b", 2), member(3, "c", 3), member(4, "d", 4), member(5, "e", 0)];
        let mut wins = [0i32; 5];
        for partition in 0..20_000 {
            let winner = (0..members.len()).min_by_key(|&i| rank(Partition(partition), &members[i])).unwrap();
            wins[winner] += 1;
        }
        for (i, expected) in [2_000, 4_000, 6_000, 8_000, 0].into_iter().enumerate() {
            assert!((wins[i] - expected).abs() <= 355, "{wins:?}");
        }
        assert_eq!(wins[4], 0);
    }

    /// A change of this order would move every cluster's replicas and hide its hints.
    #[test]
    fn order_is_fixed_for_ever() {
        let members: Vec<Member> = (1..=6).map(|i| member(i, "z", i as u32 % 4)).collect();
        let order = |partition| {
            let mut order: Vec<u128> = (1..=6).collect();
            order.sort_by_key(|&i| rank(Partition(partition), &members[i as usize - 1]));
            order
        };
        assert_eq!(order(0), [2, 3, 6, 5, 1, 4]);
        assert_eq!(order(1), [3, 1, 6, 2, 5, 4]);
        assert_eq!(order(65_535), [3, 2, 6, 5, 1, 4]);
    }
}
