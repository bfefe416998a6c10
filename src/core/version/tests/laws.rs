//! What holds after every history.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::world::{World, steps};
use crate::core::bucket::Conflict;
use crate::core::version::{Dot, Merged, Object};

fn conflict() -> impl Strategy<Value = Conflict> {
    prop_oneof![3 => Just(Conflict::Siblings), 1 => Just(Conflict::Lww)]
}

fn joined(one: &Object, other: &Object, conflict: Conflict) -> Object {
    let mut joined = one.clone();
    joined.merge(other, conflict);
    joined
}

fn live(object: &Object) -> Vec<Dot> {
    object.siblings.iter().map(|sibling| sibling.dot).collect()
}

/// The dots that a reader gets a value of.
fn readable(object: &Object) -> Vec<Dot> {
    object.values(0).iter().map(|sibling| sibling.dot).collect()
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(400) })]

    /// Vectors tell the truth, dots are unique, nothing disappears uncovered, and replicas that have merged all are
    /// equal.
    #[test]
    fn histories_keep_their_promises(conflict in conflict(), steps in steps()) {
        World::run(conflict, &steps).converge();
    }

    #[test]
    fn merging_is_commutative_and_idempotent(conflict in conflict(), steps in steps()) {
        let objects = World::run(conflict, &steps).objects();
        for (one, other) in objects.iter().flat_map(|one| objects.iter().map(move |other| (one, other))) {
            let mut both = joined(one, other, conflict);
            prop_assert_eq!(&both, &joined(other, one, conflict));
            for part in [one, other, &both.clone()] {
                prop_assert_eq!(both.merge(part, conflict), Merged::Unchanged);
            }
        }
    }

    /// Whatever the grouping, the same was seen and the same can be read. A tombstone may be left over in one of them;
    /// then the two are one after they have met.
    #[test]
    fn merging_is_associative_for_readers(conflict in conflict(), steps in steps()) {
        let objects = World::run(conflict, &steps).objects();
        let (a, b, c) = (&objects[0], &objects[1], &objects[2]);
        let left = joined(&joined(a, b, conflict), c, conflict);
        let right = joined(a, &joined(b, c, conflict), conflict);
        prop_assert_eq!(&left.context, &right.context);
        prop_assert_eq!(readable(&left), readable(&right));
        prop_assert_eq!(joined(&left, &right, conflict), joined(&right, &left, conflict));
        if conflict == Conflict::Lww {
            prop_assert_eq!(left, right);
        }
    }

    #[test]
    fn clocks_are_equal_exactly_for_equal_versions(conflict in conflict(), steps in steps()) {
        let objects = World::run(conflict, &steps).objects();
        for (one, other) in objects.iter().flat_map(|one| objects.iter().map(move |other| (one, other))) {
            let same = one.context == other.context && live(one) == live(other);
            prop_assert_eq!(one.clock() == other.clock(), same);
        }
    }
}

/// Each planted fault of this folder makes [`histories_keep_their_promises`] fail.
#[cfg(feature = "mutants")]
#[test]
fn planted_faults_are_caught() {
    use proptest::test_runner::TestRunner;

    use crate::mutants::{Mutant, activate};

    for mutant in [Mutant::DropDot, Mutant::ContinueForeignMark] {
        activate(Some(mutant));
        let config = Config { failure_persistence: None, ..Config::with_cases(500) };
        let caught = TestRunner::new(config).run(&steps(), |steps| {
            World::run(Conflict::Siblings, &steps).converge();
            Ok(())
        });
        activate(None);
        assert!(caught.is_err(), "{mutant:?} was not noticed");
    }
}
