//! Reports on a cluster of four nodes, three owners of each partition.

use std::collections::BTreeMap;

use super::*;
use crate::config::NodeEntry;
use crate::coordination::Membership;
use crate::coordination::api::{Service, Session};
use crate::coordination::local::Local;
use crate::coordination::registry::change::{self, Settings};
use crate::coordination::registry::{self, Founding, Joiner};
use crate::coordination::status::SharedStatus;
use crate::core::bucket::Buckets;
use crate::core::id::{ClusterId, Epoch, Start};
use crate::core::ring::Ring;
use crate::core::ring::change::{Action, Hold};
use crate::node::clerk::Clerk;
use crate::wire::change::DownReport;
use crate::wire::report::{ParticipantReport, SessionReport, SessionState};

const NODES: u32 = 4;
const ASKED: NodeId = NodeId(1);

fn address(node: u32) -> String {
    format!("host{node}:8000")
}

fn store(node: u32) -> StoreId {
    StoreId(node.into())
}

fn view(epoch: u64) -> RingView {
    let members = (1..=NODES).map(|node| Member {
        store: store(node),
        node: NodeId(node),
        address: address(node),
        zone: String::new(),
        weight: 1,
    });
    let epoch = Epoch { generation: 0, counter: epoch };
    RingView::new(Ring::new(epoch, 64, 3, members.collect()).unwrap(), Buckets::default())
}

/// What the asked node's links say if it reaches all but those.
fn peers(down: &[u32]) -> Vec<PeerReport> {
    let peer = |node: u32| PeerReport {
        node: NodeId(node),
        address: address(node),
        up: !down.contains(&node),
        last_heard_ms: None,
        latency_us: None,
        in_flight: 0,
        trouble: down.contains(&node).then(|| "refused".into()),
    };
    (2..=NODES).map(peer).collect()
}

fn nookeeper(voters: &[u32], leader: Option<u32>, sessions: Vec<SessionReport>) -> ServiceReport {
    let participant =
        |node: &u32| ParticipantReport { store: store(*node), node: NodeId(*node), address: address(*node) };
    ServiceReport::Nookeeper(NookeeperReport {
        leader: leader.map(NodeId),
        voters: voters.iter().map(participant).collect(),
        sessions,
        ..NookeeperReport::default()
    })
}

fn connected(connected: bool) -> Option<SessionState> {
    Some(SessionState { session: 1, timeout_ms: 10_000, connected })
}

/// What follows from a lease of [`LEASE`] without a session.
const LEASE_ENDS: Finding = Finding::LeaseEnds { in_ms: 9_000 };
const LEASE: Duration = Duration::from_secs(9);

fn report(down: &[u32], knowledge: Knowledge) -> ClusterReport {
    report_with_lease(down, knowledge, LEASE)
}

fn report_with_lease(down: &[u32], knowledge: Knowledge, lease: Duration) -> ClusterReport {
    let view = view(1);
    Facts { cluster: "test", asked: ASKED, view: &view, peers: peers(down), lease, wall_ms: 60_000, knowledge }.report()
}

/// A service with a founded cluster, and sessions of these nodes.
struct Founded {
    clerk: std::sync::Arc<Clerk>,
    sessions: BTreeMap<u32, Box<dyn Session>>,
}

impl Founded {
    async fn with(live: &[u32]) -> Founded {
        let service = Local::new();
        let founding = Founding {
            id: ClusterId(1),
            name: "test".into(),
            partitions: 64,
            replication: 3,
            nodes: (1..=NODES).map(|n| (NodeEntry::new(NodeId(n), address(n)), Some(store(n)))).collect(),
            voters: vec![NodeId(1)],
            auto_remove_after_ms: None,
            buckets: BTreeMap::new(),
        };
        let clerk = Clerk::new(ASKED, Default::default(), SharedStatus::default(), || 0);
        let own = service.open(Duration::from_secs(10)).await.unwrap();
        registry::found(&*own, &founding, 0, &mut StoreId::default).await.unwrap();
        clerk.shared_session().store(Some(std::sync::Arc::new(own)));
        let mut sessions = BTreeMap::new();
        for node in live {
            let session = service.open(Duration::from_secs(10)).await.unwrap();
            registry::register(&*session, &joiner(*node, 1, 5), 0).await.unwrap();
            sessions.insert(*node, session);
        }
        Founded { clerk, sessions }
    }

    async fn knowledge(&self) -> Knowledge {
        self.clerk.knowledge().await
    }
}

fn joiner(node: u32, number: u64, nonce: u64) -> Joiner {
    Joiner {
        cluster: Some(ClusterId(1)),
        node: Some(NodeId(node)),
        start: Start { store: store(node), number, nonce },
        address: address(node),
        zone: None,
        weight: None,
    }
}

#[test]
fn without_a_service_the_ring_is_shown() {
    let report = report(&[], Knowledge::default());
    assert_eq!(report.findings, [LEASE_ENDS]);
    assert_eq!(report.under_replicated, UnderReplicated::default());
    assert_eq!(report.members.iter().map(|member| member.partitions).sum::<u32>(), 3 * 64);
    assert!(report.members.iter().all(|member| member.up && member.liveness == Liveness::Unknown));
}

#[test]
fn what_lacks_an_owner_is_counted_and_named() {
    let down = report(&[3], Knowledge::default());
    let owned = down.members[2].partitions;
    assert_eq!(down.findings, [LEASE_ENDS, Finding::NodeDown { node: NodeId(3), partitions: owned }]);
    let gap = Gap { node: NodeId(3), store: store(3), partitions: owned };
    assert_eq!(down.under_replicated, UnderReplicated { partitions: owned, without_owner: 0, gaps: vec![gap] });

    // Every partition has three of the four as owners, so with three down some have none left.
    let lost = report(&[2, 3, 4], Knowledge::default());
    let own = lost.members[0].partitions;
    assert_eq!((lost.under_replicated.partitions, lost.under_replicated.without_owner), (64, 64 - own));
    assert_eq!(lost.findings[0], Finding::NoOwner { partitions: 64 - own });
}

#[test]
fn a_lease_that_ends_is_told_before_it_does() {
    let knowledge = |is| Knowledge { session: connected(is), ..Knowledge::default() };
    let lease = |left, is| report_with_lease(&[], knowledge(is), Duration::from_millis(left)).findings;
    assert_eq!(lease(900, true), []);
    assert_eq!(lease(900, false), [Finding::LeaseEnds { in_ms: 900 }]);
    assert_eq!(lease(0, true), [Finding::LeaseOver]);
}

#[test]
fn voters_are_counted_by_who_is_reached() {
    let findings = |down: &[u32], leader| {
        let service = Some(nookeeper(&[1, 2, 3], leader, vec![]));
        let all = report(down, Knowledge { service, session: connected(true), registry: None }).findings;
        all.into_iter().filter(|finding| !matches!(finding, Finding::NodeDown { .. })).collect::<Vec<_>>()
    };
    assert_eq!(findings(&[], Some(1)), []);
    assert_eq!(findings(&[4], Some(1)), []);
    assert_eq!(findings(&[2], Some(1)), [Finding::NoVoterToSpare { reached: 2, needed: 2 }]);
    assert!(findings(&[2, 3], None).contains(&Finding::NoLeader { reached: 1, needed: 2 }));
}

#[test]
fn a_service_without_a_session_is_a_finding() {
    let service = || Some(nookeeper(&[1], Some(1), vec![]));
    for session in [None, connected(false)] {
        assert_eq!(
            report(&[], Knowledge { service: service(), session, registry: None }).findings,
            [LEASE_ENDS, Finding::NoSession]
        );
    }
}

#[tokio::test]
async fn links_and_sessions_are_told_apart() {
    let founded = Founded::with(&[1, 2, 4]).await;
    let mut knowledge = founded.knowledge().await;
    let silent = SessionReport { session: founded.sessions[&4].id().0, timeout_ms: 10_000, silent_ms: Some(6_000) };
    knowledge.service = Some(nookeeper(&[1], Some(1), vec![silent]));
    let report = report(&[4], knowledge);
    let nodes: Vec<_> = report.findings.iter().filter(|finding| !matches!(finding, Finding::NoSession)).collect();
    let partitions = report.members[3].partitions;
    let unreached =
        Finding::NodeUnreached { node: NodeId(4), partitions, reason: "refused".into(), session_ends_ms: Some(4_000) };
    assert_eq!(nodes, [&Finding::NodeWithoutSession { node: NodeId(3) }, &unreached]);
    assert!(matches!(report.members[1].liveness, Liveness::Live { silent_ms: None, .. }));
}

#[tokio::test]
async fn a_member_with_an_older_ring_is_behind() {
    let founded = Founded::with(&[1, 2, 3, 4]).await;
    let old = Epoch { generation: 0, counter: 1 };
    registry::acknowledge(&*founded.sessions[&2], NodeId(2), old).await.unwrap();
    let view = view(2);
    let knowledge = founded.knowledge().await;
    let peers = peers(&[]);
    let facts = Facts { cluster: "test", asked: ASKED, view: &view, peers, lease: LEASE, wall_ms: 60_000, knowledge };
    assert_eq!(facts.report().findings, [Finding::NodeBehind { node: NodeId(2), epoch: old }]);
}

#[tokio::test]
async fn copies_of_stores_are_named() {
    let founded = Founded::with(&[1, 2, 3, 4]).await;
    let session = &founded.sessions[&2];
    registry::register(&**session, &joiner(2, 7, 6), 0).await.unwrap();
    registry::register(&**session, &joiner(2, 3, 8), 0).await.unwrap_err();
    registry::register(&**session, &Joiner { address: "copy:1".into(), ..joiner(3, 1, 9) }, 0).await.unwrap_err();
    let found = report(&[], founded.knowledge().await).findings;
    let rolled_back = StoreFate::RolledBack { address: address(2), shown: 3, registered: 7 };
    let cloned = StoreFate::Cloned { address: "copy:1".into() };
    let expected = [
        Finding::Store { store: store(2), node: NodeId(2), fate: rolled_back },
        Finding::Store { store: store(3), node: NodeId(3), fate: cloned },
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_replaced_store_is_named_with_its_gap() {
    let founded = Founded::with(&[1, 2, 4]).await;
    let fresh = Joiner { cluster: None, start: Start { store: store(9), number: 1, nonce: 1 }, ..joiner(2, 0, 0) };
    founded.sessions[&2].close().await.unwrap();
    registry::register(&*founded.sessions[&1], &fresh, 0).await.unwrap();
    let found = report(&[], founded.knowledge().await).findings;
    let replaced =
        Finding::Store { store: store(2), node: NodeId(2), fate: StoreFate::Replaced { by: Some(store(9)) } };
    assert!(found.contains(&replaced), "{found:?}");
}

#[tokio::test]
async fn a_guest_is_told_until_somebody_asks_for_it() {
    let founded = Founded::with(&[1, 2, 3, 4]).await;
    let guest = Joiner { cluster: None, start: Start { store: store(5), number: 1, nonce: 1 }, ..joiner(5, 0, 0) };
    let session = &*founded.sessions[&1];
    registry::register(session, &guest, 0).await.unwrap();
    let report = async || {
        let knowledge = founded.knowledge().await;
        let Some(Ok(registry)) = &knowledge.registry else { panic!("there is a registry") };
        let Membership { epoch, replication, members, slices, buckets, .. } = registry.view.membership();
        let view = RingView::new(Ring::of(epoch, replication, members, &slices).unwrap(), buckets);
        let mut peers = peers(&[]);
        peers.push(PeerReport { node: NodeId(5), ..peers[0].clone() });
        let facts =
            Facts { cluster: "test", asked: ASKED, view: &view, peers, lease: LEASE, wall_ms: 60_000, knowledge };
        facts.report()
    };
    let found = report().await;
    assert!(found.findings.contains(&Finding::OwnsNothing { node: NodeId(5) }), "{:?}", found.findings);
    assert_eq!(found.members[4].standing, Standing::Guest);

    change::stage(session, Action::Join { node: NodeId(5) }).await.unwrap();
    let found = report().await;
    assert!(found.findings.contains(&Finding::Staged { actions: 1 }), "{:?}", found.findings);
    assert!(!found.findings.iter().any(|finding| matches!(finding, Finding::OwnsNothing { .. })));
    assert!(found.change.is_none() && found.staged.len() == 1);

    let version = registry::read(session).await.unwrap().staged.version;
    change::commit(session, version, false, ASKED, 5).await.unwrap();
    let found = report().await;
    assert_eq!((found.change.unwrap().number, found.staged.len()), (1, 0));
}

#[tokio::test]
async fn a_member_without_a_session_has_a_fate() {
    let founded = Founded::with(&[1, 2, 3]).await;
    let session = &*founded.sessions[&1];
    let settings = Settings { node: ASKED, window: 1 };
    change::advance_once(session, &settings, 50_000).await.unwrap();
    change::set_auto_remove_after(session, Some(30_000)).await.unwrap();
    let found = report(&[4], founded.knowledge().await);
    let hold = Some(Hold::NotYet { left_ms: 20_000 });
    let down = DownReport { node: NodeId(4), store: store(4), since_ms: 50_000, hold, is_automatic: true };
    assert_eq!(found.down, [down]);
}
