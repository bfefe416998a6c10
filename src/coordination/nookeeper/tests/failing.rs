//! Replicas die and come back.

use std::time::Duration;

use bytes::Bytes;

use super::support::{Cluster, path, timing, until};
use crate::coordination::api::{Error, Service, Session, SessionState};
use crate::coordination::conformance::PATIENCE;
use crate::coordination::nookeeper::Timing;
use crate::coordination::tree::CreateMode;

const LONG: Duration = Duration::from_secs(60);

async fn make(session: &dyn Session, at: &str, mode: CreateMode) {
    session.create(&path(at), Bytes::from_static(b"made"), mode).await.unwrap();
}

async fn state_is(session: &dyn Session, wanted: SessionState) {
    let mut state = session.state();
    let waiting = state.wait_for(|state| *state == wanted);
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never {wanted:?}")).unwrap();
}

#[tokio::test]
async fn sessions_survive_their_leader() {
    let mut cluster = Cluster::three(timing()).await;
    let (leader, [one, other]) = (cluster.leader().await, cluster.followers().await);
    let session = cluster.node(one).open(LONG).await.unwrap();
    make(&*session, "/ephemeral", CreateMode::Ephemeral).await;
    cluster.kill(leader).await;
    // It is asked again until somebody leads.
    session.renew().await.unwrap();
    make(&*session, "/later", CreateMode::Persistent).await;
    assert!(cluster.data(one, "/ephemeral").is_some() && cluster.data(one, "/later").is_some());
    until("the other one to follow", || cluster.data(other, "/later").is_some()).await;
    assert!(cluster.data(other, "/ephemeral").is_some());
    assert!(cluster.node(other).status().sessions.iter().any(|known| known.id == session.id()));
}

#[tokio::test]
async fn without_a_majority_calls_fail_and_sessions_are_suspended() {
    let mut cluster = Cluster::three(Timing { call_timeout_ms: 1500, ..timing() }).await;
    let (leader, [one, other]) = (cluster.leader().await, cluster.followers().await);
    let session = cluster.node(one).open(LONG).await.unwrap();
    make(&*session, "/a", CreateMode::Persistent).await;
    cluster.kill(leader).await;
    cluster.kill(other).await;
    state_is(&*session, SessionState::Suspended).await;
    assert!(matches!(session.renew().await, Err(Error::ConnectionLoss { .. })));
    assert!(matches!(session.sync().await, Err(Error::ConnectionLoss { .. })));
    let error = session.set(&path("/a"), Bytes::new(), None).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLoss { .. } | Error::OutcomeUnknown { .. }), "{error}");
    assert!(cluster.data(one, "/a").is_some(), "what was read before can be read");
    cluster.start(leader).await;
    cluster.start(other).await;
    cluster.wish(&[1, 2, 3], &[1, 2, 3]);
    state_is(&*session, SessionState::Connected).await;
    session.renew().await.unwrap();
    make(&*session, "/b", CreateMode::Persistent).await;
}

#[tokio::test]
async fn all_come_back_with_the_tree() {
    let mut cluster = Cluster::three(Timing { snapshot_every: 20, ..timing() }).await;
    let session = cluster.node(1).open(LONG).await.unwrap();
    for number in 0..50 {
        make(&*session, &format!("/n{number}"), CreateMode::Persistent).await;
    }
    make(&*session, "/ephemeral", CreateMode::Ephemeral).await;
    let (id, revision) = (session.id(), cluster.node(1).status().revision);
    drop(session);
    for store in [1, 2, 3] {
        cluster.kill(store).await;
    }
    for store in [3, 1, 2] {
        cluster.start(store).await;
        assert!(cluster.node(store).is_founded());
    }
    cluster.wish(&[1, 2, 3], &[1, 2, 3]);
    let session = cluster.node(2).open(LONG).await.unwrap();
    session.sync().await.unwrap();
    for node in (0..50).map(|number| format!("/n{number}")).chain(["/ephemeral".into()]) {
        assert!(cluster.data(2, &node).is_some(), "{node}");
    }
    assert!(cluster.node(2).with_state(|state| state.is_open(id)));
    assert_eq!(cluster.node(2).status().revision, revision);
}

#[tokio::test]
async fn a_write_whose_reply_is_lost_is_applied_once() {
    let mut cluster = Cluster::three_to_mute(timing()).await;
    let (leader, [one, other]) = (cluster.leader().await, cluster.followers().await);
    let session = cluster.node(one).open(LONG).await.unwrap();
    make(&*session, "/a", CreateMode::Persistent).await;
    cluster.mute(leader);
    let path = path("/a");
    let write = session.set(&path, Bytes::from_static(b"once"), None);
    let killed = async {
        let is_applied = || [one, other].iter().all(|store| cluster.data(*store, "/a").is_some_and(|(_, v)| v == 1));
        until("the write to be applied", is_applied).await;
        cluster.kill(leader).await;
    };
    let (written, ()) = tokio::join!(write, killed);
    assert_eq!(written.unwrap().version, 1);
    session.sync().await.unwrap();
    assert_eq!(cluster.data(one, "/a"), Some((Bytes::from_static(b"once"), 1)));
}
