//! Three replicas and more, on loopback.

mod conformance;
#[cfg(feature = "sim")]
mod cut_off;
mod failing;
#[cfg(feature = "sim")]
mod simulated;
pub(super) mod support;
mod taking_part;
