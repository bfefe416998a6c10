//! What actions would move, before anything does.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::id::{NodeId, Partition, StoreId};
use crate::core::ring::{Member, assign};
use crate::mutant;

use super::members::{Applied, apply};
use super::target::inherited;
use super::{Action, Moves, Party, Refusal, Standing};

/// The ring as a plan finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Situation {
    /// Owners that each partition should have.
    pub replication: u8,
    /// The owners of each partition, in the order of their places.
    pub owners: Vec<Vec<StoreId>>,
    /// All members.
    pub parties: Vec<Party>,
    /// Stores that are lost, each with the one that its node serves instead.
    pub heirs: BTreeMap<StoreId, StoreId>,
}

/// What actions would change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The members as they would be.
    pub parties: Vec<Party>,
    /// The owners of each partition as they would be.
    pub owners: Vec<Vec<StoreId>>,
    /// What that is for each member, by node.
    pub nodes: Vec<NodePlan>,
    /// What speaks against it.
    pub refusals: Vec<Refusal>,
}

/// What a plan is for one member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodePlan {
    /// Now.
    pub before: Party,
    /// Then.
    pub after: Party,
    /// Partitions that it owns now.
    pub owned: u32,
    /// Partitions that it would come to own.
    pub arriving: Vec<Partition>,
    /// Partitions that it would own no more.
    pub leaving: Vec<Partition>,
}

impl NodePlan {
    /// Partitions that it would own.
    pub fn to_own(&self) -> u32 {
        self.owned + self.arriving.len() as u32 - self.leaving.len() as u32
    }
}

impl Plan {
    /// The partitions that have other owners then than `before`.
    pub fn moves(&self, before: &[Vec<StoreId>]) -> Moves {
        let both = before.iter().zip(&self.owners).enumerate().filter(|(_, (before, after))| before != after);
        both.map(|(p, (before, after))| (Partition(p as u16), (before.clone(), after.clone()))).collect()
    }
}

/// Works out what actions would change. Without actions, what the loss of stores that have heirs does.
pub fn plan(situation: &Situation, actions: &[Action]) -> Plan {
    let Applied { mut parties, swaps, mut refusals } = apply(&situation.parties, actions);
    let heirs: BTreeSet<&StoreId> =
        situation.owners.iter().flatten().filter_map(|owner| situation.heirs.get(owner)).collect();
    for party in parties.iter_mut().filter(|party| party.standing == Standing::Guest && heirs.contains(&party.store)) {
        // Whoever takes a lost store's places is an owner as that one was.
        party.standing = Standing::Owner;
    }
    let present: Vec<Vec<StoreId>> = situation.owners.iter().map(|o| inherited(o, &situation.heirs)).collect();
    let swapped: Vec<Vec<StoreId>> = present.iter().map(|owners| inherited(owners, &swaps)).collect();
    let only_swaps = actions.iter().all(|action| matches!(action, Action::Replace { .. }));
    let owners = if only_swaps { Some(swapped.clone()) } else { assigned(situation, &parties, &swapped) };
    let owners = owners.unwrap_or_else(|| {
        refusals.push(Refusal::NoOwners);
        situation.owners.clone()
    });
    refusals.extend(against(situation, &parties, &owners));
    if owners == situation.owners && parties == situation.parties && refusals.is_empty() {
        refusals.push(Refusal::Nothing);
    }
    let nodes = nodes(situation, &parties, &owners);
    Plan { parties, owners, nodes, refusals }
}

/// The fewest moves to an even ring; `None` if nobody may own anything.
pub(super) fn assigned(
    situation: &Situation,
    parties: &[Party],
    previous: &[Vec<StoreId>],
) -> Option<Vec<Vec<StoreId>>> {
    let members: Vec<Member> = parties.iter().map(Party::placed).collect();
    let mut owners = assign(previous.len() as u32, situation.replication, &members, Some(previous)).ok()?;
    if mutant!(SurvivorsChangePlace) {
        owners.iter_mut().for_each(|owners| owners.sort_unstable());
    }
    Some(owners)
}

/// What the new owners speak against.
fn against(situation: &Situation, parties: &[Party], owners: &[Vec<StoreId>]) -> Vec<Refusal> {
    let mut refusals = vec![];
    let fewest = |owners: &[Vec<StoreId>]| owners.iter().map(Vec::len).min().unwrap_or(0) as u8;
    let (before, after) = (fewest(&situation.owners), fewest(owners));
    let replication = situation.replication;
    if after < before && after < replication {
        refusals.push(Refusal::FewerOwners { before, after, replication });
    }
    let (before, after) = (zones(&situation.parties, &situation.owners), zones(parties, owners));
    if after < before {
        refusals.push(Refusal::FewerZones { before, after });
    }
    let live: BTreeSet<StoreId> = parties.iter().filter(|party| party.is_live).map(|party| party.store).collect();
    let has_no_source = |(before, after): &(&Vec<StoreId>, &Vec<StoreId>)| {
        before != after && !before.iter().any(|store| live.contains(store) || after.contains(store))
    };
    let orphaned = situation.owners.iter().zip(owners).filter(has_no_source).count() as u32;
    if orphaned > 0 {
        refusals.push(Refusal::NoSource { partitions: orphaned });
    }
    refusals
}

/// In how many zones the least spread partition lies.
fn zones(parties: &[Party], owners: &[Vec<StoreId>]) -> u8 {
    let zones: BTreeMap<StoreId, &str> = parties.iter().map(|party| (party.store, party.zone.as_str())).collect();
    let spread =
        |owners: &Vec<StoreId>| owners.iter().filter_map(|store| zones.get(store)).collect::<BTreeSet<_>>().len();
    owners.iter().map(spread).min().unwrap_or(0) as u8
}

fn nodes(situation: &Situation, parties: &[Party], owners: &[Vec<StoreId>]) -> Vec<NodePlan> {
    let mut plans: BTreeMap<(NodeId, StoreId), NodePlan> = BTreeMap::new();
    let mut keys: BTreeMap<StoreId, (NodeId, StoreId)> = BTreeMap::new();
    for (before, after) in situation.parties.iter().zip(parties) {
        let key = (before.node, before.store);
        keys.insert(before.store, key);
        let (before, after) = (before.clone(), after.clone());
        plans.insert(key, NodePlan { before, after, owned: 0, arriving: vec![], leaving: vec![] });
    }
    for (p, (before, after)) in situation.owners.iter().zip(owners).enumerate() {
        let mut each = |stores: &[StoreId], note: &dyn Fn(&mut NodePlan, StoreId)| {
            for store in stores {
                if let Some(plan) = keys.get(store).and_then(|key| plans.get_mut(key)) {
                    note(plan, *store);
                }
            }
        };
        let partition = Partition(p as u16);
        each(before, &|plan, store| {
            plan.owned += 1;
            plan.leaving.extend((!after.contains(&store)).then_some(partition));
        });
        each(after, &|plan, store| plan.arriving.extend((!before.contains(&store)).then_some(partition)));
    }
    plans.into_values().collect()
}
