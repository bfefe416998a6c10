//! Which node is asked: the ring, its owners, and what happens when it changes.

use kv::client::{Client, ClientError, Failure};
use kv::core::bucket::Bucket;
use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::wire::report::{Inspect, Inspection};

use crate::fake_node::{CLUSTER, FakeCluster, Reaction, eventually, spread};
use crate::{client, favourite};

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
async fn a_node_that_has_come_since_is_found() {
    let cluster = FakeCluster::start(3, 1).await;
    cluster.change_ring(1, &[1, 2]);
    let client = client(&cluster).await;
    cluster.change_ring(1, &[1, 2, 3]);
    let Inspection::Status(status) = client.inspect(NodeId(3), Inspect::Status).await.unwrap() else { panic!() };
    assert_eq!(status.node, NodeId(3));
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
