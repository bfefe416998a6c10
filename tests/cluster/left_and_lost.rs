//! A node that is gone is taken out by the cluster itself, but not while another one is down; and when it comes back after all, what
//! only it has is not lost.

use kv::client::Client;
use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::core::ring::change::Origin;

use crate::command_line::Cli;
use crate::inspection::cluster;
use crate::load::Load;
use crate::moving::{are_where_they_belong, change_that, commit, ended, fill, is_known, join, loads, nothing_is_lost};
use crate::native::Native;
use crate::process::{Cluster, Setup};
use crate::wait::until;

const KEYS: usize = 1_000;
const GONE: u32 = 5;
const DOWN: u32 = 4;
/// What a node holds and does not own is found sooner than in a minute.
const SWEEP: &str = "[transfer]\nsweep_interval_ms = 1000\n";

async fn five() -> (Cluster, Client, Vec<String>) {
    let coordination = "auto_remove_after = \"3s\"\nsession_timeout_ms = 2000\n".into();
    let mut nodes = Cluster::start_with(Setup { sync: "never", coordination, ..Setup::default() }).await;
    let client = nodes.client().await;
    let keys = fill(&client, "before", KEYS).await;
    for id in [DOWN, GONE] {
        assert_eq!(nodes.add_with(1, SWEEP), id);
        nodes.restart(id).await;
        is_known(&nodes, id).await;
    }
    let (number, _) = commit(&client, &[join(DOWN), join(GONE)]).await;
    ended(&client, number).await;
    let client = nodes.client().await;
    (nodes, client, keys)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_node_is_replaced_by_the_others_and_delivers_when_it_returns() {
    let (mut nodes, client, keys) = five().await;
    // A write that only the node has that will be lost: what is on its way to the others goes with them.
    let ring = &client.ring().ring;
    let is_of_it =
        |key: &String| ring.owners(ring.partition_of(&Key::bare(key.clone()))).any(|o| o.node == NodeId(GONE));
    let only = (0..).map(|number| format!("only-{number}")).find(is_of_it).expect("it owns something");
    let others: Vec<u32> = (1..GONE).collect();
    others.iter().for_each(|id| nodes.pause(*id));
    let mut native = Native::connect(nodes.address(GONE)).await;
    native.put(&only, "by the lost one alone", None, 1).await.unwrap();
    let all: Vec<u32> = (1..=GONE).collect();
    nodes.kill(&all);
    // While a second node is down it is not removed, and the reason is told.
    for id in 1..DOWN {
        nodes.restart(id).await;
    }
    let cli = Cli::of(&nodes);
    until("status says why nobody is removed", async || {
        let (code, shown, _) = cli.run(&["cluster", "status", "--node", "1"]);
        (code == 0 && shown.contains("is not removed")).then_some(())
    })
    .await;
    nodes.restart(DOWN).await;

    let load = Load::start(&client, 2);
    change_that(&client, "waited for the removal", |report| {
        report.number > 1 && report.ended_ms.is_some() && report.origin == Origin::Automatic
    })
    .await;
    let done = load.stop().await;
    let owners = loads(&client, 1).await;
    assert_eq!(
        owners.iter().map(|(id, count)| (*id, *count)).collect::<Vec<_>>(),
        [(1, 48), (2, 48), (3, 48), (4, 48)]
    );
    let report = cluster(&client, 1).await.unwrap();
    assert_eq!(report.under_replicated.partitions, 0, "{:?}", report.under_replicated);
    nothing_is_lost(&client, &keys, &done).await;

    // It returns with a write that nobody else has.
    nodes.restart(GONE).await;
    until("what only it had is delivered", async || {
        let read = client.get(&only).r(2).strict().await.ok()?;
        (read.siblings().collect::<Vec<_>>() == [&b"by the lost one alone"[..]]).then_some(())
    })
    .await;
    are_where_they_belong(&client, &keys).await;
}
