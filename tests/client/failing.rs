//! Nodes that are gone, stopping, slow or silent.

use std::time::{Duration, Instant};

use kv::client::{Client, ClientError, Failure};

use crate::fake_node::{FakeCluster, Reaction, within};
use crate::{client, favourite};

#[tokio::test]
async fn a_node_that_is_gone_is_passed_by() {
    let cluster = FakeCluster::start(3, 3).await;
    let client = client(&cluster).await;
    let first = favourite(&cluster, &client, "k").await;
    cluster.node(first).stop();
    // The write that was on its way when the node went may be unknown; none after it is.
    let _ = client.put("k", "v").await;
    for i in 0..20 {
        let timeout = Duration::from_millis(500);
        client.put("k", i.to_string()).timeout(timeout).await.unwrap();
    }
    assert_eq!(client.get("k").await.unwrap().value().unwrap(), "19");
}

#[tokio::test]
async fn everybody_gone_is_said_so() {
    let cluster = FakeCluster::start(2, 2).await;
    let client = client(&cluster).await;
    client.put("k", "v").await.unwrap();
    cluster.nodes.iter().for_each(|node| node.stop());
    let error = loop {
        match client.get("k").await {
            Err(error) => break error,
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    let ClientError::Connect { tried } = &error else { panic!("{error:?}") };
    let mut addresses: Vec<_> = tried.iter().map(|(address, _)| address.clone()).collect();
    addresses.sort();
    let mut expected = cluster.addresses();
    expected.sort();
    assert_eq!(addresses, expected);
    assert!(error.retryable());
}

#[tokio::test]
async fn a_stopping_node_is_left_for_another() {
    let cluster = FakeCluster::start(3, 3).await;
    let client = client(&cluster).await;
    let first = favourite(&cluster, &client, "k").await;
    cluster.node(first).react(|_| Reaction::Answer(Err(Failure::ShuttingDown)));
    client.put("k", "v").await.unwrap();
    assert_eq!(client.get("k").await.unwrap().value().unwrap(), "v");
}

#[tokio::test]
async fn a_node_that_said_goodbye_is_asked_no_more() {
    let cluster = FakeCluster::start(3, 3).await;
    let client = client(&cluster).await;
    let first = cluster.node(favourite(&cluster, &client, "k").await);
    first.say_goodbye("maintenance");
    let asks_first = async || {
        let before = first.requests().len();
        client.get("k").await.unwrap();
        first.requests().len() > before
    };
    within(Duration::from_secs(20), "the goodbye is heard", async { while asks_first().await {} }).await;
    for _ in 0..5 {
        assert!(!asks_first().await);
    }
}

#[tokio::test]
async fn a_read_that_hangs_on_a_slow_node_asks_another() {
    let cluster = FakeCluster::start(3, 3).await;
    let client = client(&cluster).await;
    client.put("k", "v").await.unwrap();
    let first = favourite(&cluster, &client, "k").await;
    cluster.node(first).react(|_| Reaction::Hang);
    let read = client.get("k").timeout(Duration::from_secs(10)).into_future();
    let read = within(Duration::from_secs(3), "the read", read).await.unwrap();
    assert_eq!(read.value().unwrap(), "v");
    // For a while the slow node is asked last.
    within(Duration::from_millis(500), "the next read", client.get("k").into_future()).await.unwrap();
}

#[tokio::test]
async fn a_silent_node_is_found_out_and_left() {
    let cluster = FakeCluster::start(3, 3).await;
    let client = client(&cluster).await;
    client.put("k", "v").await.unwrap();
    let first = favourite(&cluster, &client, "k").await;
    cluster.node(first).fall_silent();
    let put = client.put("k", "w").timeout(Duration::from_secs(30)).into_future();
    let error = within(Duration::from_secs(3), "the write's end", put).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error:?}");
    let start = Instant::now();
    for _ in 0..50 {
        client.get("k").await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());

    cluster.node(first).recover();
    let before = cluster.node(first).requests().len();
    let back = async {
        while cluster.node(first).requests().len() == before {
            client.get("k").await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(Duration::from_secs(20), "the node is asked again", back).await;
}

#[tokio::test]
async fn a_server_that_does_not_greet_delays_connecting_only_a_little() {
    let cluster = FakeCluster::start(3, 3).await;
    cluster.nodes[0].fall_silent();
    let connecting = Client::connect(cluster.addresses());
    within(Duration::from_millis(900), "the ring", connecting).await.unwrap();
}

#[tokio::test]
async fn a_node_that_does_not_greet_delays_a_request_only_a_little() {
    let cluster = FakeCluster::start(3, 3).await;
    let first = favourite(&cluster, &client(&cluster).await, "k").await;
    cluster.node(first).fall_silent();
    let servers = cluster.nodes.iter().filter(|node| node.id != first).map(|node| &node.address);
    let client = Client::connect(servers).await.unwrap();
    within(Duration::from_millis(900), "the write", client.put("k", "v").into_future()).await.unwrap();
    within(Duration::from_millis(200), "the next one", client.put("k", "v").into_future()).await.unwrap();
}
