//! Drivers on a service in this process, under virtual time. The nodes around them acknowledge and copy within moments.

use std::sync::atomic::AtomicU64;

use tokio::task::{LocalSet, spawn_local};

use super::*;
use crate::config::NodeEntry;
use crate::coordination::api::Service;
use crate::coordination::local::Local;
use crate::coordination::registry::{self, Founding, Joiner, Standing};
use crate::core::id::{ClusterId, NodeId, Partition, Start};
use crate::core::key::Key;
use crate::core::ring::change::{Action, Marks, arrivals};
use crate::core::version::{Dot, Object};
use crate::node::env::{Moment, Observer, Simulated};

/// How often a node looks at the registry.
const LOOK: Duration = Duration::from_millis(50);

struct Nobody;

impl Observer for Nobody {
    fn minted(&self, _: StoreId, _: &Key, _: Dot, _: &Object) {}
}

fn env(node: u32) -> Env {
    let (sync_us_max, observer) = (Arc::new(AtomicU64::new(0)), Arc::new(Nobody));
    Env::simulated(1, Simulated { seed: node.into(), skew_ms: 0, sync_us_max, observer })
}

fn joiner(node: u32) -> Joiner {
    let start = Start { store: StoreId(node.into()), number: 1, nonce: 1 };
    let address = format!("node{node}:8000");
    Joiner { cluster: None, node: Some(NodeId(node)), start, address, zone: None, weight: None }
}

async fn open(service: &Local) -> Arc<Box<dyn Session>> {
    Arc::new(service.open(Duration::from_secs(10)).await.unwrap())
}

/// A node that does what it should, except perhaps drive.
async fn run(service: Local, node: u32, drives: bool) {
    let session = open(&service).await;
    let joiner = joiner(node);
    registry::register(&**session, &joiner, 1).await.unwrap();
    let (store, shared) = (joiner.start.store, SharedSession::default());
    shared.store(Some(session.clone()));
    let driver = Driver::start(store, shared, env(node));
    loop {
        let view = Arc::new(registry::read(&**session).await.unwrap());
        assert!(registry::acknowledge(&**session, NodeId(node), view.ring.epoch).await.unwrap());
        let (mut arrived, mut drained) = (Marks::new(), Marks::new());
        for (p, slice) in view.ring.named_slices().iter().enumerate() {
            let partition = Partition(p as u16);
            arrived.extend(arrivals(slice).filter(|(_, to, _)| *to == store).map(|_| (partition, slice.since)));
            drained.extend(slice.draining.contains(&store).then_some((partition, slice.since)));
        }
        change::report_arrived(&**session, store, &arrived).await.unwrap();
        change::report_drained(&**session, store, &drained).await.unwrap();
        if drives {
            driver.seen(&view);
        }
        sleep(LOOK).await;
    }
}

/// Node 4 joins three others, of whom these do not drive. Answers how long it took, and how many rings.
async fn join_without(silent: &[u32]) -> (Duration, u64) {
    let service = Local::new();
    let operator = open(&service).await;
    let member = |node| (NodeEntry::new(NodeId(node), format!("node{node}:8000")), Some(StoreId(node.into())));
    let founding = Founding {
        id: ClusterId(7),
        name: "test".into(),
        partitions: 16,
        replication: 3,
        nodes: (1..=3).map(member).collect(),
        voters: vec![NodeId(1)],
        auto_remove_after_ms: None,
        buckets: Default::default(),
    };
    registry::found(&**operator, &founding, 1, &mut || unreachable!("all stores are known")).await.unwrap();
    for node in 1..=4 {
        spawn_local(run(service.clone(), node, !silent.contains(&node)));
    }
    let guest = |view: &View| view.present(NodeId(4)).is_some_and(|member| view.is_live(member));
    let before = until(&**operator, guest).await.ring.epoch;
    let version = change::stage(&**operator, Action::Join { node: NodeId(4) }).await.unwrap().version;
    let begun: Moment = now();
    change::commit(&**operator, version, false, NodeId(1), 1).await.unwrap();
    let view = until(&**operator, |view| view.change.is_some() && view.running().is_none()).await;
    assert_eq!(view.present(NodeId(4)).map(|member| member.standing), Some(Standing::Owner));
    let owned = view.ring.named_slices().iter().filter(|slice| slice.owners.contains(&StoreId(4))).count();
    assert_eq!(owned, 12);
    (begun.elapsed(), view.ring.epoch.counter - before.counter)
}

async fn until(session: &dyn Session, holds: impl Fn(&View) -> bool) -> View {
    loop {
        let view = registry::read(session).await.unwrap();
        if holds(&view) {
            return view;
        }
        sleep(LOOK).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_node_drives_and_the_others_need_not() {
    let (took, rings) = LocalSet::new().run_until(join_without(&[])).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    // Pending, switched, at rest, drained: who reports alone does not make a ring alone.
    assert!(rings <= 8, "{rings} rings");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_left_drives() {
    for silent in [&[1][..], &[1, 2, 3]] {
        let (took, _) = LocalSet::new().run_until(join_without(silent)).await;
        assert!(took > Duration::from_secs(1), "{took:?} without {silent:?}: somebody else drove");
        assert!(took < Duration::from_secs(60), "{took:?} without {silent:?}");
    }
}
