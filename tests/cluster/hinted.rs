//! What is written while a node is down waits for it, and no more of that than there is room for.

use std::time::Instant;

use kv::client::Client;
use kv::core::id::NodeId;
use kv::wire::report::{HintsReport, Inspect, Inspection};

use crate::inspection::{counter, hints};
use crate::moving::{are_where_they_belong, fill, setting};
use crate::process::{Cluster, Setup};
use crate::wait::until;

const DOWN: u32 = 3;
const OTHERS: [u32; 3] = [1, 2, 4];
/// Keys that are written while it is down. `KV_HINTED_KEYS=100000` for the long run. One in ten is deleted again.
const KEYS: usize = 2_000;
const DELETED_EVERY: usize = 10;

async fn kept(client: &Client, id: u32) -> HintsReport {
    match client.inspect(NodeId(id), Inspect::Hints).await.unwrap() {
        Inspection::Hints(report) => *report,
        other => panic!("{other:?}"),
    }
}

/// Summed over the nodes that are up.
async fn counted(client: &Client, name: &str) -> u64 {
    let mut sum = 0;
    for id in OTHERS {
        sum += counter(client, id, name).await;
    }
    sum
}

async fn delete(client: &Client, keys: &[String]) {
    for key in keys.iter().step_by(DELETED_EVERY) {
        let context = client.get(key).r(2).await.unwrap().context;
        client.delete(key).context(&context.expect("it was written")).w(2).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_was_down_gets_everything() {
    let mut nodes = Cluster::start_with(Setup { nodes: 4, sync: "never", ..Setup::default() }).await;
    nodes.kill(&[DOWN]);
    nodes.wait_until_linked().await;
    let client = nodes.client().await;
    let keys = fill(&client, "hinted", setting("KV_HINTED_KEYS", KEYS)).await;
    delete(&client, &keys).await;

    let (mut waiting, mut bytes) = (0, 0);
    for id in OTHERS {
        let report = kept(&client, id).await;
        assert!(report.targets.iter().all(|target| target.node == NodeId(DOWN)), "{report:?}");
        for target in &report.targets {
            assert!(target.keys > 0 && target.bytes > target.keys, "{target:?}");
            assert_eq!(target.waiting.as_deref(), Some("node 3 is down"));
        }
        waiting += report.targets.iter().map(|target| target.keys).sum::<u64>();
        bytes += report.bytes;
    }
    // Each key has three of four nodes.
    assert!(waiting as usize > keys.len() / 2 && waiting as usize <= keys.len(), "{waiting} hints");

    let returned = Instant::now();
    nodes.restart(DOWN).await;
    until("all hints are delivered", async || (hints(&client, &OTHERS).await == 0).then_some(())).await;
    println!("{waiting} hints, {bytes} bytes, delivered in {:?}", returned.elapsed());
    assert_eq!(counted(&client, "hints_delivered").await, waiting);
    are_where_they_belong(&client, &keys).await;
    for key in keys.iter().step_by(DELETED_EVERY) {
        assert!(client.get(key).r(3).await.unwrap().value().is_none(), "{key} is back");
    }
}

#[tokio::test]
async fn a_full_budget_refuses_what_is_new_and_keeps_what_is_there() {
    let own = "[hints]\ntarget_bytes_max = 4000\n".to_string();
    let mut nodes = Cluster::start_with(Setup { nodes: 4, sync: "never", own, ..Setup::default() }).await;
    nodes.kill(&[DOWN]);
    nodes.wait_until_linked().await;
    let client = nodes.client().await;
    // Two owners are up: that is enough for w = 2, whatever is kept for the third.
    fill(&client, "refused", 500).await;
    let refused = counted(&client, "hints_refused").await;
    assert!(refused > 0);
    for id in OTHERS {
        let report = kept(&client, id).await;
        assert!(report.bytes < 5_000 && report.target_bytes_max == 4_000, "{report:?}");
    }
    let waiting = hints(&client, &OTHERS).await;
    let mut refusal = None;
    for number in 0..100 {
        refusal = refusal.or(client.put(format!("new-{number}"), "for three").w(3).await.err());
    }
    println!("{waiting} hints kept, {refused} refused; w = 3: {}", refusal.expect("some have node 3 as an owner"));

    nodes.restart(DOWN).await;
    until("what was kept is delivered, and what was not is told", async || {
        let mut is_done = hints(&client, &OTHERS).await == 0;
        for id in OTHERS {
            is_done &= kept(&client, id).await.targets.is_empty();
        }
        is_done.then_some(())
    })
    .await;
    // Nothing that was acknowledged as kept was thrown away for something newer.
    assert!(counted(&client, "hints_delivered").await >= waiting);
}
