//! The coordination service kept by a real ZooKeeper.
//!
//! The suite of all providers runs on one server, each case below a root of its own; stories in which the server fails have
//! one for themselves. `support/zookeeper.rs` says what is needed.

#[path = "../support/zookeeper.rs"]
mod server;
#[path = "../support/wait.rs"]
mod wait;

mod conformance;
mod ending;
mod ensemble;
mod outcomes;
mod relay;
mod restarting;
mod roots;
mod servers;
