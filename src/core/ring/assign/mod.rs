//! Who owns what after a change: the assignment that moves the fewest replicas.

pub mod explain;
mod fewest;
mod network;
mod places;
mod settle;

use std::collections::BTreeSet;

use super::super::id::{Partition, StoreId};
use super::placement::place;
use super::share::fair;
use super::{Member, PARTITIONS_MAX, RingError};
pub use explain::{Explanation, explain};
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

/// For each partition its owners, in the order of their places.
///
/// `previous` is such a list as well; it may name stores that are no members any more, or have weight 0, and may have
/// fewer or more places than are wanted now. Without it the assignment is made from nothing.
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
