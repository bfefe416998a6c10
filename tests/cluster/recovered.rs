//! A majority of the voters is lost for good, and an operator goes on with what one survivor has.

use std::collections::BTreeMap;

use kv::client::Client;
use kv::core::id::NodeId;
use kv::wire::report::ClusterReport;

use crate::command_line::Cli;
use crate::inspection::{cluster, nookeeper, roles, versions};
use crate::load::{Load, lost};
use crate::moving::ended;
use crate::process::Cluster;
use crate::strict::StrictLoad;
use crate::wait::until;

/// The one whose copy is kept.
const KEPT: u32 = 3;

/// A cluster of three that has served for a moment, and what it acknowledged at W=2. Then all nodes are killed.
async fn killed() -> (Cluster, BTreeMap<String, String>) {
    let mut nodes = Cluster::start().await;
    let client = nodes.client().await;
    let load = Load::start(&client, 8);
    for i in 0..20 {
        client.put(format!("everywhere-{i}"), "1").w(3).strict().await.unwrap();
    }
    let cli = Cli::of(&nodes);
    assert_eq!(cli.run(&["coord", "create", "/mine", "kept"]).0, 0);
    assert_eq!(cli.run(&["bucket", "set", "carts", "conflict=lww"]).0, 0);
    let acknowledged = load.stop().await.acknowledged;
    assert!(!acknowledged.is_empty());
    nodes.kill(&[1, 2, 3]);
    (nodes, acknowledged)
}

/// Recovers by force, first without saying yes.
async fn recover(nodes: &Cluster, generation: u32) {
    let (code, said) = nodes.run_to_its_end(KEPT, &["recover"]).await;
    assert!(code == Some(1) && said.contains("Nothing was changed."), "{said}");
    assert!(said.contains(&format!("voter, of generation {generation}.")), "{said}");
    let (code, said) = nodes.run_to_its_end(KEPT, &["recover", "--yes"]).await;
    assert!(code == Some(0), "{said}");
    assert!(said.contains(&format!("node {KEPT} is the only voter of generation {generation}.")), "{said}");
    println!("{}", said.lines().filter(|line| line.starts_with("Done")).collect::<String>());
}

/// Waits until the kept node leads the new generation, by a ring of it, with these voters.
async fn leads(client: &Client, generation: u32, voters: &[u32]) -> ClusterReport {
    until(&format!("nodes {voters:?} vote in generation {generation}"), async || {
        let report = cluster(client, KEPT).await?;
        let service = nookeeper(&report);
        let is_led = service.leader.is_some() && service.generation == generation && !service.changing;
        let holds_a_lease = report.lease.left_ms > 0;
        (is_led && holds_a_lease && report.epoch.generation == generation && roles(&report).0 == voters)
            .then_some(report)
    })
    .await
}

/// What stood in the tree still does.
fn the_tree_is_kept(nodes: &Cluster) {
    let cli = Cli::of(nodes);
    assert_eq!(cli.prints(&["coord", "get", "/mine"]), "kept\n");
    let carts = cli.json(&["bucket", "get", "carts"]).to_string();
    assert!(carts.contains("lww"), "{carts}");
}

#[tokio::test]
async fn one_survivor_is_enough() {
    let (mut nodes, acknowledged) = killed().await;
    nodes.wipe(1);
    nodes.wipe(2);
    recover(&nodes, 1).await;
    nodes.run(KEPT);
    // Only this one node answers.
    let alone = until("the survivor serves", async || Client::connect([nodes.address(KEPT)]).await.ok()).await;
    let report = leads(&alone, 1, &[KEPT]).await;
    assert_eq!(report.members.len(), 3, "who is in the cluster is kept");
    for i in 0..20 {
        let read = alone.get(format!("everywhere-{i}")).r(1).strict().await.unwrap();
        assert_eq!(read.value().map(|value| &value[..]), Some(&b"1"[..]));
    }
    alone.put("new", "1").w(1).strict().await.unwrap();

    // Those that were lost begin anew, and vote again.
    nodes.run(1);
    nodes.run(2);
    leads(&alone, 1, &[1, 2, 3]).await;
    nodes.wait_until_linked().await;
    the_tree_is_kept(&nodes);
    // They take the places of those that were lost, with what the survivor has.
    let client = nodes.client().await;
    ended(&client, 1).await;
    client.put("new", "2").w(3).strict().await.unwrap();
    for i in 0..20 {
        let key = format!("everywhere-{i}");
        assert_eq!(versions(&client, &key).await.len(), 1, "{key} is whole again");
    }
    // Of what two of three held, the survivor has its part.
    let kept = acknowledged.len() - lost(&client, &acknowledged, 1).await.len();
    println!("{kept} of {} writes at W=2 had a copy on the survivor", acknowledged.len());
}

#[tokio::test]
async fn another_survivor_comes_back_with_its_data() {
    const OTHER: u32 = 2;
    let (mut nodes, acknowledged) = killed().await;
    nodes.wipe(1);
    recover(&nodes, 1).await;
    nodes.run(KEPT);
    let alone = until("the survivor serves", async || Client::connect([nodes.address(KEPT)]).await.ok()).await;
    leads(&alone, 1, &[KEPT]).await;

    // It comes with the old generation's log and vote, is told so, and takes part anew.
    nodes.run(OTHER);
    let report = leads(&alone, 1, &[OTHER, KEPT]).await;
    assert_eq!(nookeeper(&report).leader, Some(NodeId(KEPT)));
    let told = "recovered by force and is at generation 1; this node joins it again";
    assert_eq!(nodes.log(OTHER).matches(told).count(), 1, "{}", nodes.log(OTHER));
    nodes.wait_until_ready().await;
    the_tree_is_kept(&nodes);
    let client = nodes.client().await;
    assert_eq!(lost(&client, &acknowledged, 2).await, [""; 0], "two of three owners hold all that W=2 acknowledged");

    let load = StrictLoad::start(&client, 4);
    nodes.run(1);
    leads(&alone, 1, &[1, 2, 3]).await;
    let done = load.stop().await;
    println!("{} strict writes, {} strict reads, {} failed: {:?}", done.written, done.read, done.failed, done.failure);
    assert!(done.written > 0 && done.read > 0);

    // Once more, by mistake: nobody was lost, and those who were given up are up first, a majority of the old generation.
    nodes.kill(&[1, 2, 3]);
    recover(&nodes, 2).await;
    nodes.run(1);
    nodes.run(OTHER);
    nodes.wait_until_ready().await;
    nodes.run(KEPT);
    let report = leads(&alone, 2, &[1, 2, 3]).await;
    assert_eq!(nookeeper(&report).leader, Some(NodeId(KEPT)));
    nodes.wait_until_ready().await;
    the_tree_is_kept(&nodes);
    assert_eq!(lost(&client, &acknowledged, 2).await, [""; 0]);
}
