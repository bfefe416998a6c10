//! How the coordination service is, as one node sees it.

use serde::{Deserialize, Serialize};

use crate::core::id::{NodeId, StoreId};

/// The most sessions that a report names.
pub const SESSIONS_SHOWN_MAX: usize = 1_000;

/// How the service is, in the terms of who provides it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceReport {
    /// The nodes themselves.
    Nookeeper(NookeeperReport),
    /// A ZooKeeper.
    ZooKeeper(ZooKeeperReport),
}

impl ServiceReport {
    /// The sessions that the node knows of.
    pub fn sessions(&self) -> &[SessionReport] {
        match self {
            ServiceReport::Nookeeper(report) => &report.sessions,
            ServiceReport::ZooKeeper(report) => report.session.as_slice(),
        }
    }
}

/// The service in the nodes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NookeeperReport {
    /// What the asked node is in it.
    pub role: KeeperRole,
    /// Who leads, as far as the asked node knows.
    pub leader: Option<NodeId>,
    /// Milliseconds since the asked node heard the leader; of the leader, since a majority heard it.
    pub leader_heard_ms: Option<u64>,
    /// The term of that.
    pub term: u64,
    /// How many forced recoveries there were.
    pub generation: u32,
    /// Those whose majority decides.
    pub voters: Vec<ParticipantReport>,
    /// Whether that changes: until it is done a majority of those before is needed, too.
    pub changing: bool,
    /// Those that follow without a vote.
    pub learners: Vec<ParticipantReport>,
    /// The newest revision of the tree.
    pub revision: u64,
    /// Entries of the log that were applied to the tree.
    pub applied: u64,
    /// Entries of the log that are there.
    pub last_log: u64,
    /// The open sessions, at most [`SESSIONS_SHOWN_MAX`].
    pub sessions: Vec<SessionReport>,
    /// How many are open.
    pub sessions_open: u64,
    /// Why it does not work, if so.
    pub trouble: Option<String>,
}

/// What a node is in the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeeperRole {
    /// Takes the writes.
    Leader,
    /// Votes, and follows a leader.
    Follower,
    /// Votes, and knows of no leader.
    Candidate,
    /// Follows without a vote.
    #[default]
    Learner,
    /// Takes no part.
    Stopped,
}

/// A store that takes part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ParticipantReport {
    /// The store.
    pub store: StoreId,
    /// Its node.
    pub node: NodeId,
    /// Where it is dialled, `host:port`.
    pub address: String,
}

/// An open session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionReport {
    /// Its number.
    pub session: u64,
    /// Milliseconds that it lives without a sign of life.
    pub timeout_ms: u64,
    /// Milliseconds since its last sign of life, as far as the asked node can tell.
    pub silent_ms: Option<u64>,
}

impl SessionReport {
    /// Milliseconds until it ends if nothing more is heard.
    pub fn left_ms(&self) -> Option<u64> {
        self.silent_ms.map(|silent_ms| self.timeout_ms.saturating_sub(silent_ms))
    }
}

/// A ZooKeeper, as far as one of its clients knows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ZooKeeperReport {
    /// The servers of the configuration, `host:port`.
    pub servers: Vec<String>,
    /// How the asked node's session is, in a few words.
    pub state: String,
    /// The asked node's own session; ZooKeeper shows no others.
    pub session: Option<SessionReport>,
}
