//! What is sent again, and what never is.

use std::time::{Duration, Instant};

use kv::client::{ClientError, Failure};
use kv::core::request::Kind;

use crate::fake_node::{FakeCluster, Reaction, within};
use crate::{client, favourite, quorum_not_met};

#[tokio::test]
async fn a_write_is_sent_once_if_the_connection_breaks() {
    let cluster = FakeCluster::start(3, 3).await;
    cluster.nodes.iter().for_each(|node| node.react(|_| Reaction::Close));
    let error = client(&cluster).await.put("k", "v").await.unwrap_err();
    assert!(matches!(&error, ClientError::OutcomeUnknown { .. }), "{error:?}");
    assert!(error.outcome_unknown() && !error.retryable());
    assert_eq!(cluster.requests(), 1);
}

#[tokio::test]
async fn a_read_goes_elsewhere_if_the_connection_breaks() {
    let cluster = FakeCluster::start(3, 3).await;
    let client = client(&cluster).await;
    client.put("k", "v").await.unwrap();
    let first = favourite(&cluster, &client, "k").await;
    cluster.node(first).react(|_| Reaction::Close);
    assert_eq!(client.get("k").await.unwrap().value().unwrap(), "v");
    assert_eq!(cluster.requests(), 4);
}

#[tokio::test]
async fn overloaded_is_waited_for() {
    let cluster = FakeCluster::start(1, 1).await;
    let mut refusals = 2;
    cluster.nodes[0].react(move |_| {
        if refusals == 0 {
            return Reaction::Usual;
        }
        refusals -= 1;
        Reaction::Answer(Err(Failure::Overloaded { limit: "limits.requests_max".into(), retry_after_ms: 60 }))
    });
    let client = client(&cluster).await;
    let start = Instant::now();
    client.put("k", "v").await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(120));
    assert_eq!(cluster.requests(), 3);
}

#[tokio::test]
async fn overloaded_for_longer_than_the_timeout_is_told_at_once() {
    let cluster = FakeCluster::start(1, 1).await;
    let overloaded = Failure::Overloaded { limit: "limits.requests_max".into(), retry_after_ms: 60_000 };
    let answer = overloaded.clone();
    cluster.nodes[0].react(move |_| Reaction::Answer(Err(answer.clone())));
    let client = client(&cluster).await;
    let error = within(Duration::from_secs(1), "the error", client.put("k", "v").into_future()).await.unwrap_err();
    assert_eq!(error, overloaded.into());
}

#[tokio::test]
async fn a_quorum_not_met_is_asked_of_others_and_told_at_once() {
    let cluster = FakeCluster::start(3, 3).await;
    let client = client(&cluster).await;
    let first = favourite(&cluster, &client, "k").await;
    cluster.node(first).react(|_| Reaction::Answer(Err(quorum_not_met(Kind::Write, false))));
    client.put("k", "v").w(3).await.unwrap();
    for node in &cluster.nodes {
        node.react(|_| Reaction::Answer(Err(quorum_not_met(Kind::Write, false))));
    }
    let put = client.put("k", "v").w(3).into_future();
    let error = within(Duration::from_millis(900), "the error", put).await.unwrap_err();
    assert_eq!(error, quorum_not_met(Kind::Write, false).into());
}

#[tokio::test]
async fn a_write_that_was_half_done_is_not_tried_again() {
    let cluster = FakeCluster::start(3, 3).await;
    for node in &cluster.nodes {
        node.react(|_| Reaction::Answer(Err(quorum_not_met(Kind::Write, true))));
    }
    let error = client(&cluster).await.put("k", "v").w(3).await.unwrap_err();
    assert!(error.outcome_unknown());
    assert_eq!(cluster.requests(), 1);
}

#[tokio::test]
async fn a_write_that_hangs_is_unknown_when_its_time_is_over() {
    let cluster = FakeCluster::start(3, 3).await;
    cluster.nodes.iter().for_each(|node| node.react(|_| Reaction::Hang));
    let client = client(&cluster).await;
    let error = client.put("k", "v").timeout(Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { .. }), "{error:?}");
    assert_eq!(cluster.requests(), 1);
}
