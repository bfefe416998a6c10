//! A change in which somebody dies: whoever copies, whoever is copied from, or whoever leads the coordination service. Each time the
//! copying goes on where it was.

use kv::client::Client;
use kv::core::id::NodeId;
use kv::wire::report::{Inspect, Inspection, TransfersReport};

use crate::inspection::leader;
use crate::load::Load;
use crate::moving::{are_where_they_belong, change_that, commit, ended, fill, is_known, join, nothing_is_lost};
use crate::process::{Cluster, Setup};
use crate::wait::until;

/// Nearly 300 KiB of objects on each node, in two partitions: at this pace a partition takes several seconds.
const KEYS: usize = 4_000;
const SLOW: &str = "[transfer]\nbytes_per_s_max = 16384\npage_bytes_max = 4096\n";
const NEW: u32 = 4;

async fn transfers(client: &Client) -> Option<TransfersReport> {
    match client.inspect(NodeId(NEW), Inspect::Transfers).await.ok()? {
        Inspection::Transfers(report) => Some(*report),
        other => panic!("{other:?}"),
    }
}

/// A node joins, and `strike` kills somebody once a third of a partition is copied: it is told from which node.
async fn with_a_death(strike: impl AsyncFnOnce(&mut Cluster, &Client, u32)) -> (TransfersReport, TransfersReport) {
    let setup = Setup { sync: "never", partitions: 2, ..Setup::default() };
    let mut nodes = Cluster::start_with(setup).await;
    let client = nodes.client().await;
    let keys = fill(&client, "moved", KEYS).await;
    assert_eq!(nodes.add_with(1, SLOW), NEW);
    nodes.restart(NEW).await;
    is_known(&nodes, NEW).await;
    let load = Load::start(&client, 2);
    let (number, _) = commit(&client, &[join(NEW)]).await;

    let (before, from) = until("a part is copied", async || {
        let report = transfers(&client).await?;
        let under_way = report.arriving.iter().find(|copy| copy.bytes > copy.bytes_expected / 3 && copy.bytes > 0)?;
        let from = under_way.from?.0;
        Some((report, from))
    })
    .await;
    strike(&mut nodes, &client, from).await;
    let after = until("the copying goes on", async || {
        let report = transfers(&client).await?;
        let more = |copy: &kv::wire::report::TransferReport| {
            let earlier = before.arriving.iter().find(|b| b.partition == copy.partition && b.from == copy.from);
            earlier.is_some_and(|earlier| earlier.bytes > 0 && copy.bytes > earlier.bytes)
        };
        report.arriving.iter().any(more).then_some(report)
    })
    .await;
    ended(&client, number).await;
    let done = load.stop().await;
    nothing_is_lost(&client, &keys, &done).await;
    are_where_they_belong(&client, &keys).await;
    (before, after)
}

/// What was copied before is not copied again.
fn goes_on(before: &TransfersReport, after: &TransfersReport) {
    for copy in &after.arriving {
        let earlier = before.arriving.iter().find(|b| b.partition == copy.partition && b.from == copy.from);
        let Some(earlier) = earlier.filter(|earlier| earlier.bytes > 0) else { continue };
        println!(
            "partition {} from node {:?}: {} bytes before, of which {} were kept, {} now, of {}",
            copy.partition, copy.from, earlier.bytes, copy.bytes_before, copy.bytes, copy.bytes_expected
        );
        assert!(copy.bytes > earlier.bytes / 2, "it began again: {copy:?} after {earlier:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_copies_goes_on_from_its_checkpoint() {
    let strike = async |nodes: &mut Cluster, _: &Client, _: u32| {
        nodes.kill(&[NEW]);
        nodes.restart(NEW).await;
    };
    let (before, after) = with_a_death(strike).await;
    goes_on(&before, &after);
    let kept: u64 = after.arriving.iter().map(|copy| copy.bytes_before).sum();
    assert!(kept > 0, "nothing was kept: {after:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_copied_from_may_die_and_come_back() {
    let strike = async |nodes: &mut Cluster, _: &Client, from: u32| {
        nodes.kill(&[from]);
        nodes.restart(from).await;
    };
    let (before, after) = with_a_death(strike).await;
    goes_on(&before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_the_leader_of_the_service() {
    let strike = async |nodes: &mut Cluster, client: &Client, _: u32| {
        let led = until("there is a leader", async || leader(client, &[1, 2, 3]).await).await;
        nodes.kill(&[led]);
        change_that(client, "waited for a new leader", |report| report.ended_ms.is_none()).await;
        nodes.restart(led).await;
    };
    let (before, after) = with_a_death(strike).await;
    goes_on(&before, &after);
}
