//! The checker is checked: each planted mutant must break an invariant, on its recorded seed and within a search.
//!
//! `make sim` searches anew; what it prints belongs into [`RECORDED`] when a change of the code has moved the seeds.

use std::time::Duration;

use kv::mutants::{Mutant, activate};

use crate::history::Fault;
use crate::nemesis::Kind;
use crate::run::{Plan, Report, run};

/// Seeds that a search tries.
const SEARCH: u64 = 200;

/// Each mutant and a seed that catches it.
const RECORDED: [(Mutant, u64); 8] = [
    (Mutant::AnswerBeforeDurable, 0),
    (Mutant::CountWithoutStoring, 0),
    (Mutant::DropDot, 0),
    (Mutant::ContinueAfterWipe, 37),
    (Mutant::ContinueForeignMark, 19),
    (Mutant::ContinueAfterHandoff, 0),
    (Mutant::SendOnlyNewSibling, 0),
    (Mutant::RetryPut, 0),
];

/// A plan that gives the mutant something to do: the rest is up to the seed.
fn plan(mutant: Mutant, seed: u64) -> Plan {
    let mut plan = Plan::of(seed);
    let faults = |plan: &mut Plan, faults: &[Kind]| {
        plan.temper.faults = faults.to_vec();
        plan.temper.forget = None;
        plan.habits.forgetful = false;
    };
    match mutant {
        Mutant::ContinueAfterWipe => {
            faults(&mut plan, &[Kind::Kill, Kind::Split]);
            plan.temper.forget = Some(Fault::Wipe);
            plan.habits.forgetful = true;
        }
        // What was lost must have reached others before: power fails, and the network does not.
        Mutant::ContinueForeignMark => faults(&mut plan, &[Kind::PowerLoss, Kind::SlowDisk]),
        Mutant::ContinueAfterHandoff => {
            faults(&mut plan, &[Kind::IsolateOwners]);
            plan.nodes = 5;
        }
        Mutant::RetryPut => faults(&mut plan, &[Kind::Kill, Kind::Split]),
        _ => return plan,
    }
    plan.temper.pause_max = Duration::from_millis(1500);
    plan
}

fn run_mutant(mutant: Mutant, seed: u64) -> Report {
    activate(Some(mutant));
    let report = run(plan(mutant, seed));
    activate(None);
    report
}

/// A mutant counts as caught by an invariant, not by a cluster that never becomes whole.
fn is_caught(report: &Report) -> bool {
    !report.violations.is_empty()
}

#[test]
fn every_mutant_is_caught_on_its_seed() {
    for (mutant, seed) in RECORDED {
        let report = run_mutant(mutant, seed);
        assert!(is_caught(&report), "{mutant:?} was not noticed on seed {seed}; `make sim` finds another");
        println!("{mutant:?}: {}", report.violations[0].invariant);
    }
}

/// The plans of the mutants are not what breaks the invariants.
#[test]
fn without_the_mutant_its_seed_passes() {
    for (mutant, seed) in RECORDED {
        let report = run(plan(mutant, seed));
        assert!(report.passes(), "{mutant:?}'s seed {seed} fails by itself: {}", report.failure());
    }
}

#[test]
#[ignore = "searches for minutes; `make sim` runs it"]
fn every_mutant_is_found() {
    let mut missed = vec![];
    for mutant in Mutant::ALL {
        match (0..SEARCH).find(|seed| is_caught(&run_mutant(mutant, *seed))) {
            Some(seed) => println!("(Mutant::{mutant:?}, {seed}),"),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "{missed:?} are caught by none of {SEARCH} seeds");
}
