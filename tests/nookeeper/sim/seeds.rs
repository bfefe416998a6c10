//! Seeds that must pass, and the proof that a seed fixes everything.
//!
//! `KV_SIM_SEEDS` says how many, `KV_SIM_SEED` which one alone; `KV_SIM_TRACE=1` then prints its history.

use super::run::{Plan, Report, run};
use super::tally::Tally;
use crate::numbers::number;

/// Seeds in the short form: without optimisation one takes ten seconds. `make sim` runs many.
const FEW: u64 = 1;

fn replay(seed: u64) -> String {
    format!(
        "KV_SIM_SEED={seed} KV_SIM_TRACE=1 cargo test --release --features mutants --test nookeeper seeds_pass -- --nocapture"
    )
}

#[test]
fn seeds_pass() {
    // `RUST_LOG=kv=debug` shows the replicas' logs in the order of events.
    let _ =
        env_logger::builder().filter_level(log::LevelFilter::Off).parse_default_env().format_timestamp(None).try_init();
    let seeds = match number("KV_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("KV_SIM_SEEDS").unwrap_or(FEW),
    };
    let (mut failed, mut operations, mut tally) = (vec![], 0, Tally::default());
    for seed in seeds.clone() {
        let report = run(Plan::of(seed));
        operations += report.history.operations().len();
        tally += report.tally;
        if std::env::var_os("KV_SIM_TRACE").is_some() {
            println!("{}", report.history);
        }
        if !report.passes() {
            println!("seed {seed} FAILS\n{}\nagain: {}", report.failure(), replay(seed));
            failed.push(seed);
        }
    }
    println!("{} seeds, {operations} operations, {tally}, failed: {failed:?}", seeds.end - seeds.start);
    assert!(failed.is_empty(), "seeds {failed:?} fail");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |report: Report| report.history.to_string().lines().map(str::to_owned).collect::<Vec<_>>();
    let (once, again) = (trace(run(Plan::of(3))), trace(run(Plan::of(3))));
    let differing = once.iter().zip(&again).position(|(a, b)| a != b);
    assert_eq!(differing.map(|at| (&once[at], &again[at])), None);
    assert_eq!(once.len(), again.len());
    assert!(once.iter().any(|line| line.contains("is answered")), "nothing happened");
}
