//! Seeds that must pass, and that a seed fixes everything.
//!
//! `KV_SIM_SEEDS` says how many, `KV_SIM_SEED` which one alone; `KV_SIM_TRACE=1` then prints its history.

use crate::numbers::number;
use crate::run::{Plan, Report, run};

/// Seeds in the short form.
const FEW: u64 = 3;
/// With ring changes a run takes many times as long. Seed 0 once had a write forwarded to two nodes.
const FEW_MOVING: u64 = 1;

/// With a short grace and many keys a run takes a few times as long.
const FEW_REAPING: u64 = 1;

fn replay(seed: u64, test: &str) -> String {
    format!(
        "KV_SIM_SEED={seed} KV_SIM_TRACE=1 cargo test --release --features mutants --test simulation -- seeds::{test} --exact --nocapture"
    )
}

#[test]
fn seeds_pass() {
    pass(Plan::of, FEW, "seeds_pass");
}

/// Owners come and go while clients work and the nemesis strikes.
#[test]
fn seeds_pass_while_the_ring_changes() {
    pass(Plan::moving, FEW_MOVING, "seeds_pass_while_the_ring_changes");
}

/// What is deleted is forgotten while faults last longer than the grace.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation; `make sim` runs it")]
fn seeds_pass_while_deletes_are_reaped() {
    pass(Plan::reaping, FEW_REAPING, "seeds_pass_while_deletes_are_reaped");
}

fn pass(plan: fn(u64) -> Plan, few: u64, test: &str) {
    // `RUST_LOG=kv=debug` shows the nodes' logs in the order of events.
    let _ =
        env_logger::builder().filter_level(log::LevelFilter::Off).parse_default_env().format_timestamp(None).try_init();
    let first = number("KV_SIM_SEED");
    let seeds = match first {
        Some(seed) => seed..seed + 1,
        None => 0..number("KV_SIM_SEEDS").unwrap_or(few),
    };
    let (mut failed, mut operations) = (vec![], 0);
    for seed in seeds.clone() {
        let report = run(plan(seed));
        operations += report.history.events().len();
        if std::env::var_os("KV_SIM_TRACE").is_some() {
            report.history.events().iter().for_each(|event| println!("{event}"));
        }
        if !report.passes() {
            println!("seed {seed} FAILS\n{}\nagain: {}", report.failure(), replay(seed, test));
            failed.push(seed);
        }
    }
    println!("{} seeds, {operations} events, failed: {failed:?}", seeds.end - seeds.start);
    assert!(failed.is_empty(), "seeds {failed:?} fail");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |report: Report| report.history.events().iter().map(ToString::to_string).collect::<Vec<_>>();
    let (once, again) = (trace(run(Plan::of(3))), trace(run(Plan::of(3))));
    let differing = once.iter().zip(&again).position(|(a, b)| a != b);
    assert_eq!(differing.map(|at| (&once[at], &again[at])), None);
    assert_eq!(once.len(), again.len());
    assert_ne!(once, trace(run(Plan::of(4))), "another seed gives another trace");
}
