//! Nookeeper: the service in the nodes themselves, replicated by Raft.
//!
//! Three or five nodes vote, all others learn, so that each has the whole tree at hand. A read looks at the node's own copy,
//! a write goes to the leader, `sync` asks the leader how far it is.

pub mod runtime;
pub mod store;
pub mod types;
