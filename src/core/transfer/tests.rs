//! Simulated stores, between which works go on while others write and everything may fail.

mod copying;
mod draining;
pub(in crate::core) mod world;
