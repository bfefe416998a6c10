//! How sessions end, and how long they live.

use std::time::Duration;

use bytes::Bytes;
use kv::coordination::api::{Error, Service, Session, SessionState};
use kv::coordination::conformance::PATIENCE;
use kv::coordination::tree::{CreateMode, Path};
use kv::coordination::watch::Watched;

use crate::relay::Relay;
use crate::server::Server;
use crate::servers::service;

const TIMEOUT: Duration = Duration::from_secs(2);

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

async fn until_state(session: &dyn Session, wanted: SessionState) {
    let mut state = session.state();
    let reached = state.wait_for(|state| *state == wanted);
    tokio::time::timeout(PATIENCE, reached).await.expect("the state in time").expect("a living keeper");
}

/// A holder that is cut off is not told more than is known: its session may live. When it is back it learns the truth.
#[tokio::test]
async fn a_session_that_expired_behind_a_cut_is_seen_as_expired() {
    let Some(server) = Server::start().await else { return };
    let relay = Relay::to(server.address()).await;
    let session = service(relay.address(), "/expiry").open(TIMEOUT).await.expect("a session");
    session.create(&path("/mine"), Bytes::new(), CreateMode::Ephemeral).await.expect("a new node");
    let mut watch = session.watch(&path("/mine"), Watched::Node).await.expect("a watch");

    relay.cut();
    until_state(&*session, SessionState::Suspended).await;
    server.until_ended(session.id()).await;
    // The library takes the session for expired after 7/5 of its timeout; nobody has told it.
    tokio::time::sleep(TIMEOUT * 2).await;
    assert_eq!(*session.state().borrow(), SessionState::Suspended);
    let lost = session.get(&path("/mine")).await.expect_err("no server is reached");
    assert!(lost.retryable() && lost.to_string().contains(relay.address()), "{lost}");

    relay.mend();
    until_state(&*session, SessionState::Expired).await;
    assert_eq!(session.renew().await, Err(Error::SessionExpired));
    let ended = async { while watch.changed().await.is_ok() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the watch ends with its session");
    let other = server.service("/expiry").open(TIMEOUT).await.expect("a session");
    assert_eq!(other.exists(&path("/mine")).await.expect("an answer").value, None);
}

/// The library gives a session up by its own clock, but a server that was down has expired nothing.
#[tokio::test]
async fn a_session_that_the_service_kept_is_taken_up_again() {
    let Some(mut server) = Server::start().await else { return };
    let session = server.service("/kept").open(TIMEOUT).await.expect("a session");
    session.create(&path("/mine"), Bytes::new(), CreateMode::Ephemeral).await.expect("a new node");
    let mut watch = session.watch(&path("/mine"), Watched::Node).await.expect("a watch");

    server.kill();
    tokio::time::sleep(TIMEOUT * 2).await;
    assert_eq!(*session.state().borrow(), SessionState::Suspended);
    server.run().await;

    until_state(&*session, SessionState::Connected).await;
    session.renew().await.expect("the session lives");
    let stat = session.exists(&path("/mine")).await.expect("an answer").value.expect("the node lives with it");
    assert_eq!(stat.owner, Some(session.id()));
    tokio::time::timeout(PATIENCE, watch.changed()).await.expect("word of the reconnect").expect("the session lives");
    session.set(&path("/mine"), "new".into(), None).await.expect("the session lives");
    tokio::time::timeout(PATIENCE, watch.changed()).await.expect("word of the change").expect("the session lives");
}

/// The servers bound the timeout.
#[tokio::test]
async fn timeouts_are_those_that_the_servers_grant() {
    let Some(server) = Server::start().await else { return };
    let service = server.service("/timeouts");
    let granted = async |asked| service.open(asked).await.expect("a session").timeout();
    assert_eq!(granted(Duration::ZERO).await, Duration::from_secs(1), "the shortest");
    assert_eq!(granted(TIMEOUT).await, TIMEOUT);
    assert_eq!(granted(Duration::MAX).await, Duration::from_secs(600), "maxSessionTimeout");
}

/// A renewal that comes late proves itself by a second write; all are answered while the session lives.
#[tokio::test]
async fn renewals_are_answered_in_time_and_late() {
    let Some(server) = Server::start().await else { return };
    let session = server.service("/renewals").open(TIMEOUT).await.expect("a session");
    for pause in [Duration::ZERO, TIMEOUT / 3, TIMEOUT * 2, TIMEOUT / 3] {
        tokio::time::sleep(pause).await;
        tokio::time::timeout(TIMEOUT, session.renew()).await.expect("an answer in time").expect("the session lives");
    }
}

/// Dropping a session's handle is no close: the service waits for its timeout.
#[tokio::test]
async fn a_dropped_session_is_left_to_its_timeout() {
    let Some(server) = Server::start().await else { return };
    let service = server.service("/dropped");
    let session = service.open(TIMEOUT).await.expect("a session");
    session.create(&path("/mine"), Bytes::new(), CreateMode::Ephemeral).await.expect("a new node");
    let id = session.id();
    drop(session);
    let other = service.open(TIMEOUT).await.expect("a session");
    other.sync().await.expect("the session lives");
    assert!(other.exists(&path("/mine")).await.expect("an answer").value.is_some());
    server.until_ended(id).await;
    other.sync().await.expect("the session lives");
    assert_eq!(other.exists(&path("/mine")).await.expect("an answer").value, None);
}
