//! Two operators at once, and a change that is taken back half-way.

use kv::client::{Client, ClientError};
use kv::wire::change::{ChangeAnswer, ChangeRequest};

use crate::load::Load;
use crate::moving::{are_where_they_belong, change_that, ended, fill, is_known, join, loads, nothing_is_lost, plan};
use crate::process::{Cluster, Setup};

const KEYS: usize = 1_000;
const SLOW: &str = "[transfer]\nbytes_per_s_max = 131072\npage_bytes_max = 1024\n";
const NEW: u32 = 4;
const FURTHER: u32 = 5;

/// The owners of all partitions.
fn owners(client: &Client) -> Vec<Vec<kv::core::id::StoreId>> {
    let ring = &client.ring().ring;
    (0..ring.partitions()).map(|p| ring.slice(kv::core::id::Partition(p as u16)).owners).collect()
}

async fn commit(client: &Client, version: u64) -> Result<ChangeAnswer, ClientError> {
    client.change(ChangeRequest::Commit { version, force: false }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_wins_and_half_of_a_change_leaves_nothing() {
    let mut nodes = Cluster::start_with(Setup { sync: "never", ..Setup::default() }).await;
    let client = nodes.client().await;
    let keys = fill(&client, "before", KEYS).await;
    for id in [NEW, FURTHER] {
        assert_eq!(nodes.add_with(1, SLOW), id);
        nodes.restart(id).await;
        is_known(&nodes, id).await;
    }
    let (before, balance) = (owners(&nodes.client().await), loads(&client, 1).await);

    // One looks at a plan and says yes, while the other adds to it and says yes to that.
    let (one, other) = (nodes.client().await, nodes.client().await);
    let version = plan(&client, &[join(NEW)]).await.version;
    let adds = async {
        let plan = plan(&other, &[join(FURTHER)]).await;
        commit(&other, plan.version).await
    };
    let (first, second) = tokio::join!(commit(&one, version), adds);
    let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
    let Ok(ChangeAnswer::Committed { number, .. }) = won else { panic!("{won:?} and {lost:?}") };
    let told = lost.expect_err("one wins").to_string();
    let expected =
        [format!("change {number} is under way"), "what is staged has changed".into(), "nothing is staged".into()];
    assert!(expected.iter().any(|text| told.contains(text)), "{told}");

    let load = Load::start(&client, 2);
    change_that(&client, "waited for a part", |report| {
        report.phases.pending > 0 && report.phases.done + report.phases.draining + report.phases.switched > 0
    })
    .await;
    match client.change(ChangeRequest::TurnBack { number }).await.unwrap() {
        ChangeAnswer::Change(Some(report)) => assert_eq!(report.number, number),
        other => panic!("{other:?}"),
    }
    ended(&client, number).await;
    let done = load.stop().await;
    assert!(done.failures.is_empty() && done.behind.is_empty(), "{:?} {:?}", done.failures, done.behind);
    assert_eq!(loads(&client, 1).await, balance);
    assert_eq!(owners(&nodes.client().await), before, "as if it had not been");
    nothing_is_lost(&client, &keys, &done).await;
    are_where_they_belong(&client, &keys).await;
}
