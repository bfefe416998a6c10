//! A ring that moves under load. Whoever should drive it is not here: the test writes the rings itself, one after the other, each when
//! all nodes have acknowledged the one before; and it copies what should be transferred.
//!
//! Four nodes, two owners for each partition: a change replaces both, so that a write needs all four while it lasts.

use std::time::Duration;

use kv::client::Client;
use kv::config::SyncPolicy;
use kv::core::ring::{Motion, Slice};
use kv::testing::Cluster;
use kv::wire::tree::TreeRequest;

use crate::inspection::counter;
use crate::load::{Done, Load, lost};
use crate::ring::change;

pub const NODES: u32 = 4;
const TASKS: usize = 8;
/// How long the load runs in each phase.
const PHASE: Duration = Duration::from_millis(500);

pub const ALL: [u32; NODES as usize] = [1, 2, 3, 4];

/// Everybody who is no owner is to be one.
pub fn pending(slice: &mut Slice<u16>) {
    let others = (0..NODES as u16).filter(|number| !slice.owners.contains(number)).collect();
    (slice.motion, slice.draining) = (Some(Motion::Pending(others)), vec![]);
}

pub fn switched(slice: &mut Slice<u16>) {
    let arrived = slice.others().to_vec();
    slice.motion = Some(Motion::Switched(std::mem::replace(&mut slice.owners, arrived)));
}

pub fn retired(slice: &mut Slice<u16>) {
    slice.draining = slice.motion.take().map_or(vec![], |motion| motion.others().to_vec());
}

/// What a transfer does: everything that was acknowledged before reaches the arriving owners as well.
async fn copy(client: &Client, done: &Done) {
    for (key, value) in &done.acknowledged {
        let read = client.get(key).r(2).await.unwrap();
        client.put(key, value.clone()).context(read.context.as_ref()).w(2).await.unwrap();
    }
}

pub async fn counted(client: &Client, name: &str) -> u64 {
    let mut sum = 0;
    for id in ALL {
        sum += counter(client, id, name).await;
    }
    sum
}

fn check(done: &Done) {
    assert!(done.failures.is_empty(), "{} requests failed, first {:?}", done.failures.len(), done.failures[0]);
    assert!(done.behind.is_empty(), "{} reads were behind, first {:?}", done.behind.len(), done.behind[0]);
    assert!(done.requests > 0);
}

async fn moves_under_load(strict: bool) {
    let builder = Cluster::builder().nodes(NODES).sync(SyncPolicy::Never);
    let cluster = builder.configure(|config| config.cluster.replication = 2).start().await.unwrap();
    let client = cluster.client().await.unwrap();
    if strict {
        let properties = [("pr", "2"), ("pw", "2"), ("sloppy", "false")].map(|(k, v)| (k.into(), v.into())).into();
        client.tree(TreeRequest::SetBucket { bucket: "default".into(), properties }).await.unwrap();
    }
    for round in 0..2 {
        let before = Load::start_named(&format!("before-{round}"), &client, TASKS);
        tokio::time::sleep(PHASE).await;
        change(&client, &ALL, pending).await;
        let before = before.stop().await;
        check(&before);
        copy(&client, &before).await;

        let during = Load::start_named(&format!("during-{round}"), &client, TASKS);
        tokio::time::sleep(PHASE).await;
        change(&client, &ALL, switched).await;
        tokio::time::sleep(PHASE).await;
        change(&client, &ALL, retired).await;
        tokio::time::sleep(PHASE).await;
        let during = during.stop().await;
        check(&during);

        let repairs = counted(&client, "read_repairs").await;
        assert_eq!(lost(&client, &before.acknowledged, 2).await, [""; 0], "round {round}, before");
        assert_eq!(lost(&client, &during.acknowledged, 2).await, [""; 0], "round {round}, during");
        assert_eq!(counted(&client, "read_repairs").await, repairs, "not every owner held what was acknowledged");
    }
    assert!(counted(&client, "rebased").await > 0, "no operation was in flight when the ring changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_and_both_sets_hold_what_was_acknowledged() {
    moves_under_load(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_a_strict_one() {
    moves_under_load(true).await;
}
