//! The simulation: whole nodes, a workload, a nemesis, one seed; then the [`invariants`] judge the [`history`].
//!
//! `make sim SEEDS=200` runs many seeds; a failure prints its seed and how to run it again. The tests here run a few, show
//! that a seed fixes everything, and that each planted mutant is caught on its recorded seed.

mod history;
mod invariants;

#[cfg(feature = "sim")]
#[path = "../nookeeper/alone.rs"]
mod alone;
#[cfg(feature = "sim")]
mod availability;
#[cfg(feature = "sim")]
mod cluster;
#[cfg(feature = "sim")]
mod copies;
#[cfg(feature = "sim")]
mod home;
#[cfg(feature = "sim")]
mod judge;
#[cfg(feature = "sim")]
#[path = "../nookeeper/lock.rs"]
mod lock;
#[cfg(feature = "sim")]
mod machine;
#[cfg(feature = "mutants")]
mod mutants;
#[cfg(feature = "sim")]
mod nemesis;
#[cfg(feature = "sim")]
#[path = "../support/numbers.rs"]
mod numbers;
#[cfg(feature = "sim")]
mod recorder;
#[cfg(feature = "sim")]
mod run;
#[cfg(feature = "sim")]
mod seeds;
#[cfg(feature = "sim")]
mod sessions;
#[cfg(feature = "sim")]
mod watched;
#[cfg(feature = "sim")]
mod workload;
