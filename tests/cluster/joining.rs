//! A node that knows nothing but the address of another one becomes a member.

use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::wire::report::{ClusterReport, KeeperRole, Liveness, MemberReport};
use serde_json::json;

use crate::command_line::Cli;
use crate::inspection::{cluster, locate, nookeeper, roles, status};
use crate::native::Native;
use crate::process::Cluster;
use crate::wait::until;

fn member(report: &ClusterReport, id: u32) -> Option<&MemberReport> {
    report.members.iter().find(|member| member.node == NodeId(id))
}

#[tokio::test]
async fn one_seed_is_enough_and_only_once() {
    const SEED: u32 = 2;
    let mut nodes = Cluster::start().await;
    let client = nodes.client().await;
    client.put("before", "1").w(3).strict().await.unwrap();
    let before = status(&client, 1).await.epoch;
    let id = nodes.add(SEED);
    nodes.restart(id).await;
    assert_eq!(id, 4);

    // Everybody knows it: a member that owns nothing, and learns.
    let client = nodes.client().await;
    for asked in nodes.ids() {
        until(&format!("node {asked} knows the new node"), async || {
            let report = cluster(&client, asked).await?;
            let new = member(&report, id)?;
            let is_there = new.up && new.partitions == 0 && matches!(new.liveness, Liveness::Live { .. });
            (is_there && roles(&report) == (vec![1, 2, 3], vec![id])).then_some(())
        })
        .await;
        let status = status(&client, asked).await;
        assert!(status.epoch > before && status.cluster == "test", "{status:?}");
    }
    assert_eq!(nookeeper(&cluster(&client, id).await.unwrap()).role, KeeperRole::Learner);
    let shown = Cli::of(&nodes).json(&["cluster", "status", "--node", "1"]);
    let shown = shown["members"].as_array().unwrap().iter().find(|member| member["node"] == json!(id)).unwrap();
    assert_eq!((&shown["address"], &shown["partitions"]), (&json!(nodes.address(id)), &json!(0)));

    it_forwards(&nodes, id).await;
    it_stands_in(&mut nodes, id).await;

    // Its seed is gone for good: it belongs to the cluster by now, and asks nobody.
    nodes.kill(&[SEED, id]);
    nodes.restart(id).await;
    it_forwards(&nodes, id).await;
    assert_eq!(nodes.log(id).matches(" belongs to node 4 of cluster 'test'").count(), 1, "it joined once");
}

/// A node that owns nothing passes requests on.
async fn it_forwards(nodes: &Cluster, id: u32) {
    let mut native = Native::connect(nodes.address(id)).await;
    for i in 0..10 {
        let key = format!("forwarded-{i}");
        let (values, context) = native.get(&key, 2).await.unwrap();
        assert!(values.len() <= 1);
        native.put(&key, "by the new node", context, 2).await.unwrap();
        assert_eq!(native.get(&key, 2).await.unwrap().0, [&b"by the new node"[..]]);
    }
}

/// It keeps what is written for an owner that is down, and hands it over.
async fn it_stands_in(nodes: &mut Cluster, id: u32) {
    const DOWN: NodeId = NodeId(3);
    let client = nodes.client().await;
    nodes.kill(&[DOWN.0]);
    nodes.wait_until_linked().await;
    let written = client.put("hinted", "1").w(3).await.unwrap();
    assert!(written.replicas.contains(&NodeId(id)), "{written:?}");
    let located = locate(&client, "hinted").await;
    let kept = located.replicas.iter().find(|replica| replica.node == NodeId(id)).unwrap();
    assert!(!kept.owner && kept.hints == [DOWN], "{located:#?}");
    let ring = client.ring().ring.clone();
    let mut owners = ring.owners(ring.partition_of(&Key::bare("hinted")));
    assert!(owners.all(|owner| owner.node != NodeId(id)));
    nodes.restart(DOWN.0).await;
    until("its copy goes home", async || status(&client, id).await.hints.is_empty().then_some(())).await;
}
