//! Does the coordination service keep its promises?
//!
//! Clients of a [`Service`](kv::coordination::api::Service) write down what they ask and are told ([`history`]); the
//! [`invariants`] judge that history, the foremost being that it is [`linear`]izable. The checks themselves are checked first,
//! on a service that lies ([`lying`]); then the replicated service is simulated while its machines fail ([`sim`]).

mod alone;
mod distant;
mod history;
#[path = "../support/hosts.rs"]
mod hosts;
mod invariants;
mod linear;
mod lock;
mod lying;
#[path = "../support/numbers.rs"]
mod numbers;
mod recorded;
mod recorder;
mod sim;
mod workload;
