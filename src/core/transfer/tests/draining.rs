//! A store gives back what it has no place of, while the owners are written to and do not always answer.

use bytes::Bytes;
use proptest::prelude::*;

use super::world::{PARTITIONS, Rules, Store, key, stored};
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
            drain: Drain::new(&slice, PARTITIONS),
            slice,
            rules: Rules::default(),
            is_lost: false,
        }
    }

    fn owner(&mut self, store: StoreId) -> &mut Store {
        &mut self.owners[store.0 as usize - 1]
    }

    fn happens(&mut self, what: Happens) {
        match what {
            Happens::Step => self.step(),
            Happens::Fails => match self.drain.next() {
                Step::Ask(Whom::Peer(_), _) | Step::Store(Whom::Peer(_), _) | Step::Drop(_) => self.drain.failed(),
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
        let stored = key.stored(crate::core::id::Partition(3));
        let Some(object) = self.own.held.get(&stored).cloned() else { return true };
        if object.clock() != clock || self.rules.is_hinted(&stored) {
            return false;
        }
        let n = self.rules.replicas(key);
        let needed: Vec<StoreId> =
            self.slice.owners.iter().take(n).chain(self.slice.others().iter().take(n)).copied().collect();
        self.is_lost |= needed.into_iter().any(|owner| !self.owner(owner).covers(&stored, &object));
        self.own.held.remove(&stored);
        true
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
        self.drain = Drain::new(&self.slice, PARTITIONS);
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
        events in proptest::collection::vec(happens(), 0..150),
    ) {
        let mut world = World::new(page, in_motion);
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
        let stays = |stored: &Bytes| world.own.unreadable.contains(stored) || world.rules.is_hinted(stored);
        prop_assert!(world.own.held.keys().all(stays));
        prop_assert_eq!(world.drain.drained().is_empty(), !world.own.held.keys().any(|k| world.rules.is_hinted(k) && !world.own.unreadable.contains(k)));
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
