//! What the providers of the service tell operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::SharedSession;
use super::api::SessionState;
use super::nookeeper::types::{Endpoint, RaftId};
use super::nookeeper::{self, Nookeeper, SessionStatus};
use crate::wire::report::{
    KeeperRole, NookeeperReport, ParticipantReport, SESSIONS_SHOWN_MAX, ServiceReport, SessionReport, ZooKeeperReport,
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
        ServiceReport::Nookeeper(self.status().into())
    }
}

impl From<nookeeper::Status> for NookeeperReport {
    fn from(status: nookeeper::Status) -> NookeeperReport {
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
        NookeeperReport {
            role,
            leader: leader.map(Endpoint::node),
            leader_heard_ms: status.leader_heard_ms,
            term: status.term,
            generation: status.own.generation,
            voters: participants(&status.voters),
            changing: status.changing,
            learners: participants(&status.learners),
            revision: status.revision.0,
            applied: status.applied_index.unwrap_or_default(),
            last_log: status.last_log_index.unwrap_or_default(),
            sessions: status.sessions.iter().take(SESSIONS_SHOWN_MAX).map(session).collect(),
            sessions_open: status.sessions.len() as u64,
            trouble: status.failed,
        }
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

/// A ZooKeeper, as far as the node that uses it knows: its servers, and the node's own session.
pub struct ZooKeeperStatus {
    /// The servers of the configuration, `host:port`.
    pub servers: Vec<String>,
    /// Where the node's session is published.
    pub session: SharedSession,
}

impl Status for ZooKeeperStatus {
    fn report(&self) -> ServiceReport {
        let session = self.session.load_full();
        let state = match session.as_ref().map(|session| *session.state().borrow()) {
            None => "no session",
            Some(SessionState::Connected) => "connected",
            Some(SessionState::Suspended) => "no server answers",
            Some(SessionState::Expired) => "the session has ended",
        };
        let session = session.map(|session| SessionReport {
            session: session.id().0,
            timeout_ms: u64::try_from(session.timeout().as_millis()).unwrap_or(u64::MAX),
            silent_ms: None,
        });
        ServiceReport::ZooKeeper(ZooKeeperReport { servers: self.servers.clone(), state: state.into(), session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::api::Service;
    use crate::coordination::local::Local;
    use crate::coordination::tree::{Revision, SessionId};
    use crate::core::id::{NodeId, StoreId};
    use std::time::Duration;

    #[test]
    fn a_replica_is_what_raft_makes_of_it() {
        let id = |store| RaftId { generation: 0, store: StoreId(store) };
        let at = |node: u32| Endpoint { node, address: format!("host{node}:1") };
        let status = nookeeper::Status {
            own: id(1),
            endpoint: at(1),
            failed: None,
            leader: Some(id(2)),
            term: 4,
            leader_heard_ms: Some(10),
            voters: BTreeMap::from([(id(1), at(11)), (id(2), at(12))]),
            changing: false,
            learners: BTreeMap::from([(id(3), at(13))]),
            last_log_index: Some(9),
            applied_index: Some(8),
            snapshot_index: None,
            revision: Revision(7),
            sessions: vec![SessionStatus { id: SessionId(5), timeout_ms: 1_000, silent_ms: 250 }],
        };
        let role = |own, leader: Option<RaftId>, failed: Option<&str>| {
            let failed = failed.map(String::from);
            NookeeperReport::from(nookeeper::Status { own, leader, failed, ..status.clone() }).role
        };
        assert_eq!(role(id(1), Some(id(2)), None), KeeperRole::Follower);
        assert_eq!(role(id(2), Some(id(2)), None), KeeperRole::Leader);
        assert_eq!(role(id(1), None, None), KeeperRole::Candidate);
        assert_eq!(role(id(3), None, None), KeeperRole::Learner);
        assert_eq!(role(id(2), Some(id(2)), Some("the disk failed")), KeeperRole::Stopped);
        let report = NookeeperReport::from(status);
        assert_eq!((report.leader, report.revision, report.applied, report.last_log), (Some(NodeId(12)), 7, 8, 9));
        assert_eq!(report.learners[0].node, NodeId(13));
        assert_eq!(report.sessions[0].left_ms(), Some(750));
    }

    #[tokio::test]
    async fn a_zookeeper_is_known_by_the_session() {
        let (service, shared) = (Local::new(), SharedSession::default());
        let status = ZooKeeperStatus { servers: vec!["zk:2181".into()], session: shared.clone() };
        let told = || match status.report() {
            ServiceReport::ZooKeeper(report) => (report.state, report.session.map(|session| session.timeout_ms)),
            other => panic!("{other:?}"),
        };
        assert_eq!(told(), ("no session".into(), None));
        shared.store(Some(Arc::new(service.open(Duration::from_secs(1)).await.unwrap())));
        assert_eq!(told(), ("connected".into(), Some(1_000)));
        service.tick(2_000);
        assert_eq!(told(), ("the session has ended".into(), Some(1_000)));
    }
}
