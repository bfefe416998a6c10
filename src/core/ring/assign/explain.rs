//! Why an assignment is as it is: what each member should own and owns, what moves, and why no less could.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::super::id::{NodeId, StoreId};
use super::super::Member;
use super::super::share::{Fair, UNIT, fair};
use super::fewest::{Fewest, fewest};
use super::{AssignError, checked};

/// What an operator is told of an assignment and of the change that led to it. Loads are in replicas.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// Q.
    pub partitions: u32,
    /// Owners wanted for each partition.
    pub replication: u8,
    /// Owners that each partition can have: less than wanted if fewer members may own something.
    pub replicas: u8,
    /// In how many zones a partition's owners lie, at the worst partition.
    pub zones_least: u8,
    /// By store: the members, and those who own or owned something and are none any more.
    pub nodes: Vec<NodeShare>,
    /// By name: the zones in which a member may own something.
    pub zones: Vec<ZoneShare>,
    /// The replicas that are to be copied to a new owner.
    pub moved: u64,
    /// How few would do.
    pub fewest: Fewest,
    /// How far the member that is farthest from its fair share is from it. Below 1 for every assignment of
    /// [`assign`](super::assign).
    pub unfairness: f64,
}

/// What one member owns.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NodeShare {
    /// Its data.
    pub store: StoreId,
    /// Who serves it; `None` if it is no member any more.
    pub node: Option<NodeId>,
    /// Where it is; `None` if it is no member any more.
    pub zone: Option<String>,
    /// Its weight; 0 if it is no member any more.
    pub weight: u32,
    /// What its weight would give it if there were no zones and a partition could be owned twice.
    pub by_weight: f64,
    /// What is fair: as near to that as zones and the number of partitions allow.
    pub fair: f64,
    /// What it owned, owns, gets and gives up.
    pub load: Load,
}

/// What the members of one zone own, together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ZoneShare {
    /// Its name.
    pub zone: String,
    /// How many of its members may own something.
    pub members: usize,
    /// The sum of their weights.
    pub weight: u64,
    /// What the weight would give it if zones did not count.
    pub by_weight: f64,
    /// What is fair: as near to that as the zone rule allows.
    pub fair: f64,
    /// Of every partition so many replicas lie here, no fewer.
    pub least: u8,
    /// Of every partition so many replicas lie here, no more: `least`, or one more.
    pub most: u8,
    /// What the zone rule makes of its weight.
    pub forced: Forced,
    /// The sums over its members. What moves between two of them counts in both.
    pub load: Load,
}

/// Replicas of a member or a zone. `before + arriving = after + leaving`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Load {
    /// Owned before.
    pub before: u64,
    /// Owned now.
    pub after: u64,
    /// Owned now and not before.
    pub arriving: u64,
    /// Owned before and not now.
    pub leaving: u64,
}

/// Whether a zone's share follows its weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Forced {
    /// It does, as far as other zones' bounds leave it to.
    No,
    /// It owns more than that: every partition must have so many owners here.
    Up,
    /// It owns less than that: no partition may have more owners here.
    Down,
}

impl fmt::Display for Forced {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Forced::No => "as its weight asks",
            Forced::Up => "more than its weight asks: every partition needs owners in this zone",
            Forced::Down => "less than its weight asks: owners are spread over the zones",
        })
    }
}

/// Explains that `owners`, by place for each partition, are what became of `previous`: what [`assign`](super::assign)
/// was given and returned, or any other assignment. To explain one without a change, name it twice. `members` are those
/// of now: zones and weights are as they say, also in what was before.
pub fn explain(
    replication: u8,
    members: &[Member],
    previous: Option<&[Vec<StoreId>]>,
    owners: &[Vec<StoreId>],
) -> Result<Explanation, AssignError> {
    let partitions = u32::try_from(owners.len()).unwrap_or(u32::MAX);
    let members = checked(partitions, replication, members)?;
    let nothing = vec![Vec::new(); owners.len()];
    let previous = previous.unwrap_or(&nothing);
    if previous.len() != owners.len() {
        return Err(AssignError::PreviousPartitions { previous: previous.len(), partitions });
    }

    let fair = fair(partitions, replication, &members);
    let loads = loads(previous, owners);
    let moved = loads.values().map(|load| load.arriving).sum();
    let nodes = nodes(&fair, &members, &loads, partitions);
    let unfairness = nodes.iter().map(|n| (n.load.after as f64 - n.fair).abs()).fold(0.0, f64::max);
    Ok(Explanation {
        partitions,
        replication,
        replicas: fair.replicas as u8,
        zones_least: zones_least(owners, &members),
        zones: zones(&fair, &members, &loads, partitions),
        fewest: fewest(&fair, &members, previous, moved),
        nodes,
        moved,
        unfairness,
    })
}

fn loads(previous: &[Vec<StoreId>], owners: &[Vec<StoreId>]) -> BTreeMap<StoreId, Load> {
    let mut loads: BTreeMap<StoreId, Load> = BTreeMap::new();
    for (before, after) in previous.iter().zip(owners) {
        let (before, after): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), after.iter().collect());
        for store in before.union(&after) {
            let load = loads.entry(**store).or_default();
            let (was, is) = (before.contains(store), after.contains(store));
            load.before += u64::from(was);
            load.after += u64::from(is);
            load.arriving += u64::from(is && !was);
            load.leaving += u64::from(was && !is);
        }
    }
    loads
}

fn nodes(fair: &Fair, members: &[Member], loads: &BTreeMap<StoreId, Load>, partitions: u32) -> Vec<NodeShare> {
    let stranger = |store: &StoreId, load: &Load| NodeShare {
        store: *store,
        node: None,
        zone: None,
        weight: 0,
        by_weight: 0.0,
        fair: 0.0,
        load: *load,
    };
    let mut nodes: BTreeMap<StoreId, NodeShare> =
        loads.iter().map(|(store, load)| (*store, stranger(store, load))).collect();
    let by_weight = by_weight(fair, members, partitions);
    for member in members {
        let node = nodes.entry(member.store).or_insert_with(|| stranger(&member.store, &Load::default()));
        node.node = Some(member.node);
        node.zone = Some(member.zone.clone());
        node.weight = member.weight;
        node.by_weight = by_weight(member.weight.into());
    }
    for (&i, &share) in fair.zones.iter().flat_map(|zone| zone.members.iter().zip(&zone.shares)) {
        if let Some(node) = nodes.get_mut(&members[i as usize].store) {
            node.fair = replicas(share);
        }
    }
    nodes.into_values().collect()
}

fn zones(fair: &Fair, members: &[Member], loads: &BTreeMap<StoreId, Load>, partitions: u32) -> Vec<ZoneShare> {
    let by_weight = by_weight(fair, members, partitions);
    let zone = fair.zones.iter().map(|zone| {
        let of = || zone.members.iter().map(|&i| &members[i as usize]);
        let weight = of().map(|m| u64::from(m.weight)).sum();
        let bound = |of_each: usize| of_each as u64 * u64::from(partitions) * UNIT;
        let (fair, by_weight) = (replicas(zone.share), by_weight(weight));
        let forced = if zone.share == bound(zone.least) && fair > by_weight {
            Forced::Up
        } else if zone.share == bound(zone.most) && fair < by_weight {
            Forced::Down
        } else {
            Forced::No
        };
        // A member that may own nothing is of the zone all the same: it may have owned something.
        let name = of().next().map(|m| m.zone.clone()).unwrap_or_default();
        let all = members.iter().filter(|m| m.zone == name).filter_map(|m| loads.get(&m.store));
        let load = all.fold(Load::default(), |sum, load| Load {
            before: sum.before + load.before,
            after: sum.after + load.after,
            arriving: sum.arriving + load.arriving,
            leaving: sum.leaving + load.leaving,
        });
        let (least, most) = (zone.least as u8, zone.most as u8);
        ZoneShare { zone: name, members: zone.members.len(), weight, by_weight, fair, least, most, forced, load }
    });
    zone.collect()
}

/// What a weight would be given of all replicas if nothing but weights counted.
fn by_weight(fair: &Fair, members: &[Member], partitions: u32) -> impl Fn(u64) -> f64 + use<> {
    let all: u64 = members.iter().map(|m| u64::from(m.weight)).sum();
    let places = fair.replicas as u64 * u64::from(partitions);
    move |weight| weight as f64 * places as f64 / all as f64
}

fn replicas(share: u64) -> f64 {
    share as f64 / UNIT as f64
}

fn zones_least(owners: &[Vec<StoreId>], members: &[Member]) -> u8 {
    let zone: BTreeMap<StoreId, &str> = members.iter().map(|m| (m.store, m.zone.as_str())).collect();
    let zones = |owners: &Vec<StoreId>| owners.iter().filter_map(|s| zone.get(s)).collect::<BTreeSet<_>>().len();
    owners.iter().map(zones).min().unwrap_or(0).min(usize::from(u8::MAX)) as u8
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::member;
    use super::super::{Because, assign};
    use super::*;

    fn members(zones: &[&str]) -> Vec<Member> {
        zones.iter().enumerate().map(|(i, zone)| member(i as u128 + 1, zone, 1)).collect()
    }

    #[test]
    fn a_replacement_is_explained() {
        let mut members = members(&["a", "a", "b", "b"]);
        let before = assign(8, 2, &members, None).unwrap();
        members[3] = member(5, "b", 1);
        let after = assign(8, 2, &members, Some(&before)).unwrap();
        let explained = explain(2, &members, Some(&before), &after).unwrap();

        assert_eq!((explained.moved, explained.replicas, explained.zones_least), (4, 2, 2));
        assert_eq!(explained.fewest, Fewest { replicas: 4, because: Because::Partitions });
        assert_eq!(explained.unfairness, 0.0);
        let load = |before, after, arriving, leaving| Load { before, after, arriving, leaving };
        let nodes: Vec<_> = explained.nodes.iter().map(|n| (n.store.0, n.node.is_some(), n.fair, n.load)).collect();
        assert_eq!(
            nodes,
            [
                (1, true, 4.0, load(4, 4, 0, 0)),
                (2, true, 4.0, load(4, 4, 0, 0)),
                (3, true, 4.0, load(4, 4, 0, 0)),
                (4, false, 0.0, load(4, 0, 0, 4)),
                (5, true, 4.0, load(0, 4, 4, 0)),
            ]
        );
        let zones: Vec<_> = explained.zones.iter().map(|z| (z.zone.as_str(), z.forced, z.load)).collect();
        assert_eq!(zones, [("a", Forced::No, load(8, 8, 0, 0)), ("b", Forced::No, load(4, 8, 4, 0))]);
    }

    #[test]
    fn what_the_zones_force_is_told() {
        let members = members(&["a", "a", "a", "b"]);
        let owners = assign(8, 2, &members, None).unwrap();
        let explained = explain(2, &members, Some(&owners), &owners).unwrap();
        let zones: Vec<_> = explained.zones.iter().map(|z| (z.by_weight, z.fair, z.least, z.most, z.forced)).collect();
        assert_eq!(zones, [(12.0, 8.0, 1, 1, Forced::Down), (4.0, 8.0, 1, 1, Forced::Up)]);
        assert_eq!((explained.moved, explained.fewest.replicas), (0, 0));
    }

    /// Partition 3 lacks an owner, member 3 lacks a replica: but it owns that partition already.
    #[test]
    fn where_counting_is_not_enough_the_flow_tells() {
        let owners = |of: &[&[u128]]| -> Vec<Vec<StoreId>> {
            of.iter().map(|owners| owners.iter().copied().map(StoreId).collect()).collect()
        };
        let members = members(&["a", "a", "a", "a"]);
        let before = owners(&[&[1, 4], &[2, 4], &[1, 2], &[3]]);
        let after = assign(4, 2, &members, Some(&before)).unwrap();
        let explained = explain(2, &members, Some(&before), &after).unwrap();
        assert_eq!(explained.moved, 2);
        assert_eq!(explained.fewest, Fewest { replicas: 2, because: Because::Flow });
        // More moves than needed are told as well: here the first two partitions have changed owners.
        let elsewhere = owners(&[&[4, 2], &[1, 4], &[1, 3], &[3, 2]]);
        let explained = explain(2, &members, Some(&before), &elsewhere).unwrap();
        assert_eq!((explained.moved, explained.fewest.replicas), (4, 2));
    }

    #[test]
    fn unfair_owners_are_told_by_how_much() {
        let members = members(&["a", "b", "c"]);
        let owners = vec![vec![StoreId(1)], vec![StoreId(1)]];
        let explained = explain(1, &members, Some(&owners), &owners).unwrap();
        assert!((explained.unfairness - 4.0 / 3.0).abs() < 1e-9, "{explained:?}");
        assert_eq!(explained.fewest, Fewest { replicas: 1, because: Because::Leaving });
        let other = explain(1, &members, Some(&owners[..1]), &owners);
        assert_eq!(other, Err(AssignError::PreviousPartitions { previous: 1, partitions: 2 }));
    }
}
