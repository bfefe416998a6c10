//! Random histories: writes, deletes, copies under way and late, stand-ins, stores that stop and leave, and reaping in between.

use proptest::prelude::*;

use super::world::{AGE_MS, GRACE_MS, OWNERS, STORES, World};

#[derive(Clone, Debug)]
pub enum Happens {
    Write { at: usize, context: Option<usize>, payload: Option<u64> },
    Read(usize),
    Post { from: usize, to: usize },
    Arrive(usize),
    HandOff(usize),
    Exchange,
    Heal,
    Off(usize),
    Start(usize),
    LeaveOrReturn(usize),
    Pass(u64),
    Reap { at: usize, picks: Vec<usize> },
    ReapToTheEnd { at: usize, is_calm: bool },
    RemoveLate(usize),
}

pub fn history() -> impl Strategy<Value = Vec<Happens>> {
    let store = || 0..STORES;
    let stand_in = || OWNERS..STORES;
    // Zero never expires.
    let payload = prop_oneof![3 => Just(Some(0)), 1 => (1..2 * GRACE_MS).prop_map(Some), 4 => Just(None)];
    let write = (store(), any::<Option<usize>>(), payload).prop_map(|(at, context, payload)| Happens::Write {
        at,
        context,
        payload,
    });
    let reap =
        (0..OWNERS, proptest::collection::vec(0..STORES, 1..16)).prop_map(|(at, picks)| Happens::Reap { at, picks });
    let happens = prop_oneof![
        6 => write,
        2 => store().prop_map(Happens::Read),
        4 => (store(), store()).prop_map(|(from, to)| Happens::Post { from, to }),
        4 => any::<usize>().prop_map(Happens::Arrive),
        3 => stand_in().prop_map(Happens::HandOff),
        3 => Just(Happens::Exchange),
        2 => Just(Happens::Heal),
        1 => store().prop_map(Happens::Off),
        2 => store().prop_map(Happens::Start),
        1 => stand_in().prop_map(Happens::LeaveOrReturn),
        3 => (1..AGE_MS).prop_map(Happens::Pass),
        3 => Just(Happens::Pass(GRACE_MS + AGE_MS)),
        8 => reap,
        8 => (0..OWNERS, any::<bool>()).prop_map(|(at, is_calm)| Happens::ReapToTheEnd { at, is_calm }),
        2 => any::<usize>().prop_map(Happens::RemoveLate),
    ];
    proptest::collection::vec(happens, 0..80)
}

pub fn run(history: &[Happens]) -> World {
    let mut world = World::new();
    for happens in history {
        match happens.clone() {
            Happens::Write { at, context, payload } => world.write(at, context, payload),
            Happens::Read(at) => world.read(at),
            Happens::Post { from, to } => drop(world.post(from, to)),
            Happens::Arrive(message) => world.arrive(message),
            Happens::HandOff(from) => world.hand_off(from),
            Happens::Exchange => world.exchange(),
            Happens::Heal => world.heal(),
            Happens::Off(store) => world.turn_off(store),
            Happens::Start(store) => world.start(store),
            Happens::LeaveOrReturn(store) => world.leave_or_return(store),
            Happens::Pass(ms) => world.pass(ms),
            Happens::Reap { at, picks } => picks.into_iter().for_each(|pick| {
                world.reap(at, pick);
                world.pass(AGE_MS / 10);
            }),
            Happens::ReapToTheEnd { at, is_calm } => {
                if is_calm {
                    world.deliver();
                    world.exchange();
                    world.pass(GRACE_MS + AGE_MS);
                }
                // The first round may have begun long ago.
                let _ = (world.reap_to_the_end(at), world.reap_to_the_end(at));
            }
            Happens::RemoveLate(which) => world.remove_late(which),
        }
        world.check();
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn reaping_cannot_be_seen(history in history()) {
        run(&history);
    }

    #[test]
    fn in_the_end_everything_is_reaped(history in history()) {
        let mut world = run(&history);
        world.heal();
        // The last value may have yet to expire, and then its grace counts.
        world.pass(4 * GRACE_MS);
        for at in 0..OWNERS {
            // A round that is under way may be of before.
            let _ = world.reap_to_the_end(at);
            assert_eq!(world.reap_to_the_end(at), Ok(()));
        }
        world.check();
        for record in (0..OWNERS).filter_map(|at| world.holds(at)) {
            assert!(!record.object.fades() && record.object.idle_entries() == 0, "{record:?} is left");
        }
    }
}

/// So many of these histories, always the same.
pub fn histories(count: usize) -> impl Iterator<Item = Vec<Happens>> {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    (0..count).map(move |_| history().new_tree(&mut runner).expect("a history").current())
}

#[test]
fn histories_reap_and_prune() {
    let (mut reaped, mut pruned) = (0, 0);
    for history in histories(300) {
        let world = run(&history);
        (reaped, pruned) = (reaped + world.reaped, pruned + world.pruned);
    }
    assert!(reaped > 100 && pruned > 100, "{reaped} reaped, {pruned} pruned: these histories prove nothing");
}

/// The model notices each rule that is left out.
#[cfg(feature = "mutants")]
#[test]
fn each_rule_is_needed() {
    use crate::mutants::{Mutant, activate};
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let fails = |mutant, history: &dyn Fn()| {
        activate(Some(mutant));
        let fails = std::panic::catch_unwind(std::panic::AssertUnwindSafe(history)).is_err();
        activate(None);
        fails
    };
    // The moments in which it shows are too short for a search.
    let is_noticed = |mutant| match mutant {
        Mutant::ReapBeforeGrace => fails(mutant, &super::bugs::reap_at_once),
        _ => histories(3000).any(|history| fails(mutant, &|| drop(run(&history)))),
    };
    let missed: Vec<Mutant> = Mutant::REAPING.into_iter().filter(|mutant| !is_noticed(*mutant)).collect();
    std::panic::set_hook(hook);
    assert!(missed.is_empty(), "{missed:?} were not noticed");
}
