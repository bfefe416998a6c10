//! How many replicas each member should own: the fairest shares that the zones allow.
//!
//! Every zone gives each partition as many owners as any other zone, give or take one, until it has no more members.
//! Within that, shares follow weights. But a member can own a partition only once, and a zone may be bound to hold so
//! many of each partition's replicas, no more and no less. So shares are found like the levels of connected vessels:
//! what a full vessel cannot take is spread over the others, in proportion to their weights again.
//!
//! Shares are fractions. That whole replicas can follow them, every member's share rounded up or down, is certain: the
//! shares themselves, each partition divided alike, are an assignment in fractions, and where a flow network with whole
//! capacities has any flow it has one in whole units.

use std::collections::BTreeMap;

use super::Member;

/// One replica. Shares are integers, so that they are the same on every machine; they are exact to two units.
pub(super) const UNIT: u64 = 1 << 32;

/// What the zones ask of each partition, and what is fair under that.
pub(super) struct Fair {
    /// Owners of each partition: the replication, or all members that may own if those are fewer.
    pub replicas: usize,
    /// By name.
    pub zones: Vec<FairZone>,
}

/// Members that fail together.
pub(super) struct FairZone {
    /// Those that may own something, as indices into the members.
    pub members: Vec<u16>,
    /// Of every partition no fewer replicas lie here.
    pub least: usize,
    /// Of every partition no more replicas lie here: `least`, or one more.
    pub most: usize,
    /// What the zone should own, in [`UNIT`]s.
    pub share: u64,
    /// What each of `members` should own, in [`UNIT`]s; their sum is the zone's.
    pub shares: Vec<u64>,
}

/// Groups the members by zone and gives each its share of `partitions` times `replication` replicas.
pub(super) fn fair(partitions: u32, replication: u8, members: &[Member]) -> Fair {
    let mut by_zone: BTreeMap<&str, Vec<u16>> = BTreeMap::new();
    for (i, member) in members.iter().enumerate().filter(|(_, m)| m.weight > 0) {
        by_zone.entry(&member.zone).or_default().push(i as u16);
    }
    let sizes: Vec<usize> = by_zone.values().map(Vec::len).collect();
    let replicas = usize::from(replication).min(sizes.iter().sum());
    // Every zone gives `level` owners, and some of the larger ones give one more.
    let filled = |level: usize| sizes.iter().map(|&size| size.min(level)).sum::<usize>();
    let level = (0..=replicas).rev().find(|&level| filled(level) <= replicas).unwrap_or(0);
    let level_most = if filled(level) == replicas { level } else { level + 1 };

    let weight = |i: u16| u64::from(members[i as usize].weight);
    let every_partition = u64::from(partitions) * UNIT;
    let claims: Vec<Claim> = by_zone
        .values()
        .map(|zone| Claim {
            weight: zone.iter().map(|&i| weight(i)).sum(),
            least: zone.len().min(level) as u64 * every_partition,
            most: zone.len().min(level_most) as u64 * every_partition,
        })
        .collect();
    let zone_shares = divide(replicas as u64 * every_partition, &claims);
    let zones = by_zone.into_values().zip(zone_shares).map(|(members, share)| {
        let claims: Vec<Claim> =
            members.iter().map(|&i| Claim { weight: weight(i), least: 0, most: every_partition }).collect();
        let (least, most) = (members.len().min(level), members.len().min(level_most));
        FairZone { least, most, share, shares: divide(share, &claims), members }
    });
    Fair { replicas, zones: zones.collect() }
}

/// One who takes part in a division.
#[derive(Clone, Copy, Debug)]
struct Claim {
    /// The share it would have of an unbounded division, relative to the others'.
    weight: u64,
    /// It gets no less.
    least: u64,
    /// It gets no more.
    most: u64,
}

/// Divides `total` among the claims in proportion to their weights, as far as their bounds allow. The parts sum to
/// exactly `total` and each lies less than 1 from its exact share. `total` must lie between the sums of the bounds;
/// weights are above 0.
///
/// Each round divides what is left among those who are not settled. Those whose part is out of bounds would, moved to
/// the bound, take from the others or give to them; the direction that prevails over all of them is certain to stay, so
/// those are settled. (The rule by which CSS flexible boxes are sized, W3C CSS Flexible Box Layout, 9.7.)
fn divide(total: u64, claims: &[Claim]) -> Vec<u64> {
    let mut settled: Vec<Option<u64>> = vec![None; claims.len()];
    loop {
        let left = total - settled.iter().flatten().sum::<u64>();
        let open = || claims.iter().zip(&settled).filter(|(_, s)| s.is_none()).map(|(claim, _)| claim);
        let weights: u128 = open().map(|c| u128::from(c.weight)).sum();
        if weights == 0 {
            return settled.into_iter().flatten().collect();
        }
        // Everything times `weights`, to stay exact.
        let part = |claim: &Claim| u128::from(claim.weight) * u128::from(left);
        let too_little = |claim: &Claim| (u128::from(claim.least) * weights).saturating_sub(part(claim));
        let too_much = |claim: &Claim| part(claim).saturating_sub(u128::from(claim.most) * weights);
        let (lacking, exceeding): (u128, u128) =
            open().fold((0, 0), |(l, e), claim| (l + too_little(claim), e + too_much(claim)));

        let mut reached = 0; // the sum of the parts so far, exact
        for (claim, settled) in claims.iter().zip(&mut settled).filter(|(_, s)| s.is_none()) {
            if lacking == 0 && exceeding == 0 {
                let before = reached / weights;
                reached += part(claim);
                *settled = Some((reached / weights - before) as u64);
            } else if lacking >= exceeding && too_little(claim) > 0 {
                *settled = Some(claim.least);
            } else if exceeding >= lacking && too_much(claim) > 0 {
                *settled = Some(claim.most);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(weight: u64, least: u64, most: u64) -> Claim {
        Claim { weight, least, most }
    }

    fn claims_and_total() -> impl Strategy<Value = (Vec<Claim>, u64)> {
        let claim = (1u64..=u32::MAX as u64, 0u64..1000, 0u64..1000).prop_map(|(w, a, b)| claim(w, a.min(b), a.max(b)));
        proptest::collection::vec(claim, 1..12).prop_flat_map(|claims| {
            let (least, most) = claims.iter().fold((0, 0), |(l, m), c| (l + c.least, m + c.most));
            (Just(claims), least..=most)
        })
    }

    proptest! {
        /// The shares are the only ones of the form clamp(weight × level): whoever has more per weight than another is
        /// at its lower bound, or the other at its upper one.
        #[test]
        fn is_level((claims, total) in claims_and_total()) {
            let parts = divide(total, &claims);
            prop_assert_eq!(parts.iter().sum::<u64>(), total);
            for (claim, &part) in claims.iter().zip(&parts) {
                prop_assert!((claim.least..=claim.most).contains(&part));
            }
            for (high, &high_part) in claims.iter().zip(&parts).filter(|(c, p)| **p > c.least) {
                for (low, &low_part) in claims.iter().zip(&parts).filter(|(c, p)| **p < c.most) {
                    let lowest_level = (high_part - 1) as f64 / high.weight as f64;
                    let highest_level = (low_part + 1) as f64 / low.weight as f64;
                    prop_assert!(lowest_level < highest_level * (1.0 + 1e-12), "{:?} {:?}", claims, parts);
                }
            }
        }
    }

    #[test]
    fn bounds_hand_over_to_the_others() {
        assert_eq!(divide(60, &[claim(1, 0, 99), claim(2, 0, 99), claim(3, 0, 99)]), [10, 20, 30]);
        assert_eq!(divide(60, &[claim(1, 0, 99), claim(2, 0, 99), claim(3, 0, 15)]), [15, 30, 15]);
        assert_eq!(divide(60, &[claim(1, 30, 99), claim(2, 0, 99), claim(3, 0, 99)]), [30, 12, 18]);
        assert_eq!(divide(60, &[claim(1, 30, 99), claim(2, 0, 99), claim(3, 0, 15)]), [30, 15, 15]);
        assert_eq!(divide(10, &[claim(1, 0, 99); 3]).iter().sum::<u64>(), 10);
        assert_eq!(divide(0, &[]), [0; 0]);
    }
}
