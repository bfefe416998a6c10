//! Who owns what after a change: the assignment that moves the fewest replicas.
//!
//! A plan is a function of the members and of the owners that there are. It is solved as a minimum-cost flow (the model is
//! Garage's layout): a network of partitions, zones and nodes in which every replica starts where it was (`network`), and
//! where what does not fit any more finds its place along the cheapest paths (`settle`). Then the owners of each partition
//! are given their places (`places`). From nothing, where there is nothing to keep, [`placement`](super::placement)
//! chooses the owners instead. [`explain`] tells an operator what came out and why.
//!
//! Promised, for every input:
//! - The owners of a partition are distinct, as many as wanted or as there are members with a weight; they lie in distinct
//!   zones if there are zones enough; otherwise every zone has as many of them as any other, give or take one, unless it has
//!   no more members.
//! - Every member owns its fair share, rounded down or up. Fair is what `share` divides: in proportion to weight, as far as
//!   the zone rule and "no store twice" allow. Weight 0 owns nothing.
//! - No assignment that keeps these two moves fewer replicas. If the previous one keeps them nothing moves. Which shares
//!   are rounded up is decided by this, so a zone as a whole may be from its fair share by as much as all its members are.
//! - Survivors keep their places, newcomers take those of the ones that left. If there are fewer places than before, survivors
//!   move up in their order.
//! - The same input gives the same result on every machine, in whatever order the members are named.
//!
//! Not promised: that the first places are spread over zones when there are fewer zones than replicas (newcomers see to it,
//! but survivors do not change place for it); that each place by itself is even; and that going back takes the same
//! way: a member that leaves and returns gets as many replicas, but not the same.

mod explain;
mod fewest;
mod network;
mod places;
mod settle;

use std::collections::BTreeSet;

use super::super::id::{Partition, StoreId};
use super::placement::place;
use super::share::fair;
use super::{Member, PARTITIONS_MAX, RingError};
pub use explain::{Explanation, Forced, Load, NodeShare, ZoneShare, explain};
pub use fewest::{Because, Fewest};

use network::Network;
use places::seat;
use settle::settle;

/// Why there can be no such assignment.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssignError {
    /// There is no ring over these members at all.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The previous assignment is one of another ring: the number of partitions never changes.
    #[error("the previous assignment has {previous} partitions, not {partitions}")]
    PreviousPartitions {
        /// How many it has.
        previous: usize,
        /// How many were asked for.
        partitions: u32,
    },
}

/// For each of `partitions` (a power of two) its owners, in the order of their places: `replication` of them, or all members
/// with a weight if there are fewer.
///
/// `previous` is such a list as well. It may name stores that are no members any more, or have weight 0, and may have fewer
/// or more places than are wanted now. Without it the assignment is made from nothing.
///
/// A thousand nodes with 16,384 partitions take seconds and a few MiB (`make bench-plan`).
pub fn assign(
    partitions: u32,
    replication: u8,
    members: &[Member],
    previous: Option<&[Vec<StoreId>]>,
) -> Result<Vec<Vec<StoreId>>, AssignError> {
    let members = checked(partitions, replication, members)?;
    let Some(previous) = previous else {
        let stores = |owners: Vec<u16>| owners.into_iter().map(|i| members[i as usize].store).collect();
        return Ok(place(partitions, replication, &members).into_iter().map(stores).collect());
    };
    if previous.len() != partitions as usize {
        return Err(AssignError::PreviousPartitions { previous: previous.len(), partitions });
    }
    let mut network = Network::new(&fair(partitions, replication, &members), indices(previous, &members));
    settle(&mut network);
    let seated = network.into_owners().into_iter().zip(previous).enumerate();
    Ok(seated.map(|(p, (owners, previous))| seat(Partition(p as u16), &owners, previous, &members)).collect())
}

/// Those of the owners who are members still, each once, as indices into `members` (sorted by store).
fn indices(owners: &[Vec<StoreId>], members: &[Member]) -> Vec<Vec<u16>> {
    let index = |store: &StoreId| members.binary_search_by_key(store, |m| m.store).ok().map(|i| i as u16);
    let distinct = |owners: &Vec<StoreId>| owners.iter().filter_map(index).collect::<BTreeSet<u16>>();
    owners.iter().map(|owners| distinct(owners).into_iter().collect()).collect()
}

/// The members sorted by store, if there can be a ring over them.
fn checked(partitions: u32, replication: u8, members: &[Member]) -> Result<Vec<Member>, RingError> {
    if !partitions.is_power_of_two() || partitions > PARTITIONS_MAX {
        return Err(RingError::Partitions(partitions));
    }
    if replication == 0 {
        return Err(RingError::Replication);
    }
    if members.iter().all(|m| m.weight == 0) {
        return Err(RingError::NoMembers);
    }
    if members.len() > u16::MAX as usize {
        return Err(RingError::TooManyMembers(members.len()));
    }
    let mut members = members.to_vec();
    members.sort_by_key(|m| m.store);
    if let Some(twice) = members.windows(2).find(|pair| pair[0].store == pair[1].store) {
        return Err(RingError::DuplicateStore(twice[0].store));
    }
    Ok(members)
}

#[cfg(test)]
mod tests;
