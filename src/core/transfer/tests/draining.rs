//! A store gives back what it has no place of, while the owners are written to and do not always answer.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;

use super::world::{PARTITION, PARTITIONS, Rules, Store, key, stored};
use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::ring::{Motion, Slice};
use crate::core::transfer::{Answer, Drain, Known, Step, Whom, Work};
use crate::core::version::Clock;

const OWNERS: [u128; 3] = [1, 2, 3];
const ARRIVING: [u128; 3] = [1, 4, 3];

struct World {
    own: Store,
    /// By their numbers, from one.
    owners: Vec<Store>,
    slice: Slice,
    /// Owners that are lost for good.
    lost: BTreeSet<StoreId>,
    drain: Drain,
    rules: Rules,
    /// Whether something was dropped that an owner lacks.
    is_lost: bool,
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    Step,
    Fails,
    OwnerIsWritten(usize, u16, bool),
    /// As a fallback, for somebody.
    IsWrittenHere(u16, bool),
}

fn slice(in_motion: bool) -> Slice {
    let stores = |of: [u128; 3]| of.into_iter().map(StoreId).collect::<Vec<_>>();
    let motion = in_motion.then(|| Motion::Pending(stores(ARRIVING)));
    Slice { motion, ..Slice::at_rest(stores(OWNERS)) }
}

impl World {
    fn new(page: usize, in_motion: bool) -> World {
        let slice = slice(in_motion);
        World {
            own: Store::new(page),
            owners: vec![Store::new(page + 2); 4],
            drain: Drain::new(PARTITION, &slice, &BTreeSet::new(), PARTITIONS),
            slice,
            lost: BTreeSet::new(),
            rules: Rules::default(),
            is_lost: false,
        }
    }

    /// Without these owners.
    fn without(mut self, lost: impl IntoIterator<Item = u128>) -> World {
        self.lost = lost.into_iter().map(StoreId).collect();
        self.drain = Drain::new(PARTITION, &self.slice, &self.lost, PARTITIONS);
        self
    }

    fn owner(&mut self, store: StoreId) -> &mut Store {
        assert!(!self.lost.contains(&store), "nobody answers for what is lost");
        &mut self.owners[store.0 as usize - 1]
    }

    fn happens(&mut self, what: Happens) {
        match what {
            Happens::Step => self.step(),
            Happens::Fails => match self.drain.next() {
                Step::Ask(Whom::Peer(_), _) | Step::Drop(_) => self.drain.failed(),
                Step::Store(..) => {
                    self.drain.failed();
                    assert!(!matches!(self.drain.next(), Step::Store(..)), "what was read long ago is sent again");
                }
                _ => self.step(),
            },
            Happens::OwnerIsWritten(owner, number, covers) => {
                self.owners[owner].write(number, owner as u64 + 1, covers, 10);
            }
            Happens::IsWrittenHere(number, covers) => {
                self.own.write(number, 9, covers, 10);
                self.rules.hinted.insert(stored(number));
            }
        }
    }

    fn step(&mut self) {
        let answer = match self.drain.next() {
            Step::Ask(Whom::Own, ask) => self.own.answer(&ask),
            Step::Ask(Whom::Peer(store), ask) => self.owner(store).answer(&ask),
            Step::Store(Whom::Peer(store), objects) => {
                self.owner(store).store(&objects);
                Answer::Stored
            }
            Step::Store(Whom::Own, _) => panic!("a drain stores nothing here"),
            Step::Drop(drops) => {
                let kept = drops.iter().filter(|(key, clock)| !self.drop_one(key, *clock)).count() as u64;
                Answer::Dropped { kept }
            }
            Step::Done => return,
        };
        assert_eq!(self.drain.answered(answer, &self.rules), None);
    }

    /// Does what a replica does: drops this version, unless somebody waits for it.
    fn drop_one(&mut self, key: &Key, clock: Clock) -> bool {
        let stored = key.stored(PARTITION);
        let Some(object) = self.own.held.get(&stored).cloned() else { return true };
        if object.clock() != clock || self.rules.is_hinted(&stored) {
            return false;
        }
        let needed = self.needed(key);
        self.is_lost |= needed.is_empty();
        self.is_lost |= needed.into_iter().any(|owner| !self.owner(owner).covers(&stored, &object));
        self.own.held.remove(&stored);
        true
    }

    /// Who is to have a key, of those who are left.
    fn needed(&self, key: &Key) -> Vec<StoreId> {
        let n = self.rules.replicas(key);
        let places = self.slice.owners.iter().take(n).chain(self.slice.others().iter().take(n));
        places.filter(|owner| !self.lost.contains(owner)).copied().collect()
    }

    fn is_orphaned(&self, stored: &Bytes) -> bool {
        Key::from_stored(stored).is_some_and(|(_, key)| self.needed(&key).is_empty())
    }

    fn finish(&mut self) {
        for _ in 0..10_000 {
            if self.drain.next() == Step::Done {
                return;
            }
            self.step();
        }
        panic!("it comes to no end");
    }

    fn drain_again(&mut self) {
        self.drain = Drain::new(PARTITION, &self.slice, &self.lost, PARTITIONS);
        self.finish();
    }
}

fn happens() -> impl Strategy<Value = Happens> {
    let number = || 0..60u16;
    prop_oneof![
        12 => Just(Happens::Step),
        2 => Just(Happens::Fails),
        2 => (0..4usize, number(), any::<bool>()).prop_map(|(o, number, covers)| Happens::OwnerIsWritten(o, number, covers)),
        1 => (number(), any::<bool>()).prop_map(|(number, covers)| Happens::IsWrittenHere(number, covers)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nothing_is_dropped_that_an_owner_lacks_and_nothing_is_left(
        page in 1..9usize,
        in_motion: bool,
        held in proptest::collection::vec((0..60u16, any::<bool>(), 0..6usize), 0..80),
        unreadable in proptest::collection::btree_set(0..60u16, 0..3),
        lost in proptest::collection::btree_set(1..5u128, 0..3),
        events in proptest::collection::vec(happens(), 0..150),
    ) {
        let mut world = World::new(page, in_motion).without(lost);
        for (number, covers, known_to) in held {
            world.own.write(number, 9, covers, 10);
            let object = world.own.held[&stored(number)].clone();
            world.owners.iter_mut().take(known_to).for_each(|owner| owner.merge(&stored(number), &object));
        }
        world.own.unreadable = unreadable.into_iter().map(stored).filter(|key| world.own.held.contains_key(key)).collect();
        events.into_iter().for_each(|event| world.happens(event));
        world.finish();
        world.drain_again();
        prop_assert!(!world.is_lost);
        prop_assert!(world.drain.drained().changed == 0);
        let waits = |stored: &Bytes| world.rules.is_hinted(stored) || world.is_orphaned(stored);
        prop_assert!(world.own.held.keys().all(|stored| world.own.unreadable.contains(stored) || waits(stored)));
        let is_left = world.own.held.keys().any(|stored| waits(stored) && !world.own.unreadable.contains(stored));
        prop_assert_eq!(world.drain.drained().is_empty(), !is_left);
    }
}

#[test]
fn what_agrees_is_not_sent() {
    let mut world = World::new(50, false);
    (0..100).for_each(|number| world.own.write(number, 9, true, 10));
    world.owners.iter_mut().for_each(|owner| owner.held = world.own.held.clone());
    world.owners[1].write(5, 2, true, 10);
    world.finish();
    let drained = world.drain.drained();
    assert_eq!((drained.keys, drained.dropped, drained.is_empty()), (100, 100, true));
    assert!(drained.sent <= 1 && !world.is_lost, "{drained:?}");
}

#[test]
fn an_owner_beyond_the_buckets_n_gets_nothing() {
    let mut world = World::new(50, false);
    (0..100).for_each(|number| world.own.write(number, 9, true, 10));
    world.rules.all_have = Some(1);
    world.finish();
    assert_eq!(world.owners.iter().map(|owner| owner.held.len()).collect::<Vec<_>>(), [100, 0, 0, 0]);
    assert!(world.own.held.is_empty());
    assert_eq!(world.rules.replicas(&key(1)), 1);
}

#[test]
fn an_owner_that_is_lost_is_not_waited_for() {
    let mut world = World::new(50, false).without([2]);
    world.rules.all_have = Some(3);
    (0..100).for_each(|number| world.own.write(number, 9, true, 10));
    world.finish();
    assert!(world.own.held.is_empty() && !world.is_lost && world.drain.drained().is_empty());
    assert_eq!(world.owners.iter().map(|owner| owner.held.len()).collect::<Vec<_>>(), [100, 0, 100, 0]);
}

#[test]
fn an_owner_that_does_not_answer_keeps_nothing_from_the_others() {
    let mut world = World::new(50, false);
    world.rules.all_have = Some(3);
    (0..12).for_each(|number| world.own.write(number, 9, true, 10));
    let is_down =
        |step: &Step| matches!(step, Step::Ask(Whom::Peer(StoreId(1)), _) | Step::Store(Whom::Peer(StoreId(1)), _));
    for _ in 0..100 {
        if is_down(&world.drain.next()) { world.drain.failed() } else { world.step() }
    }
    assert!(is_down(&world.drain.next()), "it alone is waited for");
    assert_eq!(world.owners.iter().map(|owner| owner.held.len()).collect::<Vec<_>>(), [0, 12, 12, 0]);
    assert_eq!(world.own.held.len(), 12);
    world.finish();
    assert!(world.own.held.is_empty() && !world.is_lost);
}

#[test]
fn what_only_lost_owners_are_to_have_is_kept() {
    let mut world = World::new(50, false).without([1]);
    world.rules.all_have = Some(1);
    world.own.write(1, 9, true, 10);
    world.finish();
    let drained = world.drain.drained();
    assert_eq!((world.own.held.len(), drained.orphaned, drained.is_empty()), (1, 1, false));
    let heir = Slice::at_rest([4, 2, 3].map(StoreId).to_vec());
    assert!(world.drain.goes_to(&world.slice, &world.lost) && !world.drain.goes_to(&heir, &world.lost));
    world.slice = heir;
    world.drain_again();
    assert!(world.own.held.is_empty() && !world.is_lost);
}

#[test]
fn without_owners_nothing_is_dropped() {
    let mut world = World::new(50, false);
    world.slice = Slice::at_rest(vec![]);
    world.own.write(1, 9, true, 10);
    world.drain_again();
    assert_eq!(world.own.held.len(), 1);
}

#[cfg(feature = "mutants")]
#[test]
fn without_the_owners_acknowledgement_writes_are_lost() {
    use crate::mutants::{Mutant, activate};
    let mut world = World::new(50, false);
    world.own.write(1, 9, true, 10);
    activate(Some(Mutant::DropBeforeDrained));
    world.finish();
    activate(None);
    assert!(world.is_lost);
}
