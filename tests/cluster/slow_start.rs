//! A cluster is made by the nodes that are there; one that comes late finds its place kept; who dies while it is being made, goes on
//! when it is started again.
//!
//! `KV_INTERRUPTED_STARTS` says how many clusters are disturbed in their making.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kv::core::id::NodeId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use crate::inspection::{locate, service};
use crate::load::lost;
use crate::numbers::number;
use crate::process::{Cluster, Setup};
use crate::wait::until;

const KEYS: usize = 50;
/// Clusters that are disturbed in the short form.
const FEW: u64 = 3;
/// It takes about so long to make one, in milliseconds.
const MAKING_MS: u64 = 1500;

#[tokio::test]
async fn two_of_three_make_it_and_the_third_becomes_the_owner_it_was_meant_to_be() {
    let mut cluster = Cluster::prepare(Setup::default());
    let started = Instant::now();
    cluster.run(1);
    cluster.run(2);
    cluster.wait_until_ready().await;
    println!("two of three have made the cluster after {:?}", started.elapsed());
    let client = cluster.client().await;
    let mut acknowledged = BTreeMap::new();
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

/// Nodes are killed at any moment of it: before they know of each other, between the decision and the first entry of the log, before
/// the tree is written.
#[tokio::test]
async fn whoever_dies_while_it_is_made_it_is_made_once() {
    let mut rng = StdRng::seed_from_u64(3);
    for round in 0..number("KV_INTERRUPTED_STARTS").unwrap_or(FEW) {
        let mut cluster = Cluster::prepare(Setup::default());
        let ids = cluster.ids();
        ids.iter().for_each(|id| cluster.run(*id));
        let mut story = vec![];
        for _ in 0..rng.random_range(1..4) {
            let pause_ms = rng.random_range(0..MAKING_MS);
            sleep(Duration::from_millis(pause_ms)).await;
            let dying: Vec<u32> =
                ids.iter().copied().filter(|id| rng.random_bool(if *id == 1 { 0.8 } else { 0.4 })).collect();
            cluster.kill(&dying);
            dying.iter().for_each(|id| cluster.run(*id));
            story.push((pause_ms, dying));
        }
        println!("round {round}: (after milliseconds, who was killed) {story:?}");
        cluster.wait_until_ready().await;
        let client = cluster.client().await;
        // Nodes of two clusters refuse each other.
        until("a write by all", async || client.put("k", "1").w(3).strict().await.ok()).await;
    }
}
