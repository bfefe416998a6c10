//! Who is in the cluster.
//!
//! # The service
//!
//! What a cluster must agree on stands in a tree of small nodes with versions, sessions and watches, as in ZooKeeper. Bottom up:
//!
//! - [`tree`]: the nodes, and writes that happen whole or not at all;
//! - [`state`]: the tree with the sessions that write to it, as a function from one command to the next state, to be replicated;
//! - [`watch`]: who asked to be told of which change, and [`watchers`]: how they are told;
//! - [`api`]: what users of the service see, whoever provides it; [`status`]: what operators see of it;
//! - [`clock`]: by which sessions and leases are timed;
//! - [`local`]: the service for one process, without replication;
//! - [`zookeeper`]: the service kept by a ZooKeeper ensemble;
//! - [`nookeeper`]: the service kept by the nodes themselves;
//! - [`conformance`]: what every provider must do;
//! - [`registry`]: what KV's own nodes keep there.
//!
//! # Membership
//!
//! A [`Membership`] is what a node makes its ring of. The node's watcher reads it from the registry through a session
//! ([`SharedSession`]); the last one is kept for a start at which nobody can be asked.

pub mod api;
pub mod clock;
pub mod conformance;
pub mod local;
pub mod nookeeper;
pub mod registry;
pub mod state;
pub mod status;
pub mod tree;
pub mod watch;
pub mod watchers;
pub mod zookeeper;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use crate::core::bucket::Buckets;
use crate::core::id::Epoch;
use crate::core::ring::{Member, Ring, RingError, Slice};

/// The session that a node holds, while it holds one.
pub type SharedSession = Arc<ArcSwapOption<Box<dyn api::Session>>>;

/// The members of the cluster and what they share, at one epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Membership {
    /// Its age; never decreases.
    pub epoch: Epoch,
    /// Q.
    pub partitions: u32,
    /// Owners of each partition.
    pub replication: u8,
    /// Who is in it.
    pub members: Vec<Member>,
    /// Who has each partition, by the members' numbers in that list.
    #[serde(default)]
    pub slices: Vec<Slice<u16>>,
    /// The buckets' properties.
    pub buckets: Buckets,
}

impl Membership {
    /// Its ring. A membership that names no owners is one from before owners were remembered: they were placed from nothing.
    ///
    /// # Errors
    /// See [`RingError`].
    pub fn ring(&self) -> Result<Ring, RingError> {
        if self.slices.is_empty() {
            return Ring::new(self.epoch, self.partitions, self.replication, self.members.clone());
        }
        Ring::of(self.epoch, self.replication, self.members.clone(), &self.slices)
    }
}
