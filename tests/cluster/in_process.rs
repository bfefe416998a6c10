//! `kv::testing::Cluster`: what tests of applications build on.

use kv::client::{ClientError, Failure};
use kv::core::id::NodeId;
use kv::testing::{Cluster, ClusterError};

#[tokio::test]
async fn a_node_stops_and_comes_back_with_its_data() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let client = cluster.client().await.unwrap();
    client.put("before", "1").w(3).await.unwrap();

    cluster.stop(NodeId(2)).await.unwrap();
    let refused = client.put("meanwhile", "2").w(3).strict().await.unwrap_err();
    let ClientError::Failure(Failure::QuorumNotMet { missing, .. }) = &refused else { panic!("{refused}") };
    assert_eq!(missing[..], [NodeId(2)]);
    client.put("meanwhile", "2").w(2).await.unwrap();

    cluster.restart(NodeId(2)).await.unwrap();
    for (key, value) in [("before", "1"), ("meanwhile", "2")] {
        let read = client.get(key).r(3).await.unwrap();
        assert_eq!((read.value().unwrap().as_ref(), read.replicas.len()), (value.as_bytes(), 3));
    }
}

#[tokio::test]
async fn a_node_that_does_not_start_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let builder = Cluster::builder().nodes(1).configure(move |config| config.node.listen.clone_from(&listen));
    let Err(error @ ClusterError::Node { .. }) = builder.start().await else { panic!("it started") };
    assert!(error.to_string().contains("the port is in use"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused() {
    let mut cluster = Cluster::start(1).await.unwrap();
    assert!(matches!(cluster.restart(NodeId(1)).await, Err(ClusterError::WrongState(_))));
    assert!(matches!(cluster.stop(NodeId(9)).await, Err(ClusterError::WrongState(_))));
    cluster.stop(NodeId(1)).await.unwrap();
    assert!(matches!(cluster.stop(NodeId(1)).await, Err(ClusterError::WrongState(_))));
}
