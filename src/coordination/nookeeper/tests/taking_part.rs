//! Replicas come and go by the roster.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::support::{Cluster, id, path, timing, until};
use crate::coordination::api::Service;
use crate::coordination::nookeeper::{FoundError, Timing};
use crate::coordination::state::State;
use crate::coordination::tree::CreateMode;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_learner_gets_the_tree_by_snapshot() {
    let mut cluster = Cluster::three(Timing { snapshot_every: 20, ..timing() }).await;
    let session = cluster.node(1).open(LONG).await.unwrap();
    // More than one piece.
    let data = Bytes::from(vec![7; 20_000]);
    for number in 0..60 {
        session.create(&path(&format!("/n{number}")), data.clone(), CreateMode::Persistent).await.unwrap();
    }
    let leader = cluster.leader().await;
    until("a snapshot", || cluster.node(leader).status().snapshot_index >= Some(50)).await;
    cluster.start(4).await;
    assert!(!cluster.node(4).is_founded());
    cluster.wish(&[1, 2, 3, 4], &[1, 2, 3]);
    let all = |store| cluster.node(store).with_state(State::clone);
    until("the tree", || cluster.node(4).is_founded() && all(4) == all(leader)).await;
    let status = cluster.node(4).status();
    assert!(status.snapshot_index >= Some(50) && status.learners.contains_key(&id(4)), "{status:?}");
    assert_eq!(Vec::from_iter(status.voters.into_keys()), [id(1), id(2), id(3)]);
    // Its users are served like others.
    let there = cluster.node(4).open(LONG).await.unwrap();
    there.create(&path("/from-the-learner"), Bytes::new(), CreateMode::Ephemeral).await.unwrap();
    assert!(cluster.data(4, "/from-the-learner").is_some());
}

#[tokio::test]
async fn a_lost_voter_is_replaced() {
    let mut cluster = Cluster::three(timing()).await;
    let session = cluster.node(1).open(LONG).await.unwrap();
    session.create(&path("/a"), Bytes::new(), CreateMode::Persistent).await.unwrap();
    cluster.kill(3).await;
    cluster.start(4).await;
    cluster.wish(&[1, 2, 4], &[1, 2, 4]);
    let is_done = || {
        let status = cluster.node(4).status();
        let voters = Vec::from_iter(status.voters.into_keys());
        voters == [id(1), id(2), id(4)] && status.learners.is_empty()
    };
    until("the new voter", is_done).await;
    // It counts: one of the old ones is not enough.
    cluster.kill(2).await;
    session.create(&path("/b"), Bytes::new(), CreateMode::Persistent).await.unwrap();
    until("the new voter to follow", || cluster.data(4, "/b").is_some()).await;
}

#[tokio::test]
async fn a_service_is_founded_once() {
    let mut cluster = Cluster::three(timing()).await;
    let voters: BTreeMap<_, _> = [1, 2, 3].map(|store| (id(store), cluster.endpoint(store))).into();
    cluster.node(2).found(voters.clone()).await.unwrap();
    cluster.start(4).await;
    let others = BTreeMap::from([(id(1), cluster.endpoint(1)), (id(4), cluster.endpoint(4))]);
    let again = cluster.node(1).found(others).await.unwrap_err();
    assert!(matches!(&again, FoundError::Founded { voters: present } if *present == voters), "{again}");
    let without_itself = cluster.node(4).found(voters).await.unwrap_err();
    assert!(matches!(without_itself, FoundError::NotAFounder { own } if own == id(4)), "{without_itself}");
    assert!(!cluster.node(4).is_founded());
}
