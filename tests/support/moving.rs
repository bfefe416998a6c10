//! Ring changes as an operator makes them, and what must be true when one has ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kv::client::{Client, Put};
use kv::core::id::NodeId;
use kv::core::ring::change::Action;
use kv::wire::change::{ChangeAnswer, ChangeReport, ChangeRequest, PlanReport};

use crate::inspection::{cluster, locate};
use crate::load::{Done, lost};
use crate::process::Cluster;
use crate::wait::until;

/// How long a change may take on a busy machine.
const ENDS_WITHIN: Duration = Duration::from_secs(300);
/// Longer than a round of all partitions takes, `transfer.sweep_interval_ms`.
const SWEPT_WITHIN: Duration = Duration::from_secs(150);
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Keys written in one call.
const WRITTEN_AT_ONCE: usize = 500;
/// One of so many keys is looked for at every node.
const LOOKED_AT: usize = 20;

/// A node gets its share.
pub fn join(node: u32) -> Action {
    Action::Join { node: NodeId(node) }
}

/// A node hands over what it has, and goes.
pub fn leave(node: u32) -> Action {
    Action::Leave { node: NodeId(node) }
}

/// A number from the environment, for runs that are longer than a test should be.
pub fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Waits until a node that has come is a member, so that it can be given something.
pub async fn is_known(nodes: &Cluster, id: u32) {
    let client = nodes.client().await;
    until(&format!("node {id} is known"), async || {
        let report = cluster(&client, 1).await?;
        report.members.iter().any(|member| member.node == NodeId(id) && member.up).then_some(())
    })
    .await;
}

/// Writes `count` keys at w = 2: `PREFIX-0` and so on, each with its own name as the value.
pub async fn fill(client: &Client, prefix: &str, count: usize) -> Vec<String> {
    let keys: Vec<String> = (0..count).map(|number| format!("{prefix}-{number}")).collect();
    for some in keys.chunks(WRITTEN_AT_ONCE) {
        for written in client.multi_put(some.iter().map(|key| Put::new(key, key.clone()).w(2))).await {
            written.unwrap();
        }
    }
    keys
}

/// Stages these actions; what they would move.
pub async fn plan(client: &Client, actions: &[Action]) -> PlanReport {
    for action in actions {
        client.change(ChangeRequest::Stage(action.clone())).await.unwrap();
    }
    match client.change(ChangeRequest::Plan).await.unwrap() {
        ChangeAnswer::Plan(plan) => plan,
        other => panic!("{other:?}"),
    }
}

/// Stages and commits; the number of the change, and the plan.
pub async fn commit(client: &Client, actions: &[Action]) -> (u64, PlanReport) {
    let plan = plan(client, actions).await;
    match client.change(ChangeRequest::Commit { version: plan.version, force: false }).await.unwrap() {
        ChangeAnswer::Committed { number, .. } => (number, plan),
        other => panic!("{other:?}"),
    }
}

/// How the latest change is.
pub async fn progress(client: &Client) -> Option<ChangeReport> {
    match client.change(ChangeRequest::Progress).await.ok()? {
        ChangeAnswer::Change(report) => report.map(|report| *report),
        other => panic!("{other:?}"),
    }
}

/// Waits until a change is as it should be; how it is then.
pub async fn change_that(client: &Client, what: &str, is_so: impl Fn(&ChangeReport) -> bool) -> ChangeReport {
    let start = Instant::now();
    loop {
        let report = progress(client).await;
        match report {
            Some(report) if is_so(&report) => return report,
            report => assert!(start.elapsed() < ENDS_WITHIN, "{what} in vain: {report:#?}"),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Waits until this change has ended.
pub async fn ended(client: &Client, number: u64) -> ChangeReport {
    change_that(client, "waited for the end of the change", |report| {
        report.number == number && report.ended_ms.is_some()
    })
    .await
}

/// The partitions of each node that owns some, as node `asked` sees it.
pub async fn loads(client: &Client, asked: u32) -> Vec<(u32, u32)> {
    let report = cluster(client, asked).await.expect("it answers");
    let mut loads: Vec<(u32, u32)> = report
        .members
        .iter()
        .filter(|member| member.partitions > 0)
        .map(|member| (member.node.0, member.partitions))
        .collect();
    loads.sort_unstable();
    loads
}

/// Reads all keys that [`fill`] wrote and all that a load wrote.
pub async fn nothing_is_lost(client: &Client, keys: &[String], done: &Done) {
    let filled: BTreeMap<String, String> = keys.iter().map(|key| (key.clone(), key.clone())).collect();
    assert_eq!(lost(client, &filled, 2).await, [""; 0]);
    assert_eq!(lost(client, &done.acknowledged, 2).await, [""; 0]);
}

/// Looks at some of these keys at every node, until who owns them has the same, and nobody else has anything: what a node holds without
/// a place it finds itself, going slowly round all partitions.
pub async fn are_where_they_belong(client: &Client, keys: &[String]) {
    let start = Instant::now();
    for key in keys.iter().step_by(LOOKED_AT) {
        while let Err(wrong) = is_where_it_belongs(client, key).await {
            assert!(start.elapsed() < SWEPT_WITHIN, "{key}: {wrong}");
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

async fn is_where_it_belongs(client: &Client, key: &str) -> Result<(), String> {
    let located = locate(client, key).await;
    let mut versions = vec![];
    for replica in &located.replicas {
        let holds = replica.holds.clone().map_err(|error| format!("node {}: {error}", replica.node))?;
        if replica.owner {
            versions.push(holds.map(|held| held.context));
        } else if holds.is_some() {
            return Err(format!("node {} holds it and does not own it: {located:#?}", replica.node));
        }
    }
    let is_same = versions[0].is_some() && versions.windows(2).all(|pair| pair[0] == pair[1]);
    if is_same { Ok(()) } else { Err(format!("{located:#?}")) }
}
