//! The checks are checked on the replicated service too: each planted mutant must break an invariant, on its recorded seed and
//! within a search.
//!
//! `make sim` searches anew; what it prints belongs into [`RECORDED`] when a change of the code has moved the seeds.

use std::time::Duration;

use kv::mutants::{Mutant, activate};

use super::nemesis::Kind;
use super::run::{Plan, Report, run};

/// Seeds that a search tries.
const SEARCH: u64 = 100;

/// After so many a search stops.
const ENOUGH: usize = 5;

/// Each mutant and seeds that caught it; more than one where a change of the code elsewhere easily moves them.
const RECORDED: [(Mutant, &[u64]); 4] = [
    (Mutant::SessionExpiryByLocalClock, &[0]),
    (Mutant::LearnerReadAsCurrent, &[0]),
    (Mutant::WipedVoterVotesAgain, &[0]),
    (Mutant::RolledBackVoterTakesPart, &[0]),
];

/// A plan that gives the mutant something to do: the rest is up to the seed.
fn plan(mutant: Mutant, seed: u64) -> Plan {
    let mut plan = Plan::of(seed);
    match mutant {
        // Two voters hold what was acknowledged, the third one is cut off; then one of the two forgets, and the others agree.
        Mutant::WipedVoterVotesAgain => {
            plan.shape.voters = 3;
            plan.shape.learners = 0;
            plan.temper.faults = vec![Kind::WipeApart, Kind::KillLeader];
            plan.temper.wipe = false;
            plan.temper.fault_max = Duration::from_secs(5);
        }
        // The same, but the one that forgets has an old copy of its disk.
        Mutant::RolledBackVoterTakesPart => {
            plan.shape.voters = 3;
            plan.shape.learners = 0;
            plan.temper.faults = vec![Kind::Copy, Kind::RollBackApart];
            plan.temper.wipe = false;
            plan.temper.fault_max = Duration::from_secs(5);
        }
        Mutant::LearnerReadAsCurrent => {
            plan.shape.learners = 2;
            plan.temper.faults = vec![Kind::Split, Kind::Hold, Kind::Deaf];
        }
        _ => {}
    }
    plan
}

fn run_mutant(mutant: Mutant, seed: u64) -> Report {
    activate(Some(mutant));
    let report = run(plan(mutant, seed));
    activate(None);
    report
}

/// A mutant counts as caught by an invariant, not by a replica that fails or panics.
fn is_caught(report: &Report) -> bool {
    !report.violations.is_empty()
}

#[test]
fn every_mutant_is_caught_on_its_seed() {
    for (mutant, seeds) in RECORDED {
        let caught = seeds.iter().map(|seed| (seed, run_mutant(mutant, *seed))).find(|(_, report)| is_caught(report));
        let Some((seed, report)) = caught else {
            panic!("{mutant:?} was not noticed on seeds {seeds:?}; `make sim` finds others")
        };
        println!("{mutant:?} on seed {seed}: {}", report.violations[0].invariant);
    }
}

/// The plans of the mutants are not what breaks the invariants.
#[test]
fn without_the_mutant_its_seed_passes() {
    for (mutant, seeds) in RECORDED {
        let report = run(plan(mutant, seeds[0]));
        assert!(report.passes(), "{mutant:?}'s seed {} fails by itself: {}", seeds[0], report.failure());
    }
}

#[test]
#[ignore = "searches for minutes; `make sim` runs it"]
fn every_mutant_is_found() {
    let mut missed = vec![];
    for mutant in Mutant::COORDINATION {
        let caught: Vec<u64> = (0..SEARCH).filter(|seed| is_caught(&run_mutant(mutant, *seed))).take(ENOUGH).collect();
        match caught.first() {
            Some(seed) => println!("(Mutant::{mutant:?}, {seed}), // also {:?}", &caught[1..]),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "{missed:?} are caught by none of {SEARCH} seeds");
}
