//! What there is to do, by the ring and by who is live.

use std::collections::{BTreeMap, BTreeSet};

use super::presence::Presence;
use crate::core::id::{Epoch, Partition, StoreId};
use crate::core::ring::{Ring, Slice};
use crate::core::transfer::{Condition, Sources, TransferId, arrival_place, has_arrived, sources};
use crate::mutant;

/// A partition at one age of it.
pub type Aged = (Partition, Epoch);

/// What a store has to do.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Agenda {
    /// Where it arrives.
    pub arriving: BTreeMap<Aged, Arrival>,
    /// What it holds without a place of it.
    pub draining: BTreeMap<Aged, Delivery>,
}

/// One partition that it drains.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// To whose owners it goes.
    pub slice: Slice,
    /// Of these, who is lost for good.
    pub lost: BTreeSet<StoreId>,
}

/// One partition that it arrives in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The place that it is to have.
    pub place: usize,
    /// Whom it replaces, and the others.
    pub owners: Vec<StoreId>,
    /// How it stands.
    pub state: ArrivalState,
}

/// How an arrival stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArrivalState {
    /// Copy from these.
    From(Vec<TransferId>),
    /// Nothing can be done yet, for this reason.
    Waits(String),
    /// Everything is here.
    Complete,
}

/// What is known beside the ring.
pub struct Known<'a> {
    /// This store.
    pub own: StoreId,
    /// Who is live; `None` before the coordination service has told.
    pub presence: Option<&'a Presence>,
    /// The sources that were copied from.
    pub done: &'a BTreeMap<Aged, BTreeSet<StoreId>>,
    /// What was begun, after everybody had acknowledged it.
    pub begun: &'a BTreeSet<Aged>,
    /// Partitions of which something was found here.
    pub found: &'a BTreeSet<Partition>,
}

impl Agenda {
    /// Of one ring.
    pub fn of(ring: &Ring, known: &Known) -> Agenda {
        let mut agenda = Agenda::default();
        let number = ring.members().iter().position(|member| member.store == known.own);
        for (i, numbered) in ring.slices().iter().enumerate() {
            let partition = Partition(i as u16);
            let is_named = number.is_some_and(|number| {
                let named = numbered.others().iter().chain(&numbered.draining);
                named.into_iter().any(|&other| other as usize == number)
            });
            if !is_named && !known.found.contains(&partition) {
                continue;
            }
            let slice = ring.slice(partition);
            let aged = (partition, slice.since);
            if let Some(place) = arrival_place(&slice, known.own) {
                let state = known.state(ring, aged, &slice, place);
                agenda.arriving.insert(aged, Arrival { place, owners: slice.owners, state });
            } else if !slice.owners.contains(&known.own) && !slice.others().contains(&known.own) {
                let owners = slice.owners.iter().chain(slice.others());
                let lost = owners.copied().filter(|&owner| known.is_lost(owner)).collect();
                agenda.draining.insert(aged, Delivery { slice, lost });
            }
        }
        agenda
    }

    /// What is complete of what it arrives in.
    pub fn arrived(&self) -> impl Iterator<Item = Aged> {
        self.arriving.iter().filter(|(_, arrival)| arrival.state == ArrivalState::Complete).map(|(aged, _)| *aged)
    }

    /// Whom to copy from now.
    pub fn transfers(&self) -> impl Iterator<Item = (TransferId, &Arrival)> {
        self.arriving.values().flat_map(|arrival| {
            let ids: &[TransferId] = if let ArrivalState::From(ids) = &arrival.state { ids } else { &[] };
            ids.iter().map(move |id| (*id, arrival))
        })
    }
}

impl Known<'_> {
    fn is_lost(&self, store: StoreId) -> bool {
        self.presence.is_some_and(|presence| presence.is_lost(store))
    }

    fn state(&self, ring: &Ring, aged: Aged, slice: &Slice, place: usize) -> ArrivalState {
        let (partition, since) = aged;
        let none = BTreeSet::new();
        let done = self.done.get(&aged).unwrap_or(&none);
        if has_arrived(slice, self.own, place, done, |store| self.is_lost(store)) {
            return ArrivalState::Complete;
        }
        let Some(presence) = self.presence else {
            return ArrivalState::Waits("the coordination service has not been heard yet".into());
        };
        let node = |store: StoreId| format!("node {}", ring.node_of(store));
        if !self.begun.contains(&aged) && !mutant!(SwitchBeforeAcknowledged) {
            let lagging: Vec<String> = presence.lagging(since).map(node).collect();
            if !lagging.is_empty() {
                return ArrivalState::Waits(format!("{} must work by ring {since} first", lagging.join(", ")));
            }
        }
        match sources(slice, self.own, place, |store| presence.condition(store, partition)) {
            Sources::From(sources) => {
                let missing = sources.into_iter().filter(|source| !done.contains(source));
                ArrivalState::From(missing.map(|source| TransferId { partition, since, source }).collect())
            }
            Sources::Waiting(unfit) => {
                let unfit = unfit.into_iter().map(|(store, condition)| match condition {
                    Condition::NeedsSync => format!("{} needs to be synced with the others", node(store)),
                    Condition::Good | Condition::Down | Condition::Lost => format!("{} is down", node(store)),
                });
                ArrivalState::Waits(unfit.collect::<Vec<_>>().join(", "))
            }
            Sources::Nobody => ArrivalState::Waits("no owner is left to copy from".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::NodeId;
    use crate::core::ring::{Member, Motion};

    const SINCE: Epoch = Epoch { generation: 0, counter: 5 };

    fn ring(slices: &[Slice<u16>]) -> Ring {
        let member = |i: u128| Member {
            store: StoreId(i),
            node: NodeId(i as u32),
            address: format!("node{i}:8000"),
            zone: "default".into(),
            weight: 1,
        };
        Ring::of(SINCE, 3, (0..5).map(member).collect(), slices).expect("a ring")
    }

    fn slices() -> Vec<Slice<u16>> {
        let aged = |slice| Slice { since: SINCE, ..slice };
        let rest = Slice::at_rest(vec![0, 1, 2]);
        let pending = aged(Slice { motion: Some(Motion::Pending(vec![0, 4, 2])), ..rest.clone() });
        let draining = aged(Slice { draining: vec![4], ..rest.clone() });
        vec![rest.clone(), pending, draining, rest]
    }

    fn agenda(presence: Option<&Presence>, done: &[u128], begun: bool, found: &[u16]) -> Agenda {
        let aged = (Partition(1), SINCE);
        let done = BTreeMap::from([(aged, done.iter().copied().map(StoreId).collect())]);
        let begun = begun.then_some(aged).into_iter().collect();
        let found = found.iter().copied().map(Partition).collect();
        Agenda::of(&ring(&slices()), &Known { own: StoreId(4), presence, done: &done, begun: &begun, found: &found })
    }

    fn presence(live: &[(u128, u64)]) -> Presence {
        live.iter().map(|(store, counter)| (StoreId(*store), Some(Epoch { counter: *counter, ..SINCE }))).collect()
    }

    fn state(agenda: &Agenda) -> &ArrivalState {
        &agenda.arriving[&(Partition(1), SINCE)].state
    }

    #[test]
    fn everybody_who_is_live_must_work_by_the_ring() {
        let waits = |presence| match state(&agenda(presence, &[], false, &[])) {
            ArrivalState::Waits(reason) => reason.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(waits(None), "the coordination service has not been heard yet");
        let lagging = presence(&[(0, 5), (1, 4), (3, 3), (4, 5)]);
        assert_eq!(waits(Some(&lagging)), "node 1, node 3 must work by ring 0.5 first");
    }

    #[test]
    fn it_copies_from_whom_it_replaces_or_from_the_others() {
        let id = |source| TransferId { partition: Partition(1), since: SINCE, source: StoreId(source) };
        let all = presence(&[(0, 5), (1, 5), (2, 6), (4, 5)]);
        assert_eq!(*state(&agenda(Some(&all), &[], false, &[])), ArrivalState::From(vec![id(1)]));
        let without = presence(&[(0, 5), (2, 6), (4, 5)]);
        assert_eq!(*state(&agenda(Some(&without), &[], false, &[])), ArrivalState::From(vec![id(0), id(2)]));
        assert_eq!(*state(&agenda(Some(&without), &[0], true, &[])), ArrivalState::From(vec![id(2)]));
        let two_down = presence(&[(0, 5), (4, 5)]);
        let reason = ArrivalState::Waits("node 1 is down, node 2 is down".into());
        assert_eq!(*state(&agenda(Some(&two_down), &[], false, &[])), reason);
    }

    #[test]
    fn it_waits_for_nobody_who_is_lost() {
        let one_left = presence(&[(0, 5), (4, 5)]).without([StoreId(1), StoreId(2)]);
        let id = TransferId { partition: Partition(1), since: SINCE, source: StoreId(0) };
        assert_eq!(*state(&agenda(Some(&one_left), &[], false, &[])), ArrivalState::From(vec![id]));
        assert_eq!(*state(&agenda(Some(&one_left), &[0], true, &[])), ArrivalState::Complete);
    }

    #[test]
    fn what_was_begun_does_not_wait_for_who_comes_later() {
        let new = presence(&[(0, 5), (1, 5), (2, 5), (3, 2), (4, 5)]);
        assert!(matches!(state(&agenda(Some(&new), &[], true, &[])), ArrivalState::From(_)));
        let agenda = agenda(None, &[1], true, &[]);
        assert_eq!(*state(&agenda), ArrivalState::Complete);
        assert_eq!(agenda.arrived().collect::<Vec<_>>(), [(Partition(1), SINCE)]);
    }

    #[test]
    fn it_knows_whom_a_drain_need_not_reach() {
        let lost = |presence: Option<&Presence>| {
            agenda(presence, &[], false, &[]).draining[&(Partition(2), SINCE)].lost.clone()
        };
        assert!(lost(None).is_empty());
        let without = presence(&[(0, 5), (1, 5), (4, 5)]).without([StoreId(2), StoreId(3)]);
        assert_eq!(lost(Some(&without)), BTreeSet::from([StoreId(2)]));
    }

    #[test]
    fn it_drains_what_it_is_named_for_and_what_is_found() {
        let keys = |found| agenda(None, &[], false, found).draining.keys().map(|(p, _)| p.0).collect::<Vec<_>>();
        assert_eq!(keys(&[]), [2]);
        assert_eq!(keys(&[0, 1]), [0, 2], "it arrives in 1");
    }
}
