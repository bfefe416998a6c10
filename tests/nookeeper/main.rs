//! Does the coordination service keep its promises?
//!
//! Clients of a [`Service`](kv::coordination::api::Service) write down what they ask and are told ([`history`]); the
//! [`invariants`] judge that history, the foremost being that it is [`linear`]izable. The checks themselves are checked first,
//! on a service that lies ([`lying`]).

mod history;
mod invariants;
mod linear;

#[cfg(feature = "sim")]
mod distant;
#[cfg(feature = "sim")]
mod lock;
#[cfg(feature = "sim")]
mod lying;
#[cfg(feature = "sim")]
#[path = "../support/numbers.rs"]
mod numbers;
#[cfg(feature = "sim")]
mod recorded;
#[cfg(feature = "sim")]
mod recorder;
#[cfg(feature = "sim")]
mod sim;
#[cfg(feature = "sim")]
mod workload;
