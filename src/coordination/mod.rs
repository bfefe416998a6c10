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
//! - [`local`]: the service for one process, without replication;
//! - [`zookeeper`]: the service kept by a ZooKeeper ensemble;
//! - [`nookeeper`]: the service kept by the nodes themselves;
//! - [`conformance`]: what every provider must do;
//! - [`registry`]: what KV's own nodes keep there.
//!
//! # Membership
//!
//! [`Coordination`] is what the rest of the node knows of it: a stream of memberships, each newer than the last. [`StaticList`]
//! takes it from the configuration and never changes it.

pub mod api;
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

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use crate::config::ClusterConfig;
use crate::core::bucket::Buckets;
use crate::core::id::{Epoch, StoreId};
use crate::core::ring::Member;

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
    /// The buckets' properties.
    pub buckets: Buckets,
}

/// A membership that is on its way.
pub type NextMembership<'a> = Pin<Box<dyn Future<Output = Membership> + 'a>>;

/// Knows the members.
pub trait Coordination {
    /// The present membership at the first call; later the next one that differs, as soon as there is one. Intermediate
    /// ones may be skipped.
    fn next(&mut self) -> NextMembership<'_>;
}

/// The node list of the configuration, for ever.
#[derive(Debug)]
pub struct StaticList(Option<Membership>);

impl StaticList {
    /// From the part of the configuration that all nodes share.
    pub fn new(cluster: &ClusterConfig) -> StaticList {
        let member = |node: &crate::config::NodeEntry| Member {
            store: StoreId::of_static_node(&cluster.name, node.id),
            node: node.id,
            address: node.address.clone(),
            zone: node.zone.clone(),
            weight: node.weight,
        };
        StaticList(Some(Membership {
            epoch: Epoch { generation: 0, counter: 1 },
            partitions: cluster.partitions,
            replication: cluster.replication,
            members: cluster.nodes.iter().map(member).collect(),
            buckets: Buckets::new(&cluster.buckets),
        }))
    }
}

impl Coordination for StaticList {
    fn next(&mut self) -> NextMembership<'_> {
        match self.0.take() {
            Some(membership) => Box::pin(std::future::ready(membership)),
            None => Box::pin(std::future::pending()),
        }
    }
}
