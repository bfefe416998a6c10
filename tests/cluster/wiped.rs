//! A node comes back without its data: as another store, that must not pass for the lost one until it has what that had.

use kv::core::id::{NodeId, StoreId};
use kv::core::ring::change::{Action, Origin};
use kv::wire::report::ClusterReport;

use crate::command_line::Cli;
use crate::inspection::{cluster, fates, nookeeper, roles};
use crate::load::lost;
use crate::moving::{are_where_they_belong, ended, fill};
use crate::process::Cluster;
use crate::strict::StrictLoad;
use crate::wait::until;

fn store(report: &ClusterReport, id: u32) -> StoreId {
    report.members.iter().find(|member| member.node == NodeId(id)).unwrap().store
}

/// Keys that all owners had.
const KEYS: usize = 2000;

/// Waits until node `asked` sees that `id` serves another store than `old`, which has all its places and votes as it did.
async fn replaced(nodes: &Cluster, asked: u32, id: u32, old: StoreId) -> StoreId {
    let client = nodes.client().await;
    until(&format!("node {id} is replaced"), async || {
        let report = cluster(&client, asked).await?;
        let new = report.members.iter().find(|member| member.node == NodeId(id) && member.store != old)?;
        let is_gone = report.members.iter().all(|member| member.store != old) && fates(&report, id).is_empty();
        let is_whole = new.up && new.partitions == report.partitions && is_gone;
        let votes = nookeeper(&report).voters.iter().any(|voter| voter.store == new.store);
        (is_whole && votes && roles(&report) == (vec![1, 2, 3], vec![])).then_some(new.store)
    })
    .await
}

/// The first voter made the cluster, so it is the one that might make another one.
#[tokio::test]
async fn a_voter_is_recognised_and_replaced_without_a_hand() {
    const WIPED: u32 = 1;
    let mut nodes = Cluster::start().await;
    let client = nodes.client().await;
    let keys = fill(&client, "before", KEYS).await;
    let old = store(&cluster(&client, 2).await.unwrap(), WIPED);
    let load = StrictLoad::start(&client, 8);

    nodes.kill(&[WIPED]);
    nodes.wipe(WIPED);
    nodes.run(WIPED);
    let change = ended(&client, 1).await;
    let replacement = Action::Replace { node: NodeId(WIPED), by: NodeId(WIPED) };
    assert_eq!((change.origin, change.actions), (Origin::Automatic, vec![replacement]));
    let new = replaced(&nodes, 2, WIPED, old).await;

    let done = load.stop().await;
    println!(
        "{} strict writes and {} strict reads, {} failed: {:?}",
        done.written, done.read, done.failed, done.failure
    );
    assert!(done.written > 0 && done.read > 0);
    // Of everything there are as many copies as before, also of what nobody has read meanwhile.
    are_where_they_belong(&client, &keys).await;
    let written = keys.iter().map(|key| (key.clone(), key.clone())).collect();
    assert_eq!(lost(&client, &written, 2).await, [""; 0]);
    client.put("everywhere", "1").w(3).strict().await.unwrap();

    // It is a voter in earnest: with it and one other there is a majority.
    nodes.kill(&[2]);
    nodes.wait_until_linked().await;
    let cli = Cli::of(&nodes);
    until("a change of the tree", async || (cli.run(&["coord", "create", "/after", "1"]).0 == 0).then_some(())).await;
    // It is told from its past at each further start, too.
    nodes.kill(&[WIPED]);
    nodes.restart(2).await;
    nodes.restart(WIPED).await;
    assert_eq!(replaced(&nodes, 3, WIPED, old).await, new);
}
