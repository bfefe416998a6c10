//! What holds after every log.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::history::{Entry, log};
use super::model::Model;
use crate::coordination::state::{Action, Reply, State};
use crate::coordination::tree::{Event, Path};

/// The state after a log.
fn run(log: &[Entry]) -> State {
    let mut state = State::default();
    for (term, command) in log {
        state.apply(*term, command.clone());
    }
    state
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(300) })]

    /// The same replies, the same tree and the same sessions as the model; and no change of a node without an event.
    #[test]
    fn does_what_the_model_does(log in log()) {
        let (mut state, mut model) = (State::default(), Model::new());
        for (term, command) in log {
            let (before, revision) = (model.snapshot(), state.tree().revision());
            let expected: Reply = model.apply(term, command.now_ms, command.action.clone());
            let applied = state.apply(term, command);
            prop_assert_eq!(&applied.reply, &expected);
            model.assert_same(&state);

            let told: Vec<&Path> = applied.events.iter().map(|Event { path, .. }| path).collect();
            for changed in model.changed_since(&before) {
                prop_assert!(told.contains(&&changed), "{} changed, told were {:?}", changed, told);
            }
            prop_assert_eq!(state.tree().revision() > revision, !told.is_empty());
        }
    }

    /// Replicas that applied the same log hold the same bytes, also those that began with a snapshot.
    #[test]
    fn replicas_hold_the_same_bytes(log in log(), cut: prop::sample::Index) {
        let cut = cut.index(log.len() + 1);
        let mut late = State::restore(&run(&log[..cut]).snapshot().unwrap()).unwrap();
        let mut early = run(&log[..cut]);
        prop_assert_eq!(&late, &early);
        for (term, command) in &log[cut..] {
            prop_assert_eq!(late.apply(*term, command.clone()), early.apply(*term, command.clone()));
        }
        prop_assert_eq!(&late, &early);
        prop_assert_eq!(late.snapshot().unwrap(), run(&log).snapshot().unwrap());
    }

    /// A log in which each write comes twice leads to the same state, and both copies get the same reply.
    #[test]
    fn writes_apply_once(log in log()) {
        let mut twice = State::default();
        for (term, command) in &log {
            let first = twice.apply(*term, command.clone());
            if let Action::Write { .. } = command.action {
                let again = twice.apply(*term, command.clone());
                prop_assert_eq!(&again.reply, &first.reply);
                prop_assert!(again.events.is_empty());
            }
        }
        prop_assert_eq!(twice, run(&log));
    }
}
