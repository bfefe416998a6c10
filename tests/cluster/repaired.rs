//! What no request and no hint brings back, anti-entropy does.

use std::time::Duration;

use kv::client::{Client, QuorumSize};
use kv::core::id::NodeId;
use kv::testing::Cluster;
use kv::wire::report::{AntiEntropyReport, Inspect, Inspection, RepairReport};

use crate::inspection::{hints, versions};
use crate::wait::until;

const KEYS: usize = 1000;

async fn report(client: &Client, id: u32) -> Option<AntiEntropyReport> {
    match client.inspect(NodeId(id), Inspect::AntiEntropy).await.ok()? {
        Inspection::AntiEntropy(report) => Some(*report),
        other => panic!("{other:?}"),
    }
}

/// Has a node compare everything that it owns with everybody; what came of it.
async fn repair(client: &Client, id: u32) -> RepairReport {
    let before = report(client, id).await.and_then(|report| report.run).map_or(0, |run| run.number);
    until("a repair begins", async || {
        client.inspect(NodeId(id), Inspect::Repair { bucket: None, all: true }).await.ok()
    })
    .await;
    until("a repair ends", async || report(client, id).await?.run.filter(|run| run.number > before && run.is_over))
        .await
}

/// Neither hands over hints nor repairs when it reads.
async fn without_other_means(nodes: u32) -> Cluster {
    let builder = Cluster::builder().nodes(nodes).configure(|config| {
        config.node.timing.handoff_interval_ms = 86_400_000;
        config.node.timing.read_repair_bytes_per_s_max = 1;
        config.node.anti_entropy.interval_ms = 2_000;
    });
    builder.start().await.unwrap()
}

#[tokio::test]
async fn what_a_node_missed_comes_without_hints_and_reads() {
    let mut cluster = without_other_means(3).await;
    let client = cluster.client().await.unwrap();
    for i in 0..KEYS {
        client.put(format!("key{i}"), "before").w(QuorumSize::All).await.unwrap();
    }
    cluster.stop(NodeId(3)).await.unwrap();
    for i in 0..KEYS {
        let key = format!("key{i}");
        match i % 10 {
            0 => drop(client.delete(&key).w(2).sloppy(false).await.unwrap()),
            _ => drop(client.put(&key, "after").w(2).sloppy(false).await.unwrap()),
        }
    }
    cluster.restart(NodeId(3)).await.unwrap();
    assert_eq!(hints(&client, &[1, 2]).await, 0, "nothing was kept for it");
    let mut moved = 0;
    until("nothing moves any more", async || {
        let before = std::mem::take(&mut moved);
        for id in 1..=3 {
            let report = report(&client, id).await?;
            moved += report.received + report.sent;
        }
        // Longer than a round.
        tokio::time::sleep(Duration::from_secs(3)).await;
        (moved >= KEYS as u64 && moved == before).then_some(())
    })
    .await;
    // Another round over everything finds all roots equal.
    for id in 1..=3 {
        let run = repair(&client, id).await;
        assert_eq!((run.received, run.sent, run.unreadable, run.keys), (0, 0, 0, 0), "node {id}: {run:?}");
        assert_eq!((run.pairs, run.done), (512, 512));
    }
    for i in (0..KEYS).step_by(97) {
        assert_eq!(versions(&client, &format!("key{i}")).await.len(), 1, "key{i}");
    }
    let read = client.get("key1").r(3).await.unwrap();
    assert_eq!(read.value().unwrap().as_ref(), b"after");
}

#[tokio::test]
async fn trees_outlive_a_clean_stop() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let client = cluster.client().await.unwrap();
    client.put("foo", "bar").w(3).await.unwrap();
    repair(&client, 2).await;
    assert_eq!(report(&client, 2).await.unwrap().trees, 256);
    cluster.stop(NodeId(2)).await.unwrap();
    client.put("foo", "baz").w(2).sloppy(false).await.unwrap();
    cluster.restart(NodeId(2)).await.unwrap();
    let shown = until("node 2 shows its trees", async || report(&client, 2).await).await;
    assert_eq!((shown.trees, shown.trees_building), (256, 0));
    until("node 2 has what it missed", async || {
        let same = versions(&client, "foo").await.len() == 1;
        same.then_some(())
    })
    .await;
    repair(&client, 2).await;
    let run = repair(&client, 2).await;
    assert_eq!((run.received, run.sent), (0, 0), "the trees were right");
}
