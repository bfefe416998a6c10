//! Writes whose replies never come.

use std::time::Duration;

use bytes::Bytes;
use kv::coordination::api::{Error, Service, Session};
use kv::coordination::tree::{CreateMode, Path};

use crate::server::Server;

const TIMEOUT: Duration = Duration::from_secs(6);

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

async fn node(session: &dyn Session) -> Path {
    let node = path("/node");
    session.create(&node, Bytes::new(), CreateMode::Persistent).await.expect("a new node");
    node
}

/// A write that a stopped server was sent may yet happen, and the caller is told so; it happens at most once, and not after a
/// later write was answered.
#[tokio::test]
async fn a_write_to_a_stopped_server_has_an_unknown_outcome() {
    let Some(server) = Server::start().await else { return };
    let session = server.service("/stopped").open(TIMEOUT).await.expect("a session");
    let node = node(&*session).await;
    server.pause();
    let unknown = session.set(&node, "unknown".into(), None).await.expect_err("nobody answers");
    assert!(unknown.outcome_unknown() && unknown.to_string().contains(server.address()), "{unknown}");
    // It was not sent, for there is no connection.
    let lost = session.set(&node, "never".into(), None).await.expect_err("nobody answers");
    assert!(matches!(lost, Error::ConnectionLoss { .. }), "{lost}");
    server.resume();

    let last = loop {
        match session.set(&node, "last".into(), None).await {
            Ok(stat) => break stat,
            Err(error) => assert!(error.retryable(), "{error}"),
        }
    };
    assert!((1..=2).contains(&last.version), "{last:?}");
    let read = session.get(&node).await.expect("the node");
    assert_eq!((&read.value.data[..], read.value.stat), (&b"last"[..], last));
}

/// Of a write that was under way when the server was killed nobody knows; what was not sent has not happened.
#[tokio::test]
async fn a_write_to_a_killed_server_has_an_unknown_outcome() {
    let Some(mut server) = Server::start().await else { return };
    let session = server.service("/killed").open(TIMEOUT).await.expect("a session");
    let node = node(&*session).await;
    server.pause();
    let killing = async {
        // The write is on its way before this is polled.
        server.kill();
    };
    let (written, ()) = tokio::join!(biased; session.set(&node, "unknown".into(), None), killing);
    let unknown = written.expect_err("nobody answers");
    assert!(unknown.outcome_unknown(), "{unknown}");
    server.run().await;
    session.sync().await.expect("the session lives");
    let read = session.get(&node).await.expect("the node").value;
    assert!(read.data.is_empty() || &read.data[..] == b"unknown", "{read:?}");
}

/// A call does nothing until it is polled.
#[tokio::test]
async fn a_call_that_is_never_polled_does_nothing() {
    let Some(server) = Server::start().await else { return };
    let session = server.service("/unpolled").open(TIMEOUT).await.expect("a session");
    let node = path("/node");
    drop(session.create(&node, Bytes::new(), CreateMode::Persistent));
    drop(session.close());
    session.sync().await.expect("the session lives");
    assert_eq!(session.exists(&node).await.expect("an answer").value, None);
}
