//! A cluster is made by the nodes that are there; one that comes late finds its place kept.

use std::time::Instant;

use kv::core::id::NodeId;

use crate::inspection::{locate, service};
use crate::load::lost;
use crate::process::{Cluster, Setup};
use crate::wait::until;

const KEYS: usize = 50;

#[tokio::test]
async fn two_of_three_make_it_and_the_third_becomes_the_owner_it_was_meant_to_be() {
    let mut cluster = Cluster::prepare(Setup::default());
    let started = Instant::now();
    cluster.run(1);
    cluster.run(2);
    cluster.wait_until_ready().await;
    println!("two of three have made the cluster after {:?}", started.elapsed());
    let client = cluster.client().await;
    let mut acknowledged = std::collections::BTreeMap::new();
    for i in 0..KEYS {
        let (key, value) = (format!("key-{i}"), format!("value {i}"));
        client.put(&key, value.clone()).w(2).strict().await.unwrap();
        acknowledged.insert(key, value);
    }
    let owners = async || {
        let replicas = locate(&client, "key-0").await.replicas;
        replicas.into_iter().filter(|replica| replica.owner).map(|replica| replica.node).collect::<Vec<_>>()
    };
    let owners_before = owners().await;
    assert!(owners_before.contains(&NodeId(3)), "its place is kept: {owners_before:?}");
    client.put("key-0", "of three").w(3).strict().await.expect_err("the third owner is not there");

    let started = Instant::now();
    cluster.run(3);
    cluster.wait_until_ready().await;
    println!("the third is one of them after {:?}", started.elapsed());
    until("a write by all three owners", async || client.put("late", "1").w(3).strict().await.ok()).await;
    assert_eq!(owners().await, owners_before);
    until("three voters", async || {
        let report = service(&client, 1).await?;
        (report.voters.len() == 3 && report.learners.is_empty()).then_some(())
    })
    .await;
    assert_eq!(lost(&client, &acknowledged, 3).await, [""; 0], "lost");
}
