//! Whole Replicas on engines in memory, and what one asks another.

use std::sync::Arc;

use actix::{Addr, System};
use arc_swap::ArcSwap;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::super::messages::{ReplicaBatch, ReplicaCall, ReplicaSink};
use super::super::needs_sync::NeedsSync;
use super::super::{HintGauge, ReapTimes, ReplicaParts};
use super::*;
use crate::config::{NodeConfig, NodeLimits, StorageConfig};
use crate::core::bucket::Buckets;
use crate::core::hint::Budget;
use crate::core::id::{Epoch, NodeId, StoreId};
use crate::core::ring::{Member, Ring};
use crate::core::version::{Actor, Clock, Dot, Payload, Sibling};
use crate::node::disk::Disk;
use crate::node::env::{Env, now};
use crate::node::lease::Lease;
use crate::node::stats::Stats;
use crate::node::view::{RingView, SharedRing};
use crate::storage::memory::MemoryDisk;
use crate::storage::{Batch, Engine};
use crate::wire::exchange::LeavesAnswer;

const PARTITION: Partition = Partition(3);
/// Stores 1 and 2 own everything; this one is none of them.
const STRANGER: u128 = 9;

struct Sink(UnboundedSender<ReplicaReply>);

impl ReplicaSink for Sink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        // A test may have heard enough.
        replies.into_iter().for_each(|reply| drop(self.0.send(reply)));
    }
}

fn ring() -> SharedRing {
    let member = |store: u128| Member {
        store: StoreId(store),
        node: NodeId(store as u32),
        address: format!("node{store}:8000"),
        zone: String::new(),
        weight: 1,
    };
    let ring = Ring::new(Epoch::default(), 16, 2, vec![member(1), member(2)]).expect("a valid ring");
    Arc::new(ArcSwap::from_pointee(RingView::new(ring, Buckets::default())))
}

/// A Replica of this store, on what the disk holds.
fn replica(store: u128, disk: &MemoryDisk) -> Addr<Replica> {
    let (env, stats, engine) = (Env::real(1), Arc::new(Stats::default()), Arc::new(disk.open()));
    let storage = StorageConfig::default();
    let (disk, gate) = Disk::start(&env, engine.clone(), &storage, Box::new(|| None), stats.clone());
    let parts = ReplicaParts {
        store: StoreId(store),
        hints: Arc::new(HintGauge::count(&*engine, Budget::UNBOUNDED).expect("the engine reads")),
        missed: Arc::default(),
        reap: ReapTimes::of(&NodeConfig::default()),
        needs_sync: Arc::new(NeedsSync::open(&*engine).expect("the engine reads")),
        kept_trees: Arc::default(),
        engine,
        disk,
        gate,
        ring: ring(),
        limits: NodeLimits::default(),
        recent_bytes_max: 1 << 20,
        lease: Lease::none(),
        stats,
        env: env.clone(),
    };
    env.start(0, move |_| Replica::new(parts, 0))
}

/// The answers to calls that are made together, in the order of the calls.
async fn ask_all(replica: &Addr<Replica>, calls: Vec<ReplicaCall>) -> Vec<ReplicaReply> {
    let (sink, mut answers) = unbounded_channel();
    let count = calls.len();
    replica.do_send(ReplicaBatch { calls, sink: Arc::new(Sink(sink)) });
    let mut replies = vec![];
    while replies.len() < count {
        replies.push(answers.recv().await.expect("every call is answered"));
    }
    replies.sort_by_key(ReplicaReply::id);
    replies
}

async fn ask(replica: &Addr<Replica>, call: ReplicaCall) -> ReplicaReply {
    ask_all(replica, vec![call]).await.remove(0)
}

/// The leaves, however often they must be asked for, and how often it was.
async fn leaves(replica: &Addr<Replica>) -> (Leaves, u64, usize) {
    for asked in 1.. {
        match ask(replica, ReplicaCall::Leaves { id: 1, epoch: Epoch::default(), partition: PARTITION }).await {
            ReplicaReply::Leaves { result: Ok(LeavesAnswer::Whole { leaves, keys, .. }), .. } => {
                return (leaves, keys, asked);
            }
            ReplicaReply::Leaves { result: Ok(LeavesAnswer::Building { .. }), .. } => {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            other => panic!("{other:?}"),
        }
    }
    unreachable!("a usize has an end")
}

async fn clocks(replica: &Addr<Replica>, leaves: &[u32], limit: usize) -> Vec<(Bytes, Option<Clock>)> {
    let (mut clocks, mut after) = (vec![], None);
    loop {
        let (epoch, leaves) = (Epoch::default(), leaves.to_vec());
        let call = ReplicaCall::Clocks { id: 1, epoch, partition: PARTITION, leaves, after, limit };
        let ReplicaReply::Clocks { result: Ok(mut page), .. } = ask(replica, call).await else { panic!("no clocks") };
        assert!(page.clocks.len() <= limit);
        clocks.append(&mut page.clocks);
        after = page.next;
        if after.is_none() {
            return clocks;
        }
    }
}

async fn objects(replica: &Addr<Replica>, keys: Vec<Bytes>) -> ObjectsPage {
    let call = ReplicaCall::Objects { id: 1, epoch: Epoch::default(), partition: PARTITION, keys };
    let ReplicaReply::Page { result: Ok(page), .. } = ask(replica, call).await else { panic!("no page") };
    page
}

async fn store(replica: &Addr<Replica>, objects: impl IntoIterator<Item = (Key, Bytes)>) {
    let expires = now() + std::time::Duration::from_secs(60);
    let store = |(i, (key, object))| ReplicaCall::Store {
        id: i as u64,
        epoch: Epoch::default(),
        key,
        object,
        hint: None,
        expires,
    };
    let calls: Vec<ReplicaCall> = objects.into_iter().enumerate().map(store).collect();
    for reply in ask_all(replica, calls).await {
        assert!(matches!(reply, ReplicaReply::Stored { result: Ok(()), .. }), "{reply:?}");
    }
}

/// The first keys of the partition.
fn keys(count: usize) -> Vec<Key> {
    let partition = |key: &Key| key.token().partition(16);
    (0..).map(|i: u32| Key::bare(i.to_string())).filter(|key| partition(key) == PARTITION).take(count).collect()
}

/// An object of so many events, the last of which wrote so many bytes.
fn object(events: u64, bytes: usize) -> Object {
    let dot = |counter| Dot { actor: Actor { incarnation: 1, birth: 1 }, counter };
    let mut object = Object::default();
    (1..=events).for_each(|counter| object.context.add(dot(counter), 0));
    let payload = Payload::Value(Bytes::from(vec![7; bytes]));
    object.siblings.push(Sibling { dot: dot(events), time: 0, payload, expires_ms: None });
    object
}

fn with(keys: &[Key], events: u64) -> Vec<(Key, Bytes)> {
    keys.iter().map(|key| (key.clone(), object(events, 100).encode())).collect()
}

fn run(test: impl Future<Output = ()>) {
    System::new().block_on(test);
}

#[test]
fn two_stores_find_what_they_hold_differently_and_become_equal() {
    run(async {
        let (a, b) = (replica(1, &MemoryDisk::new()), replica(2, &MemoryDisk::new()));
        let keys = keys(400);
        store(&a, with(&keys[..398], 1)).await;
        store(&b, with(&keys[2..], 1)).await;
        store(&a, with(&keys[200..203], 2)).await;
        let (of_a, of_b) = (leaves(&a).await.0, leaves(&b).await.0);
        let differing = of_a.differing(&of_b);
        assert!(!differing.is_empty() && differing.len() <= 7, "{differing:?}");

        let (of_a, of_b) = (clocks(&a, &differing, 2).await, clocks(&b, &differing, 100).await);
        // 4,096 leaves for 400 keys: hardly any other key is in these.
        assert!(of_a.len() <= 10 && of_b.len() <= 10, "{of_a:?} {of_b:?}");
        let only = |ours: &[(Bytes, Option<Clock>)], theirs: &[(Bytes, Option<Clock>)]| {
            ours.iter().filter(|clock| !theirs.contains(clock)).map(|(key, _)| key.clone()).collect::<Vec<_>>()
        };
        let (to_b, to_a) = (only(&of_a, &of_b), only(&of_b, &of_a));
        assert_eq!((to_b.len(), to_a.len()), (5, 5), "two were only here, two only there, three older there");
        for (from, to, keys) in [(&a, &b, to_b), (&b, &a, to_a)] {
            let page = objects(from, keys).await;
            assert!(page.left_over.is_empty() && page.unreadable.is_empty());
            let sent = rmp_serde::to_vec(&page).expect("a page serializes").len();
            assert!(sent < 5 * 250, "{sent} bytes for five objects of a hundred");
            store(to, page.objects.into_iter().map(|(key, object)| (key, object.0))).await;
        }
        let (of_a, of_b) = (leaves(&a).await, leaves(&b).await);
        assert_eq!((of_a.0, of_a.1), (of_b.0, of_b.1));
        assert_eq!(of_a.1, 400);
    });
}

#[test]
fn a_large_partition_takes_some_time_and_writes_meanwhile_are_in_it() {
    run(async {
        let (slow, at_once) = (replica(1, &MemoryDisk::new()), replica(2, &MemoryDisk::new()));
        let keys = keys(3 * BUDGET.keys);
        store(&slow, with(&keys, 1)).await;
        assert_eq!(leaves(&at_once).await.2, 1, "of nothing they are there at once");
        let call = ReplicaCall::Leaves { id: 1, epoch: Epoch::default(), partition: PARTITION };
        let begun = ask(&slow, call).await;
        let done_keys = BUDGET.keys as u64;
        assert!(
            matches!(begun, ReplicaReply::Leaves { result: Ok(LeavesAnswer::Building { done_keys: d }), .. } if d == done_keys),
            "{begun:?}"
        );
        store(&slow, with(&keys, 2)).await;
        store(&at_once, with(&keys, 2)).await;
        assert_eq!(leaves(&slow).await.0, leaves(&at_once).await.0);
    });
}

#[test]
fn a_partition_is_pulled_in_pages_past_what_cannot_be_read() {
    run(async {
        let (disk, keys) = (MemoryDisk::new(), keys(40));
        let damaged = keys[20].stored(PARTITION);
        let mut batch = Batch::default();
        batch.put(Space::Objects, damaged.clone(), "damaged");
        disk.open().apply(batch).expect("the engine applies");
        let a = replica(1, &disk);
        store(&a, with(&keys[..20], 1)).await;
        store(&a, with(&keys[21..], 1)).await;
        store(&a, [(keys[5].clone(), object(2, 50_000).encode())]).await;

        let (mut pulled, mut unreadable, mut after) = (vec![], vec![], None);
        loop {
            let (epoch, bytes_max) = (Epoch::default(), 1000);
            let call = ReplicaCall::Pull { id: 1, epoch, partition: PARTITION, after, bytes_max };
            let ReplicaReply::Page { result: Ok(page), .. } = ask(&a, call).await else { panic!("no page") };
            let bytes: usize = page.objects.iter().map(|(_, object)| object.0.len()).sum();
            assert!(page.objects.len() == 1 || bytes <= 1000, "{bytes} bytes");
            pulled.extend(page.objects.into_iter().map(|(key, _)| key.stored(PARTITION)));
            unreadable.extend(page.unreadable);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut expected: Vec<Bytes> =
            keys.iter().map(|key| key.stored(PARTITION)).filter(|key| *key != damaged).collect();
        expected.sort();
        assert_eq!(pulled, expected);
        assert_eq!(unreadable, std::slice::from_ref(&damaged));

        let leaf = leaves(&a).await.0.leaf_of(&damaged);
        assert!(clocks(&a, &[leaf], 10).await.contains(&(damaged.clone(), None)));
        assert_eq!(objects(&a, vec![damaged.clone()]).await.unreadable, [damaged]);
    });
}

#[test]
fn objects_that_do_not_fit_are_left_over() {
    run(async {
        let (a, keys) = (replica(1, &MemoryDisk::new()), keys(4));
        let large = object(1, 600 << 10).encode();
        store(&a, keys[1..].iter().map(|key| (key.clone(), large.clone()))).await;
        let mut wanted: Vec<Bytes> = keys.iter().map(|key| key.stored(PARTITION)).collect();
        let mut got = vec![];
        while !wanted.is_empty() {
            let page = objects(&a, wanted).await;
            assert_eq!(page.objects.len(), 1);
            got.extend(page.objects.into_iter().map(|(key, _)| key));
            wanted = page.left_over;
        }
        assert_eq!(got, keys[1..], "the first is not there");
    });
}

#[test]
fn no_other_partition_is_told_of() {
    run(async {
        let a = replica(1, &MemoryDisk::new());
        let (epoch, foreign) = (Epoch::default(), keys(1)[0].stored(Partition(4)));
        let calls = vec![
            ReplicaCall::Leaves { id: 1, epoch, partition: Partition(16) },
            ReplicaCall::Pull { id: 2, epoch, partition: Partition(999), after: None, bytes_max: 100 },
            ReplicaCall::Objects { id: 3, epoch, partition: PARTITION, keys: vec![foreign] },
        ];
        for reply in ask_all(&a, calls).await {
            assert!(matches!(reply, ReplicaReply::Failed { error: ReplicaError::Malformed(_), .. }), "{reply:?}");
        }
    });
}

async fn drop_key(replica: &Addr<Replica>, key: &Key, clock: Clock) -> bool {
    match ask(replica, ReplicaCall::Drop { id: 1, key: key.clone(), clock }).await {
        ReplicaReply::Dropped { dropped, .. } => dropped,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_copy_is_dropped_only_at_its_version_and_when_nobody_needs_it() {
    run(async {
        // It had a place when it stored the copy, and has none when it starts again.
        let disk = MemoryDisk::new();
        let owner = replica(1, &disk);
        let (key, clock) = (keys(1).remove(0), object(1, 100).clock());
        let copy = || with(std::slice::from_ref(&key), 1);
        store(&owner, copy()).await;
        assert!(!drop_key(&owner, &key, clock).await, "it owns a place");

        let stranger = replica(STRANGER, &disk);
        assert!(!drop_key(&stranger, &key, object(2, 100).clock()).await, "another version");
        let expires = now() + std::time::Duration::from_secs(60);
        let (object, hint) = (object(1, 100).encode(), Some(StoreId(1)));
        let hinted = || {
            let (key, object) = (key.clone(), object.clone());
            ReplicaCall::Store { id: 1, epoch: Epoch::default(), key, object, hint, expires }
        };
        ask(&stranger, hinted()).await;
        assert!(!drop_key(&stranger, &key, clock).await, "a hint is kept for it");

        let stranger = replica(STRANGER, &MemoryDisk::new());
        let in_flight = vec![hinted(), ReplicaCall::Drop { id: 2, key: key.clone(), clock }];
        let replies = ask_all(&stranger, in_flight).await;
        assert!(
            matches!(replies[1], ReplicaReply::Dropped { dropped: false, .. }),
            "a write is in flight: {replies:?}"
        );
        assert_eq!(leaves(&stranger).await.1, 1);

        let disk = MemoryDisk::new();
        store(&replica(1, &disk), copy()).await;
        let stranger = replica(STRANGER, &disk);
        assert_eq!(leaves(&stranger).await.1, 1);
        assert!(drop_key(&stranger, &key, clock).await);
        assert_eq!(leaves(&stranger).await.0, Leaves::new(leaf_count(16)));
        assert!(drop_key(&stranger, &key, clock).await, "it is gone already");
    });
}
