//! The checker is checked: each planted mutant must break an invariant, on its recorded seed and within a search.
//!
//! `make sim` searches anew, for the one that `KV_SIM_MUTANT` names or for all; what it prints belongs into [`RECORDED`] when a change of
//! the code has moved the seeds. `KV_SIM_SEED` tries one seed alone, and `KV_SIM_TRACE=1` prints its history.

use std::time::Duration;

use kv::mutants::{Mutant, activate};

use crate::history::{Fault, Quorums};
use crate::nemesis::Kind;
use crate::numbers::number;
use crate::operator::{Deed, OperatorHabits};
use crate::run::{Plan, Report, run};
use crate::workload::Character;

/// Seeds that a search tries.
const SEARCH: u64 = 200;

/// After so many a search stops.
const ENOUGH: usize = 5;

/// Each mutant and seeds that caught it; more than one where a change of the code elsewhere easily moves them.
const RECORDED: [(Mutant, &[u64]); 18] = [
    (Mutant::AnswerBeforeDurable, &[0]),
    (Mutant::CountWithoutStoring, &[0]),
    (Mutant::DropDot, &[0]),
    (Mutant::ContinueAfterWipe, &[18, 22, 34]),
    (Mutant::ContinueForeignMark, &[5, 23, 43]),
    (Mutant::ContinueAfterHandoff, &[2, 11, 15]),
    (Mutant::SendOnlyNewSibling, &[0]),
    (Mutant::RetryPut, &[0, 2]),
    (Mutant::LeaseFromReply, &[0]),
    (Mutant::SwitchBeforeProof, &[0, 1, 2]),
    (Mutant::SwitchBeforeAcknowledged, &[0]),
    (Mutant::RetireBeforeAcknowledged, &[1, 3, 5]),
    (Mutant::SurvivorsChangePlace, &[0]),
    (Mutant::WriteQuorumInNewSetOnly, &[2, 3, 4]),
    (Mutant::AcknowledgeWithWritesInFlight, &[7, 12, 23]),
    (Mutant::ReadFromNewOwnersEarly, &[0, 1, 2]),
    (Mutant::DropBeforeDrained, &[2, 15, 23]),
    (Mutant::ReportArrivedEarly, &[0, 1, 6]),
];

/// A plan that gives the mutant something to do: the rest is up to the seed.
fn plan(mutant: Mutant, seed: u64) -> Plan {
    if Mutant::MOVING.contains(&mutant) {
        return moving_plan(mutant, seed);
    }
    if Mutant::REAPING.contains(&mutant) {
        return reaping_plan(mutant, seed);
    }
    let mut plan = Plan::of(seed);
    // What others repair in passing would hide what is planted.
    plan.repair_ms = plan.repair_ms.filter(|_| Mutant::REPAIR.contains(&mutant));
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
        // Strict writes leave no hint for an owner that is down.
        Mutant::SkipLastLeaf => {
            faults(&mut plan, &[Kind::Kill, Kind::Split]);
            plan.habits.characters = &[Character::Strict];
        }
        _ => return plan,
    }
    plan.temper.pause_max = Duration::from_millis(1500);
    plan
}

/// Reads that ask one owner of writes that all have: the promise breaks as soon as one owner lacks something.
const READ_ONE: Quorums = Quorums { n: 3, r: 1, w: 3, pr: 1, pw: 3, sloppy: false };
/// Reads that ask all owners of writes that one has: the promise breaks as soon as that one is not asked.
const WRITE_ONE: Quorums = Quorums { n: 3, r: 3, w: 1, pr: 3, pw: 1, sloppy: false };
/// One holder is enough: what it alone has nobody else can give back.
const ONE_HOLDS: Quorums = Quorums { n: 3, r: 1, w: 1, pr: 0, pw: 0, sloppy: true };

/// The same for mutants of ring changes: no faults but those, and no deeds but those in which the rule matters that is switched off. Each
/// plan says what must come together for the fault to show.
fn moving_plan(mutant: Mutant, seed: u64) -> Plan {
    let mut plan = Plan::moving(seed);
    plan.repair_ms = None;
    (plan.nodes, plan.guests) = (3, 2);
    (plan.temper.faults, plan.temper.forget) = (vec![], None);
    plan.deeds = vec![Deed::Replace, Deed::Join];
    plan.operator = OperatorHabits { pause_max: Duration::from_millis(500), returns: true, is_automatic: false };
    plan.auto_remove_ms = None;
    (plan.habits.forgetful, plan.habits.apart) = (false, true);
    plan.habits.characters = &[Character::Strict];
    plan.habits.pause_max = Duration::from_millis(30);
    plan.habits.duration = Duration::from_secs(5);
    let faults = |plan: &mut Plan, kind: Kind, least_ms: u64, most_ms: u64| {
        plan.temper.faults = vec![kind];
        plan.temper.pause_max = Duration::from_millis(500);
        plan.temper.fault_min = Duration::from_millis(least_ms);
        plan.temper.fault_max = Duration::from_millis(most_ms);
    };
    match mutant {
        // A new owner that lacks something is asked alone. It is sent whatever is written again meanwhile: many keys, so that some are not.
        Mutant::SwitchBeforeProof | Mutant::ReadFromNewOwnersEarly | Mutant::ReportArrivedEarly => {
            plan.deeds = vec![Deed::Replace; 2];
            plan.habits.quorums = Some(READ_ONE);
            plan.habits.keys = 24;
        }
        // The owner to be replaced hears late that others are read from, and writes alone what these are not asked for.
        Mutant::SwitchBeforeAcknowledged => {
            faults(&mut plan, Kind::LateNews, 2000, 5000);
            (plan.session_ms, plan.election_ms) = (4000, 1500);
            plan.operator.pause_max = Duration::from_millis(100);
            plan.deeds = vec![Deed::Replace; 8];
            plan.habits.quorums = Some(WRITE_ONE);
            plan.habits.keys = 2;
            plan.habits.duration = Duration::from_secs(10);
        }
        // The owner that was replaced hears late that others are read from, and reads alone what it is not sent any more.
        Mutant::RetireBeforeAcknowledged => {
            faults(&mut plan, Kind::LateNews, 2000, 5000);
            (plan.session_ms, plan.election_ms) = (4000, 1500);
            plan.operator.pause_max = Duration::from_millis(100);
            plan.deeds = vec![Deed::Replace; 8];
            plan.habits.quorums = Some(READ_ONE);
            plan.habits.keys = 2;
            plan.habits.duration = Duration::from_secs(10);
        }
        // What the owner to be replaced was sent in the last moment is on its disk only after it has been copied.
        Mutant::AcknowledgeWithWritesInFlight => {
            faults(&mut plan, Kind::SlowDisk, 1000, 4000);
            plan.deeds = vec![Deed::Replace; 6];
            plan.habits.quorums = Some(READ_ONE);
            plan.habits.apart = false;
            plan.habits.keys = 6;
            plan.habits.duration = Duration::from_secs(12);
        }
        // An owner was alone with clients, then it is removed: when it comes back it has what nobody was copied from.
        Mutant::DropBeforeDrained => {
            faults(&mut plan, Kind::Lonely, 1000, 2500);
            (plan.nodes, plan.guests) = (4, 1);
            plan.deeds = vec![Deed::Remove; 2];
            plan.operator.pause_max = Duration::from_secs(3);
            plan.habits.quorums = Some(ONE_HOLDS);
            plan.habits.characters = &[Character::Context, Character::Blind];
            plan.habits.keys = 16;
            plan.habits.pause_max = Duration::from_millis(60);
            plan.habits.duration = Duration::from_secs(15);
        }
        _ => plan.habits.characters = &[Character::Strict, Character::Strict, Character::Context],
    }
    plan
}

/// The same for mutants of reaping.
fn reaping_plan(mutant: Mutant, seed: u64) -> Plan {
    let mut plan = Plan::reaping(seed);
    (plan.temper.forget, plan.habits.forgetful) = (None, false);
    plan.habits.characters = &[Character::Context, Character::Strict];
    plan.habits.duration = Duration::from_secs(30);
    plan.habits.pause_max = Duration::from_millis(100);
    match mutant {
        // What an owner missed waits with somebody who is down for longer than the grace.
        Mutant::ReapWithoutAskingAll => {
            plan.nodes = 5;
            plan.temper.faults = vec![Kind::Kill];
            (plan.temper.fault_min, plan.temper.fault_max) = (Duration::from_secs(2), Duration::from_secs(12));
            plan.temper.pause_max = Duration::from_secs(2);
            plan.grace_ms = Some(2000);
        }
        // What was read before a delete is under way until after it.
        Mutant::ReapBeforeGrace => {
            plan.temper.faults = vec![Kind::Hold];
            (plan.temper.fault_min, plan.temper.fault_max) = (Duration::from_millis(80), Duration::from_millis(190));
            plan.temper.pause_max = Duration::from_millis(300);
            plan.habits.keys = 3;
            plan.habits.pause_max = Duration::from_millis(20);
        }
        // A key is written while it is removed.
        _ => {
            plan.temper.faults = vec![];
            plan.habits.keys = 10;
            plan.grace_ms = Some(1000);
        }
    }
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

/// Two tests, so that they run beside each other.
#[test]
fn every_mutant_of_data_is_caught_on_its_seed() {
    are_caught(|mutant| !Mutant::MOVING.contains(mutant));
}

#[test]
fn every_mutant_of_ring_changes_is_caught_on_its_seed() {
    are_caught(|mutant| Mutant::MOVING.contains(mutant));
}

fn are_caught(which: impl Fn(&Mutant) -> bool) {
    let mut missed = vec![];
    for (mutant, seeds) in RECORDED.iter().copied().filter(|(mutant, _)| which(mutant)) {
        let caught = seeds.iter().map(|seed| (seed, run_mutant(mutant, *seed))).find(|(_, report)| is_caught(report));
        match caught {
            Some((seed, report)) => println!("{mutant:?} on seed {seed}: {}", report.violations[0].invariant),
            None => missed.push((mutant, seeds)),
        }
    }
    assert!(missed.is_empty(), "not noticed on their seeds: {missed:?}; `make sim` finds others");
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
    let seeds = number("KV_SIM_SEED").map_or(0..SEARCH, |seed| seed..seed + 1);
    // Those that no search has found yet are searched for by name alone.
    let unfound = Mutant::REAPING.into_iter().chain(Mutant::REPAIR).filter(|_| only.is_some());
    let moving = Mutant::MOVING.into_iter().chain(unfound);
    for mutant in Mutant::DATA.into_iter().chain([Mutant::LeaseFromReply]).chain(moving).filter(is_wanted) {
        let caught: Vec<u64> = seeds.clone().filter(|seed| is_found(mutant, *seed)).take(ENOUGH).collect();
        match caught.first() {
            Some(seed) => println!("(Mutant::{mutant:?}, {seed}), // also {:?}", &caught[1..]),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "{missed:?} are caught by none of seeds {seeds:?}");
}

fn is_found(mutant: Mutant, seed: u64) -> bool {
    let report = run_mutant(mutant, seed);
    if std::env::var_os("KV_SIM_TRACE").is_some() {
        report.history.events().iter().for_each(|event| println!("{event}"));
        println!("{}", report.failure());
    }
    let found = report.violations.first();
    found.inspect(|violation| println!("{mutant:?} is caught on seed {seed}: {violation}"));
    found.is_some()
}
