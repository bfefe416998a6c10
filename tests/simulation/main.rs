//! The simulation: what clients and stores report becomes a [`history`], and the [`invariants`] judge it.

mod history;
mod invariants;
