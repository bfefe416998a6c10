//! Which members own a partition of a new ring.
//!
//! Plain rendezvous hashing leaves loads to chance: of 256 partitions some node of ten would own a fifth too many. Here
//! every member first gets a *quota*, its fair share of all places (`share`), and each partition then takes the members
//! that rank highest in its rendezvous order (`rendezvous`) and have quota left: consistent hashing with bounded loads
//! (Mirrokni, Thorup and Zadimoghaddam, 2016), with no slack in the bounds.
//!
//! Promised, for every input:
//! - The owners of a partition are distinct, and lie in distinct zones if there are zones enough; otherwise every zone
//!   has as many of them as any other, give or take one, unless it has no more members.
//! - Every member owns its fair share, give or take one replica. Fair is in proportion to weight as far as the zone
//!   rule and "no store twice" allow: the only node of one of three zones owns everything, whatever its weight. A
//!   zone's share likewise. Weight 0 owns nothing.
//! - The first n places of a partition are spread over zones as evenly as n owners can be.
//! - The same members give the same owners, on every machine and in whatever order they are named.
//!
//! Not promised: that each *place* is even (who comes first is rendezvous' choice, so the loads of a bucket with n
//! below the replication are even by statistics only), and that few replicas move when members change. Rendezvous keeps
//! most where they are, but quotas are exact and given out partition by partition, so one who leaves also shifts some
//! that it did not own. Tests bound that (`a_leaver_moves_little_more_than_its_own`); a ring that changes starts from the
//! owners that there are instead and moves the fewest ([`assign`](mod@super::assign)).

use super::super::id::Partition;
use super::Member;
use super::rendezvous::{Rank, rank};
use super::share::{Fair, UNIT, fair};

/// For each partition the owners in the order of their places, as indices into `members` (sorted by store).
pub(super) fn place(partitions: u32, replication: u8, members: &[Member]) -> Vec<Vec<u16>> {
    let fair = fair(partitions, replication, members);
    let replicas_free = fair.replicas - fair.zones.iter().map(|zone| zone.least).sum::<usize>();
    let mut zones = zones_with_quotas(partitions, fair);
    (0..partitions).map(|p| owners(p as u16, partitions - p, replicas_free, &mut zones, members)).collect()
}

/// The members that fail together, and what they are yet to own.
struct Zone {
    /// Its members that may own something.
    owners: Vec<Owner>,
    /// How many replicas of *every* partition lie here.
    replicas_fixed: usize,
    /// How many partitions are yet to put one more replica here.
    extra_left: u32,
}

#[derive(Clone, Copy)]
struct Owner {
    index: u16,
    /// How many partitions it is yet to own.
    left: u32,
}

/// Gives each member its quota: its share, rounded.
fn zones_with_quotas(partitions: u32, fair: Fair) -> Vec<Zone> {
    // Rounding the running sum keeps each quota, and each zone's sum of quotas, within one of its share.
    let mut running = 0;
    let mut round = |share: u64| {
        let before = (running + UNIT / 2) / UNIT;
        running += share;
        ((running + UNIT / 2) / UNIT - before) as u32
    };
    let zones = fair.zones.into_iter().map(|zone| {
        let quotas = zone.members.iter().zip(&zone.shares).map(|(&index, &share)| Owner { index, left: round(share) });
        let owners: Vec<Owner> = quotas.collect();
        let quota: u32 = owners.iter().map(|o| o.left).sum();
        Zone { owners, replicas_fixed: zone.least, extra_left: quota - zone.least as u32 * partitions }
    });
    zones.collect()
}

/// The owners of partition `p`, the first of `partitions_left` that have none yet; takes them from the quotas.
///
/// This never runs into a dead end. With r partitions left no zone has more than r extra replicas left and no member
/// more than r places. Those that have exactly r must be taken now, and are: as all quotas together are just what the r
/// partitions need, there are never more such than places, and never fewer candidates than places (Gale and Ryser's
/// theorem on 0-1 matrices, for columns that differ by at most one).
fn owners(p: u16, partitions_left: u32, replicas_free: usize, zones: &mut [Zone], members: &[Member]) -> Vec<u16> {
    let partition = Partition(p);
    let mut candidates: Vec<Vec<(bool, Rank, usize)>> = zones
        .iter()
        .map(|zone| {
            let open = zone.owners.iter().enumerate().filter(|(_, owner)| owner.left > 0);
            let mut open: Vec<_> = open
                .map(|(i, owner)| (owner.left < partitions_left, rank(partition, &members[owner.index as usize]), i))
                .collect();
            open.sort_unstable();
            open
        })
        .collect();

    // The free replicas go to the zones whose next candidate ranks highest.
    let mut extra: Vec<(bool, Rank, usize)> = zones
        .iter()
        .enumerate()
        .filter(|(_, zone)| zone.extra_left > 0)
        .map(|(z, zone)| (zone.extra_left < partitions_left, candidates[z][zone.replicas_fixed].1, z))
        .collect();
    extra.sort_unstable();
    extra.truncate(replicas_free);
    for (z, zone) in zones.iter_mut().enumerate() {
        let takes_extra = extra.iter().any(|&(_, _, taking)| taking == z);
        zone.extra_left -= u32::from(takes_extra);
        candidates[z].truncate(zone.replicas_fixed + usize::from(takes_extra));
    }

    // Best of each zone first, then second best of each: so any first n places are spread as well as n can be.
    let mut places: Vec<(usize, Rank, u16)> = Vec::with_capacity(candidates.iter().map(Vec::len).sum());
    for (zone, mut chosen) in zones.iter_mut().zip(candidates) {
        chosen.sort_unstable_by_key(|&(_, rank, _)| rank);
        for (nth, (_, rank, i)) in chosen.into_iter().enumerate() {
            zone.owners[i].left -= 1;
            places.push((nth, rank, zone.owners[i].index));
        }
    }
    places.sort_unstable();
    places.into_iter().map(|(_, _, index)| index).collect()
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
