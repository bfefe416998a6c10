//! How the service is, as one replica sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::types::{Endpoint, RaftId};
use crate::coordination::tree::{Revision, SessionId};

/// How the service is, as one replica sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The replica that says so.
    pub own: RaftId,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Why it takes no part any more, for one whose disk failed.
    pub failed: Option<String>,
    /// Who leads, as far as it knows.
    pub leader: Option<RaftId>,
    /// In which term.
    pub term: u64,
    /// How long ago it heard the leader, in milliseconds; of the leader, how long ago a majority heard it.
    pub leader_heard_ms: Option<u64>,
    /// Who votes. While voters change, both the old ones and the new.
    pub voters: BTreeMap<RaftId, Endpoint>,
    /// Who has a copy of the tree and no vote.
    pub learners: BTreeMap<RaftId, Endpoint>,
    /// The last entry of its log.
    pub last_log_index: Option<u64>,
    /// The last entry that it shows.
    pub applied_index: Option<u64>,
    /// The last entry in its snapshot.
    pub snapshot_index: Option<u64>,
    /// The revision of the tree that it shows.
    pub revision: Revision,
    /// The open sessions.
    pub sessions: Vec<SessionStatus>,
}

/// An open session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Which.
    pub id: SessionId,
    /// How long it lives without a sign of life, in milliseconds.
    pub timeout_ms: u64,
    /// How long ago it gave one, in milliseconds. The leader alone knows; another replica says how long ago it was when
    /// the last command was applied.
    pub silent_ms: u64,
}
