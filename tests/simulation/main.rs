//! The simulation: whole nodes, a workload, a nemesis, an operator who changes the ring, one seed; then the [`invariants`] judge the [`history`].
//!
//! `make sim SEEDS=200` runs many seeds; a failure prints its seed and how to run it again. The tests here run a few, show
//! that a seed fixes everything, and that each planted mutant is caught on its recorded seed.

mod history;
mod invariants;

#[path = "../nookeeper/alone.rs"]
mod alone;
mod availability;
mod cluster;
mod copies;
mod home;
mod judge;
#[path = "../nookeeper/lock.rs"]
mod lock;
mod machine;
#[cfg(feature = "mutants")]
mod mutants;
mod nemesis;
#[path = "../support/numbers.rs"]
mod numbers;
mod operator;
mod recorder;
mod run;
mod seeds;
mod sessions;
mod watched;
mod workload;
