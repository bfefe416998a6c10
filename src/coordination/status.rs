//! What the providers of the service tell operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::nookeeper::types::{Endpoint, RaftId};
use super::nookeeper::{Nookeeper, SessionStatus};
use crate::wire::report::{
    KeeperRole, NookeeperReport, ParticipantReport, SESSIONS_SHOWN_MAX, ServiceReport, SessionReport,
};

/// A provider that can say how it is. Each fills its own variant of the report.
pub trait Status: Send + Sync {
    /// How it is now, as this node sees it. Asks nobody and waits for nobody: operators ask above all when nobody answers.
    fn report(&self) -> ServiceReport;
}

/// The provider that a node uses, once it uses one.
pub type SharedStatus = Arc<ArcSwapOption<Box<dyn Status>>>;

impl Status for Nookeeper {
    fn report(&self) -> ServiceReport {
        let status = self.status();
        let role = match status.leader {
            _ if status.failed.is_some() => KeeperRole::Stopped,
            Some(leader) if leader == status.own => KeeperRole::Leader,
            _ if !status.voters.contains_key(&status.own) => KeeperRole::Learner,
            Some(_) => KeeperRole::Follower,
            None => KeeperRole::Candidate,
        };
        let leader = status.leader.and_then(|id| status.voters.get(&id).or_else(|| status.learners.get(&id)));
        let session = |session: &SessionStatus| SessionReport {
            session: session.id.0,
            timeout_ms: session.timeout_ms,
            silent_ms: Some(session.silent_ms),
        };
        ServiceReport::Nookeeper(NookeeperReport {
            role,
            leader: leader.map(Endpoint::node),
            leader_heard_ms: status.leader_heard_ms,
            term: status.term,
            generation: status.own.generation,
            voters: participants(&status.voters),
            learners: participants(&status.learners),
            revision: status.revision.0,
            applied: status.applied_index.unwrap_or_default(),
            last_log: status.last_log_index.unwrap_or_default(),
            sessions: status.sessions.iter().take(SESSIONS_SHOWN_MAX).map(session).collect(),
            sessions_open: status.sessions.len() as u64,
            trouble: status.failed,
        })
    }
}

fn participants(of: &BTreeMap<RaftId, Endpoint>) -> Vec<ParticipantReport> {
    let participant = |(id, endpoint): (&RaftId, &Endpoint)| ParticipantReport {
        store: id.store,
        node: endpoint.node(),
        address: endpoint.address.clone(),
    };
    of.iter().map(participant).collect()
}
