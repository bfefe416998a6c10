//! Three servers, of which clients do not meet the leader.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kv::coordination::api::{Service, SessionState};
use kv::coordination::conformance::PATIENCE;
use kv::coordination::tree::{CreateMode, Path};
use kv::coordination::watch::Watched;

use crate::server::Server;
use crate::servers::service;
use crate::wait::until;

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

/// What another server's client was answered is read after a sync, and a renewed session lives for its timeout from the call.
#[tokio::test]
async fn followers_serve_as_the_leader_would() {
    let Some(servers) = Server::start_ensemble().await else { return };
    let [leader, one, other] = &servers[..] else { panic!("three servers") };
    assert!(leader.is_leader());
    let timeout = Duration::from_secs(2);
    let writer = one.service("/followers").open(timeout).await.expect("a session");
    let reader = other.service("/followers").open(timeout).await.expect("a session");
    let node = path("/node");
    writer.create(&node, Bytes::new(), CreateMode::Persistent).await.expect("a new node");
    for _ in 0..50 {
        let written = writer.set(&node, Bytes::new(), None).await.expect("nobody else writes");
        reader.sync().await.expect("the session lives");
        assert_eq!(reader.get(&node).await.expect("the node").value.stat, written);
    }

    // The follower's next ping may come up to half a tick later; dropping the session stops the client's own signs of life.
    for _ in 0..5 {
        let session = one.service("/followers").open(timeout).await.expect("a session");
        let called = Instant::now();
        session.renew().await.expect("the session lives");
        let id = session.id();
        drop(session);
        let lived = leader.until_ended(id).await - called;
        assert!(lived >= timeout, "the session ended {lived:?} after it was renewed");
    }
}

/// When the leader dies, sessions move to the others with all that they own and watch.
#[tokio::test]
async fn sessions_outlive_the_leader() {
    let Some(mut servers) = Server::start_ensemble().await else { return };
    let addresses: Vec<&str> = servers.iter().map(Server::address).collect();
    let timeout = Duration::from_secs(20);
    let session = service(&addresses.join(","), "/leader").open(timeout).await.expect("a session");
    session.create(&path("/mine"), Bytes::new(), CreateMode::Ephemeral).await.expect("a new node");
    let mut watch = session.watch(&path("/mine"), Watched::Node).await.expect("a watch");

    servers.remove(0).kill();
    until("a new leader", async || servers.iter().any(Server::is_leader).then_some(())).await;
    let mut state = session.state();
    let connected = state.wait_for(|state| *state == SessionState::Connected);
    tokio::time::timeout(PATIENCE, connected).await.expect("a server in time").expect("a living keeper");
    until("the session is renewed", async || session.renew().await.ok()).await;
    let mine = session.exists(&path("/mine")).await.expect("an answer").value.expect("the session moved");
    assert_eq!(mine.owner, Some(session.id()));

    // All servers drop their clients when they lose the leader.
    tokio::time::timeout(PATIENCE, watch.changed()).await.expect("word of the reconnect").expect("the session lives");
    let other = servers[0].service("/leader").open(timeout).await.expect("a session");
    other.set(&path("/mine"), "new".into(), None).await.expect("the node");
    tokio::time::timeout(PATIENCE, watch.changed()).await.expect("word of the change").expect("the session lives");
    session.sync().await.expect("the session lives");
    assert_eq!(&session.get(&path("/mine")).await.expect("the node").value.data[..], b"new");
}
