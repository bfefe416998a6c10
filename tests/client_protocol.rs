//! The client library against nodes that behave, and nodes that do not.

mod fake_node;

use std::time::{Duration, Instant};

use fake_node::{CLUSTER, FakeCluster, Reaction, eventually, spread, within};
use kv::client::{BlindWrite, Client, ClientError, Failure, Get, Put, QuorumSize};
use kv::core::bucket::Bucket;
use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::core::request::{Kind, Operation};
use kv::wire::report::{Inspect, Inspection};

async fn client(cluster: &FakeCluster) -> Client {
    Client::builder().servers(cluster.addresses()).seed(1).connect().await.unwrap()
}

/// The node that a client asks first for a key: found by asking.
async fn favourite(cluster: &FakeCluster, client: &Client, key: &str) -> NodeId {
    let before = spread(cluster);
    client.get(key).await.unwrap();
    let after = spread(cluster);
    *after.iter().find(|(id, count)| before[id] < **count).unwrap().0
}

fn quorum_not_met(kind: Kind, applied: bool) -> Failure {
    let missing = vec![NodeId(3)];
    Failure::QuorumNotMet { kind, needed: 3, got: 2, primaries_needed: 0, primaries_got: 2, missing, applied }
}

#[tokio::test]
async fn learns_the_ring_from_one_node_and_asks_the_owner() {
    let cluster = FakeCluster::start(3, 1).await;
    let client = Client::connect([&cluster.nodes[1].address]).await.unwrap();
    let report = client.ring();
    assert_eq!((report.cluster.as_str(), report.ring.members().len()), (CLUSTER, 3));
    for i in 0..60 {
        client.put(format!("k{i}"), i.to_string()).await.unwrap();
    }
    for node in &cluster.nodes {
        let requests = node.requests();
        assert!(requests.len() > 10, "node {} got {}", node.id, requests.len());
        for request in requests {
            let owner = report.ring.owners(report.ring.partition_of(request.operation.key())).next().unwrap();
            assert_eq!(owner.node, node.id);
        }
    }
}

#[tokio::test]
async fn writers_of_a_key_meet_at_one_owner_and_keys_are_spread() {
    let cluster = FakeCluster::start(3, 3).await;
    let (one, other) = (client(&cluster).await, client(&cluster).await);
    for i in 0..30 {
        let key = format!("k{i}");
        assert_eq!(favourite(&cluster, &one, &key).await, favourite(&cluster, &other, &key).await);
    }
    assert!(spread(&cluster).values().all(|&count| count >= 10), "{:?}", spread(&cluster));
}

#[tokio::test]
async fn only_the_first_n_owners_are_asked() {
    let lean = ("lean".to_string(), Bucket { n: Some(1), ..Bucket::default() });
    let cluster = FakeCluster::start_with(3, 3, vec![lean]).await;
    let client = client(&cluster).await;
    for i in 0..40 {
        let key = format!("k{i}");
        client.get(&key).bucket("lean").await.unwrap();
        client.get(&key).n(1).await.unwrap();
    }
    let report = client.ring();
    for node in &cluster.nodes {
        for request in node.requests() {
            let first = report.ring.owners(report.ring.partition_of(request.operation.key())).next().unwrap();
            assert_eq!(first.node, node.id);
        }
    }
}

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
async fn moved_teaches_the_new_ring_and_the_new_owner_answers() {
    let cluster = FakeCluster::start(2, 1).await;
    let client = client(&cluster).await;
    let epoch = cluster.change_ring(1, &[2]);
    cluster.nodes[0].react(move |_| Reaction::Answer(Err(Failure::Moved { epoch })));
    for i in 0..10 {
        client.put(format!("k{i}"), "v").await.unwrap();
    }
    assert_eq!(cluster.nodes[0].requests().len(), 1);
    assert_eq!(client.ring().ring.epoch, epoch);
}

#[tokio::test]
async fn a_newer_epoch_in_an_answer_is_learnt() {
    let cluster = FakeCluster::start(3, 3).await;
    let client = client(&cluster).await;
    let epoch = cluster.change_ring(2, &[1, 2]);
    client.get("k").await.unwrap();
    eventually("the ring is learnt", || client.ring().ring.epoch == epoch).await;
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
async fn a_write_that_hangs_is_unknown_when_its_time_is_over() {
    let cluster = FakeCluster::start(3, 3).await;
    cluster.nodes.iter().for_each(|node| node.react(|_| Reaction::Hang));
    let client = client(&cluster).await;
    let error = client.put("k", "v").timeout(Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { .. }), "{error:?}");
    assert_eq!(cluster.requests(), 1);
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
async fn a_node_of_another_cluster_is_refused() {
    let cluster = FakeCluster::start(1, 1).await;
    let result = Client::builder().servers(cluster.addresses()).cluster("other").connect().await;
    let Err(ClientError::Connect { tried }) = result else { panic!() };
    assert!(tried[0].1.contains("belongs to cluster 'fake'"), "{tried:?}");
    let Err(error) = Client::connect(["nowhere"]).await else { panic!() };
    assert!(matches!(error, ClientError::Servers(_)));
}

#[tokio::test]
async fn nodes_show_their_reports() {
    let cluster = FakeCluster::start(2, 2).await;
    let client = client(&cluster).await;
    let Inspection::Status(status) = client.inspect(NodeId(2), Inspect::Status).await.unwrap() else { panic!() };
    assert_eq!(status.node, NodeId(2));
    assert_eq!(client.inspect(NodeId(9), Inspect::Status).await, Err(ClientError::UnknownNode(NodeId(9))));
    cluster.nodes[0].stop();
    let located = client.inspect_any(Inspect::Locate(Key::bare("k"))).await.unwrap();
    assert!(matches!(located, Inspection::Located(_)));
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
