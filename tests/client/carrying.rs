//! What travels: options, batches, and how many frames they take.

use std::time::Duration;

use kv::client::{BlindWrite, ClientError, Failure, Get, Put, QuorumSize};
use kv::core::key::Key;
use kv::core::request::Operation;

use crate::client;
use crate::fake_node::{FakeCluster, Reaction, eventually};

#[tokio::test]
async fn options_and_values_travel_whole() {
    let cluster = FakeCluster::start(1, 1).await;
    let client = client(&cluster).await;
    let written = client.put("k", "one").w(1).pw(QuorumSize::All).await.unwrap();
    let put = client.put("k", vec![0u8, 255]).bucket("default").context(&written.context);
    let put = put.strict().sloppy(false).n(1).ttl(Duration::from_secs(60)).timeout(Duration::from_secs(2));
    put.blind(BlindWrite::Sibling).await.unwrap();
    let read = client.get("k").r(1).pr(QuorumSize::Quorum).await.unwrap();
    assert_eq!(read.value().unwrap()[..], [0, 255]);
    assert!(!read.is_conflict() && read.context.is_some());
    client.delete("k").w(1).context(&read.context.unwrap()).await.unwrap();
    let gone = client.get("k").await.unwrap();
    assert_eq!((gone.value(), gone.siblings().len()), (None, 0));

    let requests = cluster.nodes[0].requests();
    assert_eq!(requests[0].options.w, Some(QuorumSize::Count(1)));
    assert_eq!(requests[0].options.pw, Some(QuorumSize::All));
    let options = &requests[1].options;
    assert!(options.strict && options.sloppy == Some(false) && options.n == Some(1));
    assert!((1..=2000).contains(&options.timeout_ms.unwrap()), "{options:?}");
    let Operation::Put { key, ttl_ms, blind, context, .. } = &requests[1].operation else { panic!() };
    assert_eq!((key, ttl_ms, blind), (&Key::bare("k"), &Some(60_000), &Some(BlindWrite::Sibling)));
    assert_eq!(context.as_ref(), Some(written.context.as_bytes()));
}

#[tokio::test]
async fn what_is_asked_at_once_travels_in_few_frames_on_one_connection() {
    let cluster = FakeCluster::start(1, 1).await;
    let client = client(&cluster).await;
    let pairs: Vec<_> = (0..200).map(|i| (format!("k{i}"), format!("v{i}"))).collect();
    assert!(client.multi_put(pairs.clone()).await.iter().all(Result::is_ok));
    let reads = client.multi_get(pairs.iter().map(|(key, _)| key)).await;
    for (read, (_, value)) in reads.iter().zip(&pairs) {
        assert_eq!(read.as_ref().unwrap().value().unwrap(), value.as_bytes());
    }
    let node = &cluster.nodes[0];
    assert_eq!((node.requests().len(), node.connections()), (400, 1));
    assert!(node.frames() < 40, "400 requests took {} frames", node.frames());
}

#[tokio::test]
async fn items_of_a_batch_have_their_own_options_and_results() {
    let cluster = FakeCluster::start(1, 1).await;
    cluster.nodes[0].react(|request| match request.options.w {
        Some(QuorumSize::Count(9)) => Reaction::Answer(Err(Failure::Invalid("w=9 is more than n=1".into()))),
        _ => Reaction::Usual,
    });
    let client = client(&cluster).await;
    let results = client.multi_put([Put::new("a", "1"), Put::new("b", "2").w(9), Put::new("c", "3").bucket("x")]).await;
    assert!(results[0].is_ok() && results[2].is_ok());
    assert_eq!(results[1], Err(Failure::Invalid("w=9 is more than n=1".into()).into()));
    let reads = client.multi_get([Get::new("c").bucket("x").r(1), Get::new("c")]).await;
    assert_eq!(reads.iter().map(|r| r.as_ref().unwrap().values.len()).collect::<Vec<_>>(), [1, 0]);
}

#[tokio::test]
async fn no_more_is_in_flight_than_the_node_takes() {
    let cluster = FakeCluster::start(1, 1).await;
    let node = &cluster.nodes[0];
    node.set_in_flight_max(4);
    node.react(|_| Reaction::Hang);
    let client = client(&cluster).await;
    let asking = tokio::spawn(async move {
        client.multi_get((0..10).map(|i| Get::new(format!("k{i}")).timeout(Duration::from_millis(300)))).await
    });
    let results = asking.await.unwrap();
    assert!(results.iter().all(|r| matches!(r, Err(ClientError::Timeout { .. }))), "{results:?}");
    assert_eq!(node.requests().len(), 4);
}

#[tokio::test]
async fn a_request_that_is_dropped_before_it_was_written_is_not_sent() {
    let cluster = FakeCluster::start(1, 1).await;
    let node = &cluster.nodes[0];
    node.set_in_flight_max(1);
    node.react(|_| Reaction::Later(Duration::from_millis(300)));
    let client = client(&cluster).await;
    let blocking = tokio::spawn({
        let client = client.clone();
        async move { client.get("k").await }
    });
    eventually("the connection is full", || node.requests().len() == 1).await;
    let dropped = tokio::time::timeout(Duration::from_millis(50), client.put("k", "v").into_future()).await;
    assert!(dropped.is_err());
    blocking.await.unwrap().unwrap();
    client.get("k").await.unwrap();
    assert!(node.requests().iter().all(|request| !request.operation.is_write()));
}
