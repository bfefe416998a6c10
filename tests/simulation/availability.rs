//! While the coordination service has no majority, sloppy requests go on, and strict ones end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::{Call, History, Micros, Outcome, Quorums, What};
use crate::nemesis::Kind;
use crate::run::{Plan, run};

/// Until the nodes have noticed whom they do not reach, requests may fail; and leases may be held.
const NOTICED: Micros = 4_000_000;

/// The majority is lost for long, and nothing else happens.
fn plan(seed: u64) -> Plan {
    let mut plan = Plan::of(seed);
    plan.nodes = 5;
    plan.temper.faults = vec![Kind::LoseMajority];
    plan.temper.forget = None;
    plan.temper.pause_max = Duration::from_millis(500);
    plan.temper.fault_min = Duration::from_secs(8);
    plan.temper.fault_max = Duration::from_secs(10);
    plan.habits.forgetful = false;
    plan
}

/// Operations that were asked and answered without a majority.
fn without_majority(history: &History) -> Vec<(Quorums, Call, Outcome)> {
    let (mut lost, mut asked, mut answered) = (None, BTreeMap::new(), vec![]);
    for event in history.events() {
        match &event.what {
            What::MajorityLost => lost = Some(event.at),
            What::MajorityBack => {
                lost = None;
                asked.clear();
            }
            What::Invoked { operation, quorums, call, .. } if lost.is_some_and(|lost| event.at > lost + NOTICED) => {
                asked.insert(*operation, (*quorums, call.clone()));
            }
            What::Answered { operation, outcome } => {
                answered.extend(asked.remove(operation).map(|(quorums, call)| (quorums, call, outcome.clone())));
            }
            _ => {}
        }
    }
    answered
}

#[test]
fn sloppy_requests_need_no_majority() {
    let (mut sloppy, mut refused) = (0, 0);
    for seed in 0..2 {
        let report = run(plan(seed));
        assert!(report.passes(), "seed {seed}: {}", report.failure());
        for (quorums, call, outcome) in without_majority(&report.history) {
            let served = matches!(outcome, Outcome::Read(_) | Outcome::Written);
            if quorums.pr > 0 || quorums.pw > 0 {
                assert!(!served, "seed {seed}: {call:?} with {quorums} was served without a lease");
                refused += 1;
            } else if quorums.r <= 2 && quorums.w <= 2 {
                assert!(served, "seed {seed}: {call:?} with {quorums}: {outcome:?}");
                sloppy += 1;
            }
        }
    }
    assert!(sloppy > 100 && refused > 10, "{sloppy} sloppy requests were served and {refused} strict ones refused");
}
