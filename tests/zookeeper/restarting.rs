//! A server that is killed and started again.

use std::time::Duration;

use bytes::Bytes;
use kv::coordination::api::{Error, Service, SessionState, Watch};
use kv::coordination::conformance::PATIENCE;
use kv::coordination::tree::{CreateMode, Path};
use kv::coordination::watch::Watched;

use crate::server::Server;
use crate::wait::until;

const TIMEOUT: Duration = Duration::from_secs(60);

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

async fn told(watch: &mut dyn Watch) {
    tokio::time::timeout(PATIENCE, watch.changed()).await.expect("word in time").expect("the session lives");
}

/// Sessions, what they own, and their watches outlive the server that they are connected to.
#[tokio::test]
async fn sessions_and_watches_outlive_a_restart() {
    let Some(mut server) = Server::start().await else { return };
    let service = server.service("/restart");
    let session = service.open(TIMEOUT).await.expect("a session");
    let node = path("/node");
    session.create(&node, "old".into(), CreateMode::Persistent).await.expect("a new node");
    session.create(&path("/mine"), Bytes::new(), CreateMode::Ephemeral).await.expect("a new node");
    let mut watches = Vec::new();
    for watched in [Watched::Node, Watched::Subtree] {
        watches.push(session.watch(&node, watched).await.expect("a watch"));
    }
    let mut of_children = session.watch(&Path::root(), Watched::Children).await.expect("a watch");
    let before = session.get(&node).await.expect("a node").revision;

    let mut state = session.state();
    server.kill();
    let suspended = state.wait_for(|state| *state == SessionState::Suspended);
    tokio::time::timeout(PATIENCE, suspended).await.expect("word in time").expect("a living keeper");
    server.run().await;
    let connected = state.wait_for(|state| *state == SessionState::Connected);
    tokio::time::timeout(PATIENCE, connected).await.expect("word in time").expect("a living keeper");

    for watch in watches.iter_mut().chain([&mut of_children]) {
        told(&mut **watch).await;
    }
    let read = session.get(&node).await.expect("a node");
    assert_eq!((&read.value.data[..], read.revision >= before), (&b"old"[..], true));
    let mine = session.exists(&path("/mine")).await.expect("an answer").value.expect("the session lived on");
    assert_eq!(mine.owner, Some(session.id()));

    // The watches are there on the new connection, too.
    let other = service.open(TIMEOUT).await.expect("a session");
    other.set(&node, "new".into(), None).await.expect("a node");
    other.create(&path("/other"), Bytes::new(), CreateMode::Persistent).await.expect("a new node");
    for watch in watches.iter_mut().chain([&mut of_children]) {
        told(&mut **watch).await;
    }
    session.sync().await.expect("the session lives");
    assert_eq!(&session.get(&node).await.expect("a node").value.data[..], b"new");
}

/// A read that a restart interrupts is made again; nobody has to do it by hand.
#[tokio::test]
async fn reads_wait_for_the_next_connection() {
    let Some(mut server) = Server::start().await else { return };
    let session = server.service("/reads").open(TIMEOUT).await.expect("a session");
    session.create(&path("/node"), "data".into(), CreateMode::Persistent).await.expect("a new node");
    server.kill();
    let node = path("/node");
    let (read, ()) = tokio::join!(session.get(&node), server.run());
    assert_eq!(&read.expect("an answer").value.data[..], b"data");
}

/// A session that nobody renewed for long is renewed again, though its holder waits for an answer less long than a late renewal takes.
#[tokio::test]
async fn late_renewals_succeed_though_they_are_given_up() {
    let Some(server) = Server::start().await else { return };
    let timeout = Duration::from_secs(4);
    let session = server.service("/late").open(timeout).await.expect("a session");
    tokio::time::sleep(timeout * 3 / 4).await;
    let renewed = async || tokio::time::timeout(timeout / 4, session.renew()).await.ok()?.ok();
    until("the session is renewed", renewed).await;
}

/// A session can be closed after the server has come back, and while it is away it says that it could not be reached.
#[tokio::test]
async fn closing_tells_whether_it_was_possible() {
    let Some(mut server) = Server::start().await else { return };
    let session = server.service("/close").open(Duration::from_secs(10)).await.expect("a session");
    session.create(&path("/mine"), Bytes::new(), CreateMode::Ephemeral).await.expect("a new node");
    server.kill();
    let failed = session.close().await.expect_err("nobody is there to close it");
    assert!(
        matches!(failed, Error::ConnectionLoss { .. }) && failed.to_string().contains(server.address()),
        "{failed}"
    );
    server.run().await;
    session.sync().await.expect("the session is kept after all");
    session.close().await.expect("the server is back");
    assert_eq!(*session.state().borrow(), SessionState::Expired);
    server.until_ended(session.id()).await;
}
