//! A further machine on a copy of a node's drive, while that node runs: it vouches for nothing, and gives up.

use std::time::Duration;

use crate::history::What;
use crate::run::{Plan, run};
use crate::workload::Character;

#[test]
fn a_copy_vouches_for_nothing_and_gives_up() {
    let mut plan = Plan::of(0);
    plan.temper.faults = vec![];
    plan.temper.forget = None;
    plan.habits.forgetful = false;
    plan.habits.characters = &[Character::Strict];
    plan.habits.duration = Duration::from_secs(30);
    plan.habits.pause_max = Duration::from_millis(300);
    plan.copy = true;
    let report = run(plan);
    assert!(report.passes(), "{}", report.failure());
    let (history, ended) = report.copy.expect("there was a copy");
    let vouched = history.events().iter().find(|event| matches!(event.what, What::StrictCounted { .. }));
    assert_eq!(vouched.map(ToString::to_string), None);
    let minted = history.events().iter().find(|event| matches!(event.what, What::Minted { .. }));
    assert_eq!(minted.map(ToString::to_string), None, "a strict write is not even begun");
    let ended = ended.expect("it gives up");
    assert!(ended.contains("Give this node a number and an empty data directory of its own"), "{ended}");
}
