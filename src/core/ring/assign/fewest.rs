//! How few replicas could move.
//!
//! Mostly it can be counted, in a way that convinces without trust in a solver: a member that owns too little must get
//! what it lacks, one that left or owns too much must be replaced in what it gives up, and a partition with too few
//! owners or too few zones must get new ones. Each of these is a number that no fair assignment can stay below. If one
//! of them is reached the case is closed; if none is, the solver's minimum is.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::super::id::StoreId;
use super::super::Member;
use super::super::share::{Fair, FairZone, UNIT};
use super::indices;
use super::network::Network;
use super::settle::settle;

/// The fewest replicas that must move for every member to own its fair share under the zone rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fewest {
    /// How many.
    pub replicas: u64,
    /// How that is known.
    pub because: Because,
}

/// How the fewest moves are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Because {
    /// The sum of what members lack of their fair shares, rounded down.
    Lacking,
    /// The sum of what was owned by those who may own nothing any more, or beyond the fair shares, rounded up.
    Leaving,
    /// The sum of what partitions lack of owners, for the replication and in each zone.
    Partitions,
    /// None of these three is enough: they are in each other's way. This is the cost of an optimal flow.
    Flow,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Because::Lacking => "members that own less than their share must get so many",
            Because::Leaving => "members that left, or own more than their share, must give up so many",
            Because::Partitions => "partitions without enough owners, or zones, must get so many",
            Because::Flow => "the least cost of a flow through partitions, zones and members",
        })
    }
}

/// The fewest moves from `previous`; `moved` is what some fair assignment takes.
pub(super) fn fewest(fair: &Fair, members: &[Member], previous: &[Vec<StoreId>], moved: u64) -> Fewest {
    let before = indices(previous, members);
    // Of equal ones the last is named.
    let bounds = [
        (leaving(fair, &before), Because::Leaving),
        (lacking(fair, &before), Because::Lacking),
        (partitions(fair, &before), Because::Partitions),
    ];
    match bounds.into_iter().max_by_key(|&(replicas, _)| replicas) {
        Some((replicas, because)) if replicas >= moved => Fewest { replicas, because },
        _ => {
            let mut network = Network::new(fair, before);
            settle(&mut network);
            Fewest { replicas: network.moved(), because: Because::Flow }
        }
    }
}

/// For each member of the zones what it owned and its share in [`UNIT`]s.
fn held<'a>(fair: &'a Fair, before: &[Vec<u16>]) -> impl Iterator<Item = (u64, u64)> + 'a {
    let mut held = vec![0; usize::from(u16::MAX) + 1];
    before.iter().flatten().for_each(|&i| held[usize::from(i)] += 1);
    let shares = fair.zones.iter().flat_map(|zone| zone.members.iter().zip(&zone.shares));
    shares.map(move |(&i, &share)| (held[usize::from(i)], share))
}

fn lacking(fair: &Fair, before: &[Vec<u16>]) -> u64 {
    held(fair, before).map(|(held, share)| (share / UNIT).saturating_sub(held)).sum()
}

fn leaving(fair: &Fair, before: &[Vec<u16>]) -> u64 {
    let stay: u64 = held(fair, before).map(|(held, share)| held.min(share.div_ceil(UNIT))).sum();
    (fair.replicas as u64 * before.len() as u64).saturating_sub(stay)
}

fn partitions(fair: &Fair, before: &[Vec<u16>]) -> u64 {
    let lacks = |owners: &Vec<u16>| {
        let held = |zone: &FairZone| owners.iter().filter(|i| zone.members.binary_search(i).is_ok()).count();
        let stay: usize = fair.zones.iter().map(|zone| held(zone).min(zone.most)).sum();
        let zones_lack: usize = fair.zones.iter().map(|zone| zone.least.saturating_sub(held(zone))).sum();
        fair.replicas.saturating_sub(stay).max(zones_lack) as u64
    };
    before.iter().map(lacks).sum()
}
