//! Nookeeper: the service in the nodes themselves, replicated by Raft.
//!
//! Three or five nodes vote, all others learn, so that each has the whole tree at hand. A read looks at the node's own copy,
//! a write goes to the leader, `sync` asks the leader how far it is.
//!
//! # The life of a write
//!
//! A session numbers the write and asks the leader, wherever that is, over a coordination link. The leader stamps it with its
//! clock and puts it into the log. A majority stores and syncs the entry, then each replica applies it to its state
//! ([`store`]). The leader answers with what the write came to and with the index of its entry; the session's own replica
//! waits until it has applied as much, and only then is the caller answered: a session reads what it wrote, and what it was
//! refused over.
//!
//! If no answer comes, the same write is sent again under the same number, to whoever leads then; the state applies it once.
//! When the time for that is over the caller learns whether the write may have been sent.
//!
//! # Sessions
//!
//! The leader alone judges when a session is over, by its own clock, and ends it with a command in the log. It first lets in
//! the signs of life that waited while the process was stopped. A new leader gives all sessions their whole timeout.
//!
//! # Taking part
//!
//! A replica is named by its store ([`types::RaftId`]), so one that lost its disk comes back as another one and never votes
//! against its earlier word. Links are checked on both ends: a call reaches the store that is meant or nobody. Whether a store
//! is an old copy of itself is for those above to judge ([`Judge`]); `registry::judge` says how far that reaches. The leader
//! brings in, promotes and takes out replicas until the membership is the one wished for ([`Nookeeper::set_roster`]).
//!
//! Everything runs on the one runtime on which the replica was started, which may block on the disk; the handle may be used
//! from any other.

mod ask;
mod contact;
mod elections;
mod leader;
mod link;
mod network;
mod roster;
pub mod runtime;
mod service;
mod session;
mod status;
pub mod store;
#[cfg(test)]
mod tests;
mod timing;
pub mod types;

use std::sync::Arc;

use crate::wire::handshake::{Keeper, Refusal};

pub use service::{FoundError, Nookeeper, Parts, StartError};
pub use status::{SessionStatus, Status};
pub use timing::Timing;

/// Judges who answers a dial, as an acceptor judges who calls.
pub type Judge = Arc<dyn Fn(&Keeper) -> Result<(), Refusal> + Send + Sync>;
