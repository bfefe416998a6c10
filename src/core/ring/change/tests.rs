//! Rings on their way, through random changes, acknowledgements, reports, crashes and turns.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult};

use super::*;
use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::ring::{Member, Motion, Slice, assign};

const PARTITIONS: u32 = 16;

fn party(store: u32, zone: u32, standing: Standing) -> Party {
    let (node, weight, zone) = (NodeId(store), 100, format!("z{zone}"));
    Party { store: StoreId(store.into()), node, zone, weight, standing, is_live: true }
}

/// Owners and guests, in three zones.
fn parties(owners: u32, guests: u32) -> Vec<Party> {
    let standing = |i| if i <= owners { Standing::Owner } else { Standing::Guest };
    (1..=owners + guests).map(|i| party(i, i % 3, standing(i))).collect()
}

fn placed(parties: &[Party], replication: u8) -> Vec<Vec<StoreId>> {
    let members: Vec<Member> = parties.iter().map(Party::placed).collect();
    assign(PARTITIONS, replication, &members, None).expect("owners")
}

fn situation(replication: u8, parties: Vec<Party>) -> Situation {
    Situation { replication, owners: placed(&parties, replication), parties, heirs: BTreeMap::new() }
}

/// Something that happens to a cluster.
#[derive(Clone, Debug)]
enum Event {
    /// An operator asks for these, whatever speaks against it.
    Commit(Vec<Action>),
    TurnBack,
    /// The `n`th live member acknowledges the ring.
    Acknowledge(usize),
    /// The `n`th arriving store reports what it is to report; if it is late, of the ring before.
    Arrive(usize, bool),
    /// The `n`th draining one does.
    Drain(usize, bool),
    /// A node loses its session, with what it had acknowledged.
    Crash(usize),
    /// It is back.
    Return(usize),
    /// Whoever drives looks.
    Drive,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let node = || (1u32..9).prop_map(NodeId);
    let action = prop_oneof![
        node().prop_map(|node| Action::Join { node }),
        node().prop_map(|node| Action::Leave { node }),
        node().prop_map(|node| Action::Remove { node }),
        (node(), node()).prop_map(|(node, by)| Action::Replace { node, by }),
        (node(), 0u32..300).prop_map(|(node, weight)| Action::Set { node, weight: Some(weight), zone: None }),
    ];
    let event = prop_oneof![
        2 => proptest::collection::vec(action, 1..4).prop_map(Event::Commit),
        1 => Just(Event::TurnBack),
        12 => (0usize..9).prop_map(Event::Acknowledge),
        8 => (0usize..64, any::<bool>()).prop_map(|(n, late)| Event::Arrive(n, late)),
        8 => (0usize..64, any::<bool>()).prop_map(|(n, late)| Event::Drain(n, late)),
        1 => (0usize..9).prop_map(Event::Crash),
        1 => (0usize..9).prop_map(Event::Return),
        8 => Just(Event::Drive),
    ];
    proptest::collection::vec(event, 0..200)
}

struct World {
    replication: u8,
    parties: Vec<Party>,
    slices: Vec<Slice>,
    epoch: Epoch,
    target: Target,
    facts: Facts,
    window: u32,
}

impl World {
    fn new(replication: u8, parties: Vec<Party>, window: u32) -> World {
        let slices = placed(&parties, replication).into_iter().map(Slice::at_rest).collect();
        let mut facts = Facts { members: parties.iter().map(|party| party.store).collect(), ..Facts::default() };
        facts.live = facts.members.iter().map(|store| (*store, Some(Epoch::default()))).collect();
        World { replication, parties, slices, epoch: Epoch::default(), target: Target::default(), facts, window }
    }

    fn is_reached(&self) -> bool {
        self.slices.iter().enumerate().all(|(p, slice)| self.target.is_reached(Partition(p as u16), slice))
    }

    fn happen(&mut self, event: &Event) -> TestCaseResult {
        match event {
            Event::Commit(actions) => self.commit(actions)?,
            Event::TurnBack => self.target.direction = Direction::TurningBack,
            Event::Acknowledge(n) => {
                let epoch = self.epoch;
                self.facts.live.values_mut().nth(*n).into_iter().for_each(|live| *live = Some(epoch));
            }
            Event::Arrive(n, late) => {
                let arriving = self.arriving();
                if let Some((partition, store)) = (!arriving.is_empty()).then(|| arriving[n % arriving.len()]) {
                    let since = self.said(partition, *late);
                    self.facts.arrived.entry(store).or_default().insert(partition, since);
                }
            }
            Event::Drain(n, late) => {
                let draining = self.draining();
                if let Some((partition, store)) = (!draining.is_empty()).then(|| draining[n % draining.len()]) {
                    let since = self.said(partition, *late);
                    self.facts.drained.entry(store).or_default().insert(partition, since);
                }
            }
            Event::Crash(n) => {
                let store = self.facts.live.keys().nth(*n).copied();
                store.and_then(|store| self.facts.live.remove(&store));
            }
            Event::Return(n) => {
                if let Some(store) = self.parties.get(*n).map(|party| party.store) {
                    self.facts.live.entry(store).or_insert(None);
                }
            }
            Event::Drive => {
                self.drive()?;
            }
        }
        Ok(())
    }

    /// What is said is of this ring, or of one before.
    fn said(&self, partition: Partition, late: bool) -> Epoch {
        let since = self.slices[partition.0 as usize].since;
        Epoch { counter: since.counter.saturating_sub(u64::from(late)), ..since }
    }

    fn arriving(&self) -> Vec<(Partition, StoreId)> {
        let pending = |slice: &&Slice| matches!(slice.motion, Some(Motion::Pending(_)));
        let of = |(p, slice): (usize, &Slice)| {
            let stores: Vec<StoreId> =
                Some(slice).filter(pending).into_iter().flat_map(arrivals).map(|(_, store, _)| store).collect();
            stores.into_iter().map(move |store| (Partition(p as u16), store))
        };
        self.slices.iter().enumerate().flat_map(of).collect()
    }

    fn draining(&self) -> Vec<(Partition, StoreId)> {
        let of = |(p, slice): (usize, &Slice)| {
            slice.draining.clone().into_iter().map(move |store| (Partition(p as u16), store))
        };
        self.slices.iter().enumerate().flat_map(of).collect()
    }

    /// As the registry does it: a change begins when the one before has ended.
    fn commit(&mut self, actions: &[Action]) -> TestCaseResult {
        if !self.is_reached() {
            return Ok(());
        }
        let owners: Vec<Vec<StoreId>> = self.slices.iter().map(|slice| slice.owners.clone()).collect();
        for party in &mut self.parties {
            party.is_live = self.facts.live.contains_key(&party.store);
            if matches!(party.standing, Standing::Leaving | Standing::Removed) {
                // It went out of the ring when the change ended, and came back.
                party.standing = Standing::Guest;
            }
        }
        let situation =
            Situation { replication: self.replication, owners, parties: self.parties.clone(), heirs: BTreeMap::new() };
        let plan = plan(&situation, actions);
        if plan.refusals.iter().any(|refusal| !refusal.can_be_forced()) {
            return Ok(());
        }
        keep_places(&situation.owners, &plan.owners)?;
        self.target = Target { moves: plan.moves(&situation.owners), ..Target::default() };
        self.facts.absent =
            plan.parties.iter().filter(|p| p.standing == Standing::Removed).map(|party| party.store).collect();
        self.parties = plan.parties;
        Ok(())
    }

    /// One look, and whether it was of use. Judges what was done without asking how.
    fn drive(&mut self) -> Result<bool, TestCaseError> {
        let next = Epoch { counter: self.epoch.counter + 1, ..self.epoch };
        let Some(advanced) = advance(&self.slices, &self.target, &self.facts, next, self.window) else {
            return Ok(false);
        };
        self.epoch = next;
        for (p, (old, new)) in self.slices.iter().zip(&advanced.slices).enumerate() {
            self.judge(Partition(p as u16), old, new)?;
        }
        let mut pending: BTreeMap<StoreId, u32> = BTreeMap::new();
        self.slices = advanced.slices;
        self.arriving().into_iter().for_each(|(_, store)| *pending.entry(store).or_default() += 1);
        prop_assert!(pending.values().all(|&pending| pending <= self.window), "{:?}", pending);
        Ok(true)
    }

    fn judge(&self, partition: Partition, old: &Slice, new: &Slice) -> TestCaseResult {
        for owners in [&new.owners[..], new.others()] {
            prop_assert_eq!(owners.iter().collect::<BTreeSet<_>>().len(), owners.len(), "distinct: {:?}", new);
        }
        let (before, goal) =
            self.target.moves.get(&partition).cloned().unwrap_or((old.owners.clone(), old.owners.clone()));
        prop_assert!(new.owners == before || new.owners == goal, "whole: {:?}", new);
        prop_assert!(!new.draining.iter().any(|store| new.owners.contains(store) || new.others().contains(store)));

        let has_moved = (&old.owners, &old.motion) != (&new.owners, &new.motion);
        prop_assert_eq!(new.since, if has_moved { self.epoch } else { old.since });
        prop_assert!(!has_moved || new.since > old.since, "epochs rise");
        if !has_moved {
            return Ok(());
        }
        let all_know = self.facts.live.values().all(|acknowledged| *acknowledged >= Some(old.since));
        match (&old.motion, &new.motion) {
            (None, Some(Motion::Pending(others))) => {
                prop_assert_eq!(&old.owners, &new.owners);
                prop_assert!(others.iter().all(|store| self.facts.members.contains(store)));
            }
            (Some(Motion::Pending(others)), Some(Motion::Switched(departing))) => {
                prop_assert_eq!((others, &old.owners), (&new.owners, departing));
                prop_assert!(all_know, "switched before everybody knew that it was pending");
                for (_, store, _) in arrivals(old) {
                    let said = self.facts.arrived.get(&store).and_then(|marks| marks.get(&partition));
                    prop_assert_eq!(said, Some(&old.since), "switched before the proof");
                }
            }
            (Some(Motion::Pending(others)), None) => {
                prop_assert_eq!(&old.owners, &new.owners);
                self.drained_by(others, new)?;
            }
            (Some(Motion::Switched(departing)), None) => {
                prop_assert_eq!(&old.owners, &new.owners);
                prop_assert!(all_know, "retired before everybody knew that it was switched");
                self.drained_by(departing, new)?;
            }
            (before, after) => prop_assert!(false, "{:?} became {:?}", before, after),
        }
        Ok(())
    }

    /// Whoever departs is remembered until it is empty, unless it is gone.
    fn drained_by(&self, departed: &[StoreId], new: &Slice) -> TestCaseResult {
        for store in departed.iter().filter(|store| !new.owners.contains(store)) {
            prop_assert!(new.draining.contains(store) || self.facts.absent.contains(store));
        }
        Ok(())
    }

    /// Everybody lives, acknowledges, arrives and drains.
    fn settle(&mut self) -> TestCaseResult {
        for round in 0.. {
            prop_assert!(round < 1000, "it never ends: {:?}", self.reasons());
            self.facts.live = self.facts.members.iter().map(|store| (*store, Some(self.epoch))).collect();
            for n in 0..self.arriving().len() {
                self.happen(&Event::Arrive(n, false))?;
            }
            for n in 0..self.draining().len() {
                self.happen(&Event::Drain(n, false))?;
            }
            if !self.drive()? {
                break;
            }
        }
        prop_assert!(self.is_reached(), "{:?}", self.reasons());
        prop_assert_eq!(self.reasons(), vec![]);
        Ok(())
    }

    fn reasons(&self) -> Vec<Waits> {
        let why = |(p, slice): (usize, &Slice)| why(slice, Partition(p as u16), &self.target, &self.facts);
        self.slices.iter().enumerate().filter_map(why).collect()
    }
}

/// Who stays keeps its place, unless there are fewer of them.
fn keep_places(before: &[Vec<StoreId>], after: &[Vec<StoreId>]) -> TestCaseResult {
    for (before, after) in before.iter().zip(after).filter(|(before, after)| before.len() <= after.len()) {
        for (place, store) in before.iter().enumerate().filter(|(_, store)| after.contains(store)) {
            prop_assert_eq!(&after[place], store, "survivors keep their places");
        }
    }
    Ok(())
}

fn live_through(replication: u8, owners: u32, guests: u32, window: u32, events: &[Event]) -> TestCaseResult {
    let mut world = World::new(replication, parties(owners, guests), window);
    for event in events {
        world.happen(event)?;
    }
    world.settle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_happens_each_ring_is_sound_and_the_goal_is_reached(
        replication in 1u8..5, owners in 1u32..6, guests in 0u32..4, window in 1u32..8, events in events(),
    ) {
        live_through(replication, owners, guests, window, &events)?;
    }

    #[test]
    fn a_change_that_is_turned_back_leaves_everything_as_it_was(
        owners in 3u32..6, guests in 1u32..4, events in events(),
    ) {
        let mut world = World::new(3, parties(owners, guests), 4);
        let before = world.slices.iter().map(|slice| slice.owners.clone()).collect::<Vec<_>>();
        let joins: Vec<Action> = (owners + 1..=owners + guests).map(|n| Action::Join { node: NodeId(n) }).collect();
        world.happen(&Event::Commit(joins))?;
        for event in events.iter().filter(|event| !matches!(event, Event::Commit(_) | Event::TurnBack)) {
            world.happen(event)?;
        }
        world.happen(&Event::TurnBack)?;
        world.settle()?;
        prop_assert_eq!(world.slices.iter().map(|slice| slice.owners.clone()).collect::<Vec<_>>(), before);
    }
}

#[cfg(feature = "mutants")]
mod mutants {
    use super::*;
    use crate::mutants::{Mutant, activate};

    /// A join in which everybody is slow: nobody acknowledges, nobody arrives.
    fn impatient(events: &[Event]) -> TestCaseResult {
        let join = Event::Commit(vec![Action::Join { node: NodeId(4) }]);
        live_through(2, 3, 1, 8, &[&[join, Event::Drive][..], events].concat())
    }

    #[test]
    fn each_mutant_breaks_a_rule() {
        let everybody_knows: Vec<Event> = (0..4).map(Event::Acknowledge).collect();
        let everything_arrives = (0..64).map(|n| Event::Arrive(n, false));
        let too_soon: Vec<Event> = everybody_knows.iter().cloned().chain([Event::Drive]).collect();
        let too_late: Vec<Event> =
            too_soon.iter().take(4).cloned().chain(everything_arrives).chain([Event::Drive, Event::Drive]).collect();
        for (mutant, events) in [
            (Mutant::SwitchBeforeProof, &too_soon),
            (Mutant::RetireBeforeAcknowledged, &too_late),
            (Mutant::SurvivorsChangePlace, &vec![]),
        ] {
            impatient(events).unwrap_or_else(|broken| panic!("without {mutant:?}: {broken}"));
            activate(Some(mutant));
            let broken = impatient(events);
            activate(None);
            assert!(broken.is_err(), "{mutant:?} is not caught");
        }
    }
}

#[test]
fn a_replaced_node_hands_its_very_places_on() {
    let situation = situation(3, parties(4, 1));
    let plan = plan(&situation, &[Action::Replace { node: NodeId(2), by: NodeId(5) }]);
    assert_eq!(plan.refusals, []);
    let renamed: Vec<Vec<StoreId>> = situation
        .owners
        .iter()
        .map(|owners| owners.iter().map(|store| if *store == StoreId(2) { StoreId(5) } else { *store }).collect())
        .collect();
    assert_eq!(plan.owners, renamed);
    assert_eq!(plan.parties[1].standing, Standing::Leaving, "it is alive, and drains");
    let owned = |i: usize| (plan.nodes[i].owned, plan.nodes[i].to_own());
    assert_eq!((owned(1), owned(4)), ((16, 0), (0, 16)));
}

#[test]
fn what_would_break_the_ring_is_refused() {
    let with = |actions: &[Action]| plan(&situation(3, parties(3, 1)), actions).refusals;
    let n = NodeId;
    assert_eq!(with(&[Action::Join { node: n(9) }]), [Refusal::Unknown { node: n(9) }]);
    assert_eq!(with(&[Action::Join { node: n(1) }]), [Refusal::NotAGuest { node: n(1) }]);
    assert_eq!(with(&[Action::Replace { node: n(4), by: n(1) }]), [Refusal::NothingToReplace { node: n(4) }]);
    let fewer = Refusal::FewerOwners { before: 3, after: 2, replication: 3 };
    let zones = Refusal::FewerZones { before: 3, after: 2 };
    assert_eq!(with(&[Action::Leave { node: n(1) }]), [fewer.clone(), zones.clone()]);
    assert_eq!(with(&[Action::Remove { node: n(1) }]), [Refusal::Alive { node: n(1) }, fewer, zones]);
    let weightless = [Action::Join { node: n(4) }, Action::Set { node: n(4), weight: Some(0), zone: None }];
    assert_eq!(with(&weightless)[0], Refusal::Weightless { node: n(4) });
    let all: Vec<Action> = (1..4).map(|i| Action::Leave { node: n(i) }).collect();
    assert_eq!(with(&all), [Refusal::NoOwners]);
    let same = [Action::Set { node: n(1), weight: Some(100), zone: None }];
    assert_eq!(with(&same), [Refusal::Nothing]);
    assert!(with(&[Action::Join { node: n(4) }]).is_empty());
}

#[test]
fn nobody_is_copied_from_who_is_dead() {
    let mut parties = parties(4, 1);
    for dead in [0, 1] {
        parties[dead].is_live = false;
    }
    let situation = situation(2, parties);
    let removals = [Action::Remove { node: NodeId(1) }, Action::Remove { node: NodeId(2) }];
    let orphaned = situation.owners.iter().filter(|o| o.iter().all(|store| store.0 < 3)).count() as u32;
    assert!(orphaned > 0);
    assert_eq!(plan(&situation, &removals).refusals, [Refusal::NoSource { partitions: orphaned }]);
}

#[test]
fn the_last_copy_moves_before_anything_else_is_due() {
    // Everything is known, so that each look takes a step: pending, switched, at rest, drained.
    let mut world = World::new(3, parties(3, 1), 2);
    world.commit(&[Action::Replace { node: NodeId(1), by: NodeId(4) }]).unwrap();
    assert_eq!(world.reasons(), vec![Waits::Turn; 16]);
    assert!(world.drive().unwrap());
    assert_eq!(world.arriving().len(), 2, "as the window says");
    let waits = world.reasons();
    let of = (1..5).map(StoreId).collect();
    assert_eq!(waits[0], Waits::Acknowledgement { of, since: world.epoch });
    (0..4).for_each(|n| world.happen(&Event::Acknowledge(n)).unwrap());
    assert_eq!(world.reasons()[0], Waits::Transfer { to: vec![(StoreId(4), true)] });
    world.facts.live.remove(&StoreId(4));
    assert_eq!(world.reasons()[0], Waits::Transfer { to: vec![(StoreId(4), false)] });
    assert!(!world.drive().unwrap());
    world.happen(&Event::Arrive(0, true)).unwrap();
    assert!(!world.drive().unwrap(), "it said so of another ring");
    world.happen(&Event::Arrive(0, false)).unwrap();
    assert_eq!(world.reasons()[0], Waits::Due);
    assert!(world.drive().unwrap());
    assert!(matches!(world.slices[0].motion, Some(Motion::Switched(_))));
    assert!(matches!(world.slices[2].motion, Some(Motion::Pending(_))), "in the room that it left");
    (0..4).for_each(|n| world.happen(&Event::Acknowledge(n)).unwrap());
    assert!(world.drive().unwrap());
    assert_eq!(world.slices[0].draining, [StoreId(1)]);
    assert_eq!(world.reasons()[0], Waits::Drain { of: vec![(StoreId(1), true)] });
}

#[test]
fn an_heir_takes_the_places_of_a_store_that_is_lost_half_way() {
    let mut world = World::new(3, parties(3, 1), 16);
    world.commit(&[Action::Replace { node: NodeId(1), by: NodeId(4) }]).unwrap();
    assert!(world.drive().unwrap());
    // Node 4 comes with store 5, node 2 with store 6.
    let heirs = [(4, 5), (2, 6)].map(|(old, new)| (StoreId(old), StoreId(new)));
    world.facts.members = [1, 3, 5, 6].map(StoreId).into();
    world.facts.absent = [2, 4].map(StoreId).into();
    world.target.heirs = heirs.into();
    for _ in 0..8 {
        let next = Epoch { counter: world.epoch.counter + 1, ..world.epoch };
        world.facts.live = world.facts.members.iter().map(|store| (*store, Some(world.epoch))).collect();
        (0..64).for_each(|n| world.happen(&Event::Arrive(n, false)).unwrap());
        (0..64).for_each(|n| world.happen(&Event::Drain(n, false)).unwrap());
        let Some(advanced) = advance(&world.slices, &world.target, &world.facts, next, 16) else { break };
        (world.slices, world.epoch) = (advanced.slices, next);
    }
    assert!(world.is_reached(), "{:?}", world.reasons());
    let named: BTreeSet<StoreId> = world.slices.iter().flat_map(|slice| slice.owners.clone()).collect();
    assert_eq!(named, [3, 5, 6].map(StoreId).into());
}

#[test]
fn who_arrives_already_goes_on_when_an_heir_is_to_arrive_too() {
    let mut world = World::new(3, parties(3, 1), 16);
    world.commit(&[Action::Replace { node: NodeId(1), by: NodeId(4) }]).unwrap();
    assert!(world.drive().unwrap());
    // Node 2 comes with store 6. What store 4 holds could not be delivered to the lost store 2 if it were to drain.
    world.facts.members = [1, 3, 4, 6].map(StoreId).into();
    world.facts.absent = [StoreId(2)].into();
    world.target.heirs = [(StoreId(2), StoreId(6))].into();
    assert_eq!(world.reasons(), vec![Waits::Turn; 16], "it takes slots of the window");
    let next = Epoch { counter: world.epoch.counter + 1, ..world.epoch };
    let advanced = advance(&world.slices, &world.target, &world.facts, next, 16).expect("something is due");
    for (old, new) in world.slices.iter().zip(&advanced.slices) {
        let others: BTreeSet<StoreId> = new.others().iter().copied().collect();
        assert_eq!((&new.owners, others, new.since), (&old.owners, [3, 4, 6].map(StoreId).into(), next));
        assert!(matches!(new.motion, Some(Motion::Pending(_))) && new.draining.is_empty(), "{new:?}");
    }
    assert_eq!(advance(&world.slices, &world.target, &world.facts, next, 1), None, "there must be room for it");
}

#[test]
fn only_who_follows_an_owner_becomes_one() {
    let mut situation = situation(3, parties(3, 2));
    // A guest was lost, and its node came with store 4.
    situation.heirs = [(StoreId(9), StoreId(4))].into();
    assert_eq!(plan(&situation, &[]).refusals, [Refusal::Nothing]);
    situation.heirs = [(StoreId(1), StoreId(4))].into();
    situation.parties[0].standing = Standing::Replaced;
    let plan = plan(&situation, &[]);
    assert_eq!((plan.parties[3].standing, plan.parties[4].standing), (Standing::Owner, Standing::Guest));
    assert_eq!((plan.nodes[3].to_own(), plan.nodes[0].to_own()), (plan.nodes[0].owned, 0));
}

mod removal {
    use super::*;

    fn after(minutes: u64) -> Suspect {
        Suspect { node: NodeId(1), down_ms: minutes * 60_000 }
    }

    fn with_down(down: &[usize], owners: u32) -> Situation {
        let mut situation = situation(3, parties(owners, 1));
        down.iter().for_each(|&i| situation.parties[i].is_live = false);
        situation
    }

    fn judge(situation: &Situation, suspect: Suspect, running: Option<u64>) -> Result<(), Hold> {
        may_remove(situation, suspect, &BTreeSet::new(), running, 30 * 60_000).map(|_| ())
    }

    #[test]
    fn one_node_that_is_long_down_is_removed() {
        let situation = with_down(&[0], 6);
        assert_eq!(judge(&situation, after(29), None), Err(Hold::NotYet { left_ms: 60_000 }));
        assert_eq!(judge(&situation, after(30), Some(7)), Err(Hold::ChangeRuns { number: 7 }));
        assert_eq!(judge(&situation, after(30), None), Ok(()));
    }

    #[test]
    fn who_is_being_removed_is_not_idle() {
        let mut situation = with_down(&[0], 6);
        // As the change leaves it.
        situation.parties[0].standing = Standing::Removed;
        situation.owners = placed(&situation.parties, 3);
        assert_eq!(judge(&situation, after(60), Some(7)), Err(Hold::ChangeRuns { number: 7 }));
    }

    #[test]
    fn it_stays_while_it_may_have_what_nobody_else_has() {
        let situation = with_down(&[0, 1], 6);
        assert_eq!(judge(&situation, after(60), None), Err(Hold::OthersDown { nodes: vec![NodeId(2)] }));
        let situation = with_down(&[0], 6);
        let p = situation.owners.iter().position(|o| o.contains(&StoreId(1)) && o.contains(&StoreId(2))).unwrap();
        let lacks = [(StoreId(2), Partition(p as u16))].into();
        let held = may_remove(&situation, after(60), &lacks, None, 0).map(|_| ());
        assert_eq!(held, Err(Hold::NotInSync { nodes: vec![NodeId(2)] }));
    }

    #[test]
    fn it_stays_if_too_few_would_be_left() {
        let fewer = Refusal::FewerOwners { before: 3, after: 2, replication: 3 };
        assert_eq!(judge(&with_down(&[0], 3), after(60), None), Err(Hold::Refused(fewer)));
        let guest = Suspect { node: NodeId(4), ..after(60) };
        assert_eq!(judge(&with_down(&[3], 3), guest, None), Err(Hold::Idle));
        assert_eq!(judge(&with_down(&[3], 3), guest, Some(7)), Err(Hold::Idle));
    }
}
