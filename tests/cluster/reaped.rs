//! What is deleted, or has expired, is forgotten when every node agrees, and no node that was away brings it back.

use std::time::Duration;

use kv::client::Client;
use kv::wire::report::{Inspect, Inspection};
use serde_json::Value;

use crate::command_line::Cli;
use crate::process::{Cluster, Setup};
use crate::wait::until;

const KEYS: usize = 200;

/// A short grace, of which requests may still take a tenth on a busy machine.
const OWN: &str = "[reap]\ngrace = \"15s\"\ninterval_ms = 200\ncontext_entries_min = 1\n";
const LONGER_THAN_GRACE: Duration = Duration::from_secs(20);

fn key(i: usize) -> String {
    format!("key-{i}")
}

async fn cluster(nodes: u32) -> Cluster {
    Cluster::start_with(Setup { nodes, own: OWN.into(), sync: "never", ..Setup::default() }).await
}

/// Tombstones and expired values of all nodes together, and what keeps them.
fn deleted(cli: &Cli) -> (u64, String) {
    let (code, shown, _) = cli.run(&["tombstones", "--json"]);
    assert_eq!(code, 0);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let nodes = shown["nodes"].as_array().unwrap();
    let count = |node: &Value| node["tombstones"].as_u64().unwrap() + node["expired"].as_u64().unwrap();
    (nodes.iter().map(count).sum(), nodes.iter().map(|node| node["reaping"].to_string()).collect())
}

async fn reaped(cli: &Cli) {
    until("nothing deleted is left", async || (deleted(cli).0 == 0).then_some(())).await;
}

async fn reaped_by(client: &Client, node: u32) -> u64 {
    match client.inspect(kv::core::id::NodeId(node), Inspect::Tombstones(None)).await.unwrap() {
        Inspection::Tombstones(report) => report.reaped,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn deleted_and_expired_keys_are_forgotten_by_all_owners() {
    let cluster = cluster(3).await;
    let (client, cli) = (cluster.client().await, Cli::of(&cluster));
    for i in 0..KEYS {
        let written = client.put(key(i), "v").w(3).await.unwrap();
        match i % 3 {
            0 => drop(client.delete(key(i)).context(&written.context).w(3).await.unwrap()),
            1 => drop(
                client.put(key(i), "w").context(&written.context).ttl(Duration::from_millis(10)).w(3).await.unwrap(),
            ),
            _ => {}
        }
    }
    let shown = cli.prints(&["tombstones", "--bucket", "default", "--node", "1"]);
    assert!(shown.starts_with("NODE  TOMBSTONES  EXPIRED  EXPIRING"), "{shown}");
    assert!(deleted(&cli).0 > 0);
    reaped(&cli).await;
    for node in 1..=3 {
        assert_eq!(reaped_by(&client, node).await, 2 * KEYS as u64 / 3 + 1, "node {node}");
    }
    for i in 0..KEYS {
        let read = client.get(key(i)).r(3).await.unwrap();
        assert_eq!(read.values.len(), usize::from(i % 3 == 2));
        assert!(i % 3 == 2 || read.context.is_none(), "nothing is known of key {i} any more");
        client.put(key(i), "again").w(3).await.unwrap();
        assert_eq!(client.get(key(i)).r(3).await.unwrap().values.len(), 1);
    }
}

#[tokio::test]
async fn a_fallback_that_was_away_with_the_old_value_keeps_the_tombstone() {
    let mut cluster = cluster(4).await;
    let client = cluster.client().await;
    let ring = client.ring().ring.clone();
    // Node 1 is down, so that somebody keeps its copies; all who do go down before it comes back.
    cluster.kill(&[1]);
    cluster.wait_until_linked().await;
    let mut kept = vec![];
    for i in 0..KEYS {
        let partition = ring.partition_of(&kv::core::key::Key::bare(key(i)));
        let owners: Vec<u32> = ring.owners(partition).map(|owner| owner.node.0).collect();
        // Node 4 stands in.
        if owners.contains(&1) && !owners.contains(&4) {
            client.put(key(i), "old").w(3).await.unwrap();
            kept.push(key(i));
        }
    }
    assert!(!kept.is_empty());
    cluster.kill(&[4]);
    cluster.restart(1).await;
    cluster.wait_until_linked().await;
    for key in &kept {
        let read = client.get(key).r(2).await.unwrap();
        client.delete(key).context(&read.context.unwrap()).w(3).sloppy(false).await.unwrap();
    }
    let cli = Cli::of(&cluster);
    until("it is said who cannot be asked", async || deleted(&cli).1.contains("node 4 cannot be asked").then_some(()))
        .await;
    tokio::time::sleep(LONGER_THAN_GRACE).await;
    assert_eq!(deleted(&cli).0, 3 * kept.len() as u64, "nothing is forgotten while node 4 has the old values");
    cluster.restart(4).await;
    cluster.wait_until_linked().await;
    reaped(&cli).await;
    for key in &kept {
        assert!(client.get(key).r(3).await.unwrap().values.is_empty(), "{key} is back");
    }
}
