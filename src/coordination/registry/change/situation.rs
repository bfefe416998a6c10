//! From the registry to what a change is decided on.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::id::{NodeId, Partition, StoreId};
use crate::core::ring::change::{self, Action, Direction, Facts, Party, Plan, Situation, Standing, Target};

use super::super::records::RingRecord;
use super::super::view::View;
use super::records::ChangeRecord;

/// What the staged actions would do. While a change runs that is reckoned from its goal.
pub fn plan(view: &View) -> Plan {
    change::plan(&situation(view, Direction::Forward), &view.staged.record.actions)
}

/// What each partition should have as owners: the goal of the change that runs, or what it has.
pub fn target(view: &View) -> Target {
    let running = view.running();
    Target {
        moves: running.map(ChangeRecord::moves).unwrap_or_default(),
        direction: running.map(|change| change.direction).unwrap_or_default(),
        heirs: heirs(view),
    }
}

/// What is known of how far everybody is.
pub fn facts(view: &View) -> Facts {
    let members = || view.ring.members.iter();
    let is_gone = |standing| matches!(standing, Standing::Removed | Standing::Replaced);
    let gone = members().filter(|member| is_gone(member.standing)).map(|member| member.store);
    let absent = view.stores.iter().filter(|(_, record)| !record.state.is_awaited()).map(|(store, _)| *store);
    let of_each = |marks: fn(&super::TransferRecord) -> &change::Marks| {
        view.transfers.iter().map(|(store, record)| (*store, marks(record).clone())).collect()
    };
    Facts {
        members: members().filter(|member| member.is_present()).map(|member| member.store).collect(),
        live: view.live.values().map(|live| (live.store, live.epoch)).collect(),
        arrived: of_each(|record| &record.arrived),
        drained: of_each(|record| &record.drained),
        absent: gone.chain(absent).collect(),
    }
}

/// The ring as it is, or as the change that runs would leave it if it went in that direction; lost stores stand where they stood.
pub(super) fn situation(view: &View, direction: Direction) -> Situation {
    let target = Target { direction, heirs: BTreeMap::new(), ..target(view) };
    let slices = view.ring.named_slices();
    let owners = slices.iter().enumerate().map(|(p, slice)| target.of(Partition(p as u16), slice)).collect();
    let directed = view.running().map(|change| ChangeRecord { direction, ..change.clone() });
    let live: BTreeMap<NodeId, StoreId> = view.live.iter().map(|(node, live)| (*node, live.store)).collect();
    let parties = view.ring.members.iter().map(|member| {
        let terms = directed.as_ref().and_then(|change| change.terms(member.store)).filter(|_| member.is_present());
        let (weight, zone) = terms.map_or((member.weight, &member.zone), |terms| (terms.weight, &terms.zone));
        Party {
            store: member.store,
            node: member.node,
            zone: zone.clone(),
            weight,
            standing: terms.map_or(member.standing, |terms| terms.standing),
            is_live: live.get(&member.node) == Some(&member.store),
        }
    });
    Situation { replication: view.cluster.replication, owners, parties: parties.collect(), heirs: heirs(view) }
}

/// Stores that are lost, each with the member that its node serves instead.
fn heirs(view: &View) -> BTreeMap<StoreId, StoreId> {
    let present: BTreeSet<StoreId> =
        view.ring.members.iter().filter(|member| member.is_present()).map(|member| member.store).collect();
    let next = |store: StoreId| view.stores.get(&store).and_then(|record| record.replaced_by);
    let lost = view.stores.iter().filter(|(store, record)| record.replaced_by.is_some() && !present.contains(store));
    let heir_of = |store: StoreId| {
        // Each store is replaced at most once, so this ends; a ring of them written by hand ends with the count.
        let line = std::iter::successors(next(store), |heir| next(*heir)).take(view.stores.len());
        line.into_iter().find(|heir| present.contains(heir))
    };
    lost.filter_map(|(store, _)| Some((*store, heir_of(*store)?))).collect()
}

/// Whether some partition is lost that an heir could take over, without any change that says so.
pub(super) fn has_heirs_waiting(view: &View) -> bool {
    let heirs = heirs(view);
    !heirs.is_empty()
        && view.ring.named_slices().iter().any(|slice| slice.owners.iter().any(|owner| heirs.contains_key(owner)))
}

/// The actions that a change without an operator is recorded with.
pub(super) fn inheritances(ring: &RingRecord, target: &Target) -> Vec<Action> {
    let lost = ring.members.iter().filter(|member| target.heirs.contains_key(&member.store));
    lost.map(|member| Action::Replace { node: member.node, by: member.node }).collect()
}
