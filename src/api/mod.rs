//! What the outside speaks.
//!
//! [`acceptor`] opens the node's native port and greets whoever calls: an application is served by [`native`], another node by
//! [`crate::node::inbound`]. Every interface makes the same [`crate::core::request::Request`] and hands it to the Coordinator of its
//! connection's arbiter. [`server`] puts a node and its doors together; [`process`] makes a program of it, and [`recovery`]
//! is for when too few of its kind are left.

pub mod acceptor;
pub mod native;
pub mod process;
pub mod recovery;
pub mod server;
