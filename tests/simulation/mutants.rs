//! The checker is checked: each planted mutant must break an invariant, on its recorded seed and within a search.
//!
//! `make sim` searches anew, for the one that `KV_SIM_MUTANT` names or for all; what it prints belongs into [`RECORDED`] when a change of the code has moved the seeds.

use std::time::Duration;

use kv::mutants::{Mutant, activate};

use crate::history::Fault;
use crate::nemesis::Kind;
use crate::operator::{Deed, OperatorHabits};
use crate::run::{Plan, Report, run};
use crate::workload::Character;

/// Seeds that a search tries.
const SEARCH: u64 = 200;

/// After so many a search stops.
const ENOUGH: usize = 5;

/// Each mutant and seeds that caught it; more than one where a change of the code elsewhere easily moves them.
const RECORDED: [(Mutant, &[u64]); 9] = [
    (Mutant::AnswerBeforeDurable, &[0]),
    (Mutant::CountWithoutStoring, &[0]),
    (Mutant::DropDot, &[0]),
    (Mutant::ContinueAfterWipe, &[18, 22, 34]),
    (Mutant::ContinueForeignMark, &[5, 23, 43]),
    (Mutant::ContinueAfterHandoff, &[2, 11, 15]),
    (Mutant::SendOnlyNewSibling, &[0]),
    (Mutant::RetryPut, &[0, 2]),
    (Mutant::LeaseFromReply, &[0]),
];

/// A plan that gives the mutant something to do: the rest is up to the seed.
fn plan(mutant: Mutant, seed: u64) -> Plan {
    if Mutant::MOVING.contains(&mutant) {
        return moving_plan(mutant, seed);
    }
    let mut plan = Plan::of(seed);
    let faults = |plan: &mut Plan, faults: &[Kind]| {
        plan.temper.faults = faults.to_vec();
        plan.temper.forget = None;
        plan.habits.forgetful = false;
    };
    // Whose dots are minted twice cannot hide behind a context that knows them.
    let blindly = |plan: &mut Plan| plan.habits.characters = &[Character::Blind];
    match mutant {
        Mutant::ContinueAfterWipe => {
            blindly(&mut plan);
            faults(&mut plan, &[Kind::Kill, Kind::Split]);
            plan.temper.forget = Some(Fault::Wipe);
            plan.habits.forgetful = true;
        }
        // What was lost must have reached others before: power fails, and the network does not.
        Mutant::ContinueForeignMark => {
            blindly(&mut plan);
            faults(&mut plan, &[Kind::PowerLoss, Kind::SlowDisk]);
        }
        Mutant::ContinueAfterHandoff => {
            blindly(&mut plan);
            faults(&mut plan, &[Kind::IsolateOwners]);
            plan.nodes = 5;
        }
        // It shows between the end of a session and that of a lease that was counted from a late answer.
        Mutant::LeaseFromReply => {
            faults(&mut plan, &[Kind::LateLeader]);
            plan.habits.pause_max = Duration::from_millis(30);
            // Long enough for a sign of life that is answered late, which is the last one.
            plan.temper.fault_min = Duration::from_secs(6);
            plan.temper.fault_max = Duration::from_secs(12);
            plan.habits.duration = Duration::from_secs(60);
            plan.nodes = 5;
            (plan.session_ms, plan.election_ms) = (16_000, 4000);
            plan.temper.pause_max = Duration::from_secs(8);
            return plan;
        }
        Mutant::RetryPut => faults(&mut plan, &[Kind::Kill, Kind::Split]),
        _ => return plan,
    }
    plan.temper.pause_max = Duration::from_millis(1500);
    plan
}

/// The same for mutants of ring changes: few faults, and those deeds in which the rule matters that is switched off.
fn moving_plan(mutant: Mutant, seed: u64) -> Plan {
    let mut plan = Plan::moving(seed);
    let (faults, deeds): (&[Kind], &[Deed]) = match mutant {
        // What one side alone has must be brought to the others.
        Mutant::DropBeforeDrained => (&[Kind::Kill, Kind::Split], &[Deed::TurnBack, Deed::Remove, Deed::TurnBack]),
        // Some hear of a ring later than others do.
        Mutant::RetireBeforeAcknowledged => (&[Kind::Hold], &[Deed::Join, Deed::Replace, Deed::Leave]),
        // What was accepted takes its time to get to a disk.
        Mutant::AcknowledgeWithWritesInFlight => {
            (&[Kind::SlowDisk, Kind::Hold], &[Deed::Replace, Deed::Join, Deed::Replace])
        }
        _ => (&[], &[Deed::Replace, Deed::Join]),
    };
    (plan.temper.faults, plan.temper.forget) = (faults.to_vec(), None);
    plan.temper.pause_max = Duration::from_millis(1500);
    plan.deeds = deeds.to_vec();
    plan.operator = OperatorHabits { pause_max: Duration::from_secs(1), returns: true, is_automatic: false };
    plan.auto_remove_ms = None;
    plan.habits.forgetful = false;
    plan.habits.characters = &[Character::Strict, Character::Strict, Character::Context];
    plan.habits.pause_max = Duration::from_millis(30);
    plan.habits.duration = Duration::from_secs(12);
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
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation; `make sim` runs it")]
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
    let only = std::env::var("KV_SIM_MUTANT").ok();
    let is_wanted = |mutant: &Mutant| only.as_ref().is_none_or(|only| *only == format!("{mutant:?}"));
    for mutant in Mutant::DATA.into_iter().chain([Mutant::LeaseFromReply]).chain(Mutant::MOVING).filter(is_wanted) {
        let caught: Vec<u64> = (0..SEARCH)
            .filter(|seed| is_caught(&run_mutant(mutant, *seed)))
            .inspect(|seed| println!("{mutant:?} is caught on seed {seed}"))
            .take(ENOUGH)
            .collect();
        match caught.first() {
            Some(seed) => println!("(Mutant::{mutant:?}, {seed}), // also {:?}", &caught[1..]),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "{missed:?} are caught by none of {SEARCH} seeds");
}
