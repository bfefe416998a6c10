//! How the service is, as one replica sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ask::Asker;
use super::service::Nookeeper;
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
    /// Whether voters change: until that is done a majority of the old ones is needed, too.
    pub changing: bool,
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

impl Nookeeper {
    /// How the service is, as this replica sees it.
    pub fn status(&self) -> Status {
        let metrics = self.0.raft.metrics().borrow().clone();
        let Asker { own, replica, leader, .. } = &*self.0.asker;
        let membership = metrics.membership_config.membership();
        // Until the last membership is applied and has one set of voters, a majority of the set before decides as well.
        let is_applied =
            metrics.last_applied.map(|id| id.index) >= metrics.membership_config.log_id().map(|id| id.index);
        let changing = !is_applied || membership.get_joint_config().len() > 1;
        let nodes = membership.nodes();
        let voters = self.voters();
        let learners = nodes.map(|(id, node)| (*id, node.clone())).filter(|(id, _)| !voters.contains_key(id)).collect();
        let judges = (metrics.current_leader == Some(*own)).then(|| (metrics.current_term, leader.now_ms()));
        let (term, now_ms) = judges.unwrap_or_default();
        let (revision, sessions) = replica.read(|state| {
            let status = |(id, timeout_ms, silent_ms)| SessionStatus { id, timeout_ms, silent_ms };
            (state.tree().revision(), state.session_ages(term, now_ms).map(status).collect())
        });
        Status {
            own: *own,
            endpoint: self.0.endpoint.clone(),
            failed: metrics.running_state.err().map(|fatal| fatal.to_string()),
            leader: metrics.current_leader,
            term: metrics.current_term,
            leader_heard_ms: self.0.contact.last().map(|ago| ago.as_millis() as u64),
            voters,
            changing,
            learners,
            last_log_index: metrics.last_log_index,
            applied_index: replica.applied().map(|id| id.index),
            snapshot_index: metrics.snapshot.map(|id| id.index),
            revision,
            sessions,
        }
    }
}
