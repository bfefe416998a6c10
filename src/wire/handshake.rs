//! The first frame in each direction: who calls, whom, and in which version.

use serde::{Deserialize, Serialize};

use crate::core::id::{ClusterId, NodeId, Start, StoreId};

/// Protocol versions that this program speaks, oldest and newest. A release speaks its own and the one before.
pub const VERSIONS: (u16, u16) = (1, 1);

/// First word of every connection, so that a stranger is told apart from an old version.
pub const MAGIC: &str = "kv";

/// What the caller says first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`MAGIC`].
    pub magic: String,
    /// The oldest version the caller speaks.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
    /// The cluster it expects; a client may leave it open.
    pub cluster: Option<String>,
    /// What it wants to be.
    pub role: Role,
}

/// What a caller wants to be on this connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Role {
    /// An application or a tool; `name` goes to the log.
    Client {
        /// Any short text.
        name: String,
    },
    /// Another node of the cluster.
    Peer {
        /// The calling node.
        node: NodeId,
        /// Its cluster.
        cluster: ClusterId,
        /// Its store, and which start of it.
        start: Start,
        /// The store it believes to be calling; another one answers with a refusal.
        callee: StoreId,
        /// The calling arbiter, so that links spread over the callee's arbiters alike.
        arbiter: u16,
    },
    /// Another node's coordination service, on a link of its own so that bulk data never keeps a heartbeat waiting.
    Keeper(Keeper),
}

/// Who calls, or answers, on a link of the coordination service. Both sides say it, and both judge it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Keeper {
    /// The cluster that it belongs to; `None` for a store that belongs to none yet.
    pub cluster: Option<ClusterId>,
    /// How many forced recoveries its coordination service has been through.
    pub generation: u32,
    /// The node; `None` while it has no number yet.
    pub node: Option<NodeId>,
    /// Its store, and which start of it.
    pub start: Start,
    /// Where it says that others reach it.
    pub address: String,
}

/// What the callee answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Welcome {
    /// The connection is open.
    Accepted {
        /// The highest version that both speak.
        version: u16,
        /// The cluster.
        cluster: String,
        /// The answering node.
        node: NodeId,
        /// Its store.
        store: StoreId,
        /// The largest frame it takes, in bytes.
        frame_bytes_max: u32,
        /// How many calls it takes at once from this connection before it stops reading.
        in_flight_max: u32,
    },
    /// A link of the coordination service is open. A caller that belongs to no cluster yet may only ask to join
    /// ([`super::join`]).
    Keeper {
        /// The highest version that both speak.
        version: u16,
        /// The cluster's name.
        cluster: String,
        /// Who answers.
        keeper: Keeper,
    },
    /// The connection is closed after this.
    Refused(Refusal),
}

/// Why a connection was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Not this protocol at all.
    #[error("this is a kv node's native port; the caller does not speak its protocol")]
    NotKv,
    /// No common version.
    #[error("no common protocol version: the node speaks {oldest} to {newest}")]
    Version {
        /// The callee's oldest.
        oldest: u16,
        /// The callee's newest.
        newest: u16,
    },
    /// Another cluster.
    #[error("this node belongs to cluster '{cluster}'")]
    Cluster {
        /// The callee's.
        cluster: String,
    },
    /// The node at this address serves another store than the caller's ring says.
    #[error("this address is node {node} with store {store}")]
    Store {
        /// The callee.
        node: NodeId,
        /// Its store.
        store: StoreId,
    },
    /// The calling peer is not in the ring.
    #[error("store {store} is no member of this cluster")]
    NotAMember {
        /// The caller's.
        store: StoreId,
    },
    /// The node does not serve yet: it has no ring, or there is no cluster yet. Try again, or another node.
    #[error("the node is not ready: {reason}")]
    Starting {
        /// What it waits for.
        reason: String,
    },
    /// A cluster of the same name that was made apart. The two never mix.
    #[error("this node belongs to cluster {id}, which was made apart from yours")]
    OtherCluster {
        /// The callee's.
        id: ClusterId,
    },
    /// The caller's store was restored from an older copy of itself: a later start of it was seen.
    #[error("store {store} was rolled back: its start {seen} was seen already")]
    RolledBack {
        /// The caller's.
        store: StoreId,
        /// The latest start that was seen.
        seen: u64,
    },
    /// The caller's node came with another store since.
    #[error("store {store} was replaced: its node serves store {by} now")]
    Replaced {
        /// The caller's.
        store: StoreId,
        /// The one that took its place.
        by: StoreId,
    },
    /// The caller runs on a copy of a store that runs elsewhere.
    #[error("store {store} runs at {address} already; the caller is a copy of it")]
    Cloned {
        /// The caller's.
        store: StoreId,
        /// Where the original runs.
        address: String,
    },
    /// The coordination service was recovered by force since the caller was last part of it.
    #[error("the coordination service was recovered by force and is at generation {generation}")]
    Recovered {
        /// The callee's.
        generation: u32,
    },
    /// `limits.connections_max` is reached.
    #[error("{limit} connections are open already (limits.connections_max)")]
    TooManyConnections {
        /// The limit.
        limit: u32,
    },
}

impl Hello {
    /// The greeting of this program.
    pub fn new(cluster: Option<String>, role: Role) -> Hello {
        Hello { magic: MAGIC.into(), oldest: VERSIONS.0, newest: VERSIONS.1, cluster, role }
    }

    /// The highest version that caller and callee both speak, for a callee in `cluster`, whose name it may not know yet.
    pub fn agree<'a>(&self, cluster: impl Into<Option<&'a str>>) -> Result<u16, Refusal> {
        if self.magic != MAGIC {
            return Err(Refusal::NotKv);
        }
        let common = self.newest.min(VERSIONS.1);
        if common < self.oldest.max(VERSIONS.0) {
            return Err(Refusal::Version { oldest: VERSIONS.0, newest: VERSIONS.1 });
        }
        match (&self.cluster, cluster.into()) {
            (Some(expected), Some(cluster)) if expected != cluster => Err(Refusal::Cluster { cluster: cluster.into() }),
            _ => Ok(common),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(oldest: u16, newest: u16) -> Hello {
        Hello { oldest, newest, ..Hello::new(Some("c".into()), Role::Client { name: "t".into() }) }
    }

    #[test]
    fn highest_common_version_wins() {
        assert_eq!(hello(1, 7).agree("c"), Ok(1));
        assert_eq!(hello(2, 7).agree("c"), Err(Refusal::Version { oldest: 1, newest: 1 }));
        assert_eq!(hello(0, 0).agree("c"), Err(Refusal::Version { oldest: 1, newest: 1 }));
    }

    #[test]
    fn another_cluster_is_refused() {
        assert_eq!(hello(1, 1).agree("d"), Err(Refusal::Cluster { cluster: "d".into() }));
    }
}
