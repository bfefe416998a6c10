//! Three replicas and more, on loopback.

mod conformance;
mod failing;
#[cfg(feature = "sim")]
mod simulated;
pub(super) mod support;
mod taking_part;
