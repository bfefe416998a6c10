//! The checks are checked on the replicated service too: each planted mutant must break an invariant, on its recorded seed and
//! within a search.
//!
//! `KV_SIM_SEED` tries another seed, `KV_SIM_TRACE=1` prints its history. `make sim` searches anew; what it prints belongs into
//! [`RECORDED`] when a change of the code has moved the seeds.

use std::time::Duration;

use kv::mutants::{Mutant, activate};

use super::nemesis::Kind;
use super::run::{Plan, Report, run};
use crate::numbers::number;

/// Seeds that a search tries.
const SEARCH: u64 = 100;

/// After so many a search stops.
const ENOUGH: usize = 5;

/// The seeds that caught each mutant; more than one where a change of the code elsewhere easily moves them.
const RECORDED: [(Mutant, &[u64]); 4] = [
    (Mutant::SessionExpiryByLocalClock, &[0]),
    (Mutant::LearnerReadAsCurrent, &[0]),
    (Mutant::WipedVoterVotesAgain, &[0]),
    (Mutant::RolledBackVoterTakesPart, &[5, 4]),
];

/// A plan that gives the mutant something to do: the rest is up to the seed.
fn plan(mutant: Mutant, seed: u64) -> Plan {
    let mut plan = Plan::of(seed);
    match mutant {
        // One follower misses what the leader and the other follower acknowledge. That one loses its disk, and while the leader
        // is cut off the two followers, none of whom knows of it, would be a majority.
        Mutant::WipedVoterVotesAgain => {
            plan.shape.voters = 3;
            plan.shape.learners = 0;
            plan.temper.faults = vec![Kind::WipeApart];
            plan.temper.wipe = false;
            plan.temper.fault_max = Duration::from_secs(5);
        }
        // The same, but the follower that forgets finds an old copy of its disk, from before its last start.
        Mutant::RolledBackVoterTakesPart => {
            plan.shape.voters = 3;
            plan.shape.learners = 0;
            plan.temper.faults = vec![Kind::Copy, Kind::RollBackApart];
            plan.temper.wipe = false;
            plan.temper.fault_max = Duration::from_secs(5);
        }
        // Replicas that are behind the leader, and whose clients read after `sync`.
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

/// Asserts that a mutant is caught on one of its recorded seeds.
fn assert_caught(mutant: Mutant) {
    let given = number("KV_SIM_SEED").map(|seed| vec![seed]);
    let seeds = given.unwrap_or_else(|| seeds(mutant).to_vec());
    for seed in &seeds {
        let report = run_mutant(mutant, *seed);
        if std::env::var_os("KV_SIM_TRACE").is_some() {
            println!("{}", report.history);
        }
        if is_caught(&report) {
            return println!("{mutant:?} on seed {seed}: {}", report.violations[0].invariant);
        }
    }
    panic!("{mutant:?} was not noticed on seeds {seeds:?}; `make sim` finds others");
}

fn seeds(mutant: Mutant) -> &'static [u64] {
    RECORDED.iter().find(|(recorded, _)| *recorded == mutant).map_or(&[], |(_, seeds)| seeds)
}

#[test]
fn session_expiry_by_local_clock_is_caught() {
    assert_caught(Mutant::SessionExpiryByLocalClock);
}

#[test]
fn learner_read_as_current_is_caught() {
    assert_caught(Mutant::LearnerReadAsCurrent);
}

#[test]
fn wiped_voter_votes_again_is_caught() {
    assert_caught(Mutant::WipedVoterVotesAgain);
}

#[test]
fn rolled_back_voter_takes_part_is_caught() {
    assert_caught(Mutant::RolledBackVoterTakesPart);
}

/// The plans of the mutants are not what breaks the invariants.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation: run it with --release")]
fn without_the_mutant_its_seed_passes() {
    for mutant in Mutant::COORDINATION {
        let seed = *seeds(mutant).first().expect("a recorded seed");
        let report = run(plan(mutant, seed));
        assert!(report.passes(), "{mutant:?}'s seed {seed} fails by itself: {}", report.failure());
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
