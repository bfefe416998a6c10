//! One replica, rings of another age than the calls, under virtual time.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::super::messages::Settle;
use super::super::needs_sync::{NeedsSync, Why};
use super::super::{HintGauge, ReapTimes, ReplicaParts};
use super::*;
use crate::config::{NodeConfig, NodeLimits, StorageConfig};
use crate::core::bucket::Buckets;
use crate::core::hint::Budget;
use crate::core::id::{NodeId, StoreId};
use crate::core::quorum::age::Reading;
use crate::core::ring::{Member, Motion, Slice};
use crate::core::version::{Dot, Object};
use crate::node::disk::Disk;
use crate::node::env::{Env, Observer, Simulated};
use crate::node::lease::Lease;
use crate::node::stats::Stats;
use crate::node::view::{RingView, SharedRing};
use crate::storage::memory::MemoryDisk;

const OWN: StoreId = StoreId(3);
const SYNC: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(1);

struct Nobody;

impl Observer for Nobody {
    fn minted(&self, _: StoreId, _: &Key, _: Dot, _: &Object) {}
}

/// What was answered, in order.
#[derive(Default)]
struct Answers(Mutex<Vec<ReplicaReply>>);

impl ReplicaSink for Answers {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        self.0.lock().unwrap().extend(replies);
    }
}

impl Answers {
    /// In few words.
    fn told(&self) -> Vec<(u64, String)> {
        let told = |reply: ReplicaReply| match reply {
            ReplicaReply::Stored { id, leased, result: Ok(()) } => (id, format!("stored, leased {leased}")),
            ReplicaReply::Fetched { id, leased, result: Ok(_) } => (id, format!("fetched, leased {leased}")),
            ReplicaReply::Failed { id, error } => (id, error.to_string()),
            other => (other.id(), format!("{other:?}")),
        };
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().map(told).collect()
    }
}

fn epoch(counter: u64) -> Epoch {
    Epoch { generation: 0, counter }
}

fn key() -> Key {
    Key::bare("key")
}

/// Stores 1 to 4, and all partitions alike.
fn view(counter: u64, owners: &[u16], motion: Option<Motion<u16>>) -> Arc<RingView> {
    let member = |i: u128| Member {
        store: StoreId(i),
        node: NodeId(i as u32),
        address: format!("node{i}:8000"),
        zone: "z".into(),
        weight: 1,
    };
    let slice = Slice { owners: owners.to_vec(), motion, draining: vec![], since: epoch(counter) };
    let ring = Ring::of(epoch(counter), 2, (1..=4).map(member).collect(), &[slice.clone(), slice]);
    Arc::new(RingView::new(ring.unwrap(), Buckets::default()))
}

struct Stage {
    replica: Addr<Replica>,
    ring: SharedRing,
    answers: Arc<Answers>,
    needs_sync: Arc<NeedsSync>,
}

impl Stage {
    /// Store 3 is a stranger in the ring of epoch 5. It holds a lease.
    fn set(calls_in_flight_max: u32) -> Stage {
        let observer = Arc::new(Nobody);
        let sync_us_max = Arc::new(AtomicU64::new(SYNC.as_micros() as u64));
        let env = Env::simulated(1, Simulated { seed: 1, skew_ms: 0, sync_us_max, observer });
        let (engine, stats) = (Arc::new(MemoryDisk::new().open()), Arc::new(Stats::default()));
        let no_disk = Box::new(|| None);
        let (disk, gate) = Disk::start(&env, engine.clone(), &StorageConfig::default(), no_disk, stats.clone());
        let (lease, needs_sync) = (Lease::none(), Arc::new(NeedsSync::default()));
        lease.extend(env.boot_time(), Duration::from_secs(3600));
        let ring: SharedRing = Arc::new(ArcSwap::new(view(5, &[0, 1], None)));
        let parts = ReplicaParts {
            store: OWN,
            engine,
            disk,
            gate,
            ring: ring.clone(),
            limits: NodeLimits { calls_in_flight_max, ..NodeLimits::default() },
            recent_bytes_max: 1 << 20,
            hints: Arc::new(HintGauge::count(&MemoryDisk::new().open(), Budget::UNBOUNDED).expect("an empty engine")),
            missed: Arc::default(),
            reap: ReapTimes::of(&NodeConfig::default()),
            needs_sync: needs_sync.clone(),
            kept_trees: Arc::default(),
            lease,
            stats,
            env: env.clone(),
        };
        let replica = env.start(0, move |_| Replica::new(parts, 0));
        Stage { replica, ring, answers: Arc::default(), needs_sync }
    }

    fn call(&self, call: ReplicaCall) {
        self.replica.do_send(ReplicaBatch { calls: vec![call], sink: self.answers.clone() });
    }

    /// From 100 on it is a hint.
    fn store(&self, id: u64, counter: u64) {
        let (epoch, key, object) = (epoch(counter), key(), Object::default().encode());
        let hint = (id >= 100).then_some(StoreId(1));
        self.call(ReplicaCall::Store { id, epoch, key, object, hint, expires: now() + PATIENCE });
    }

    fn read(&self, id: u64, counter: u64, reading: Reading) {
        let expires = now() + PATIENCE;
        self.call(ReplicaCall::Fetch { id, epoch: epoch(counter), key: key(), reading, expires });
    }

    fn publish(&self, view: Arc<RingView>) {
        self.ring.store(view);
        self.replica.do_send(RingChanged);
    }

    /// What was answered until now, once everything is on the disk.
    async fn told(&self) -> Vec<(u64, String)> {
        sleep(SYNC * 4).await;
        self.answers.told()
    }
}

fn said(id: u64, what: &str) -> (u64, String) {
    (id, what.into())
}

async fn on_stage<F: Future<Output = ()>>(calls_in_flight_max: u32, case: impl FnOnce(Stage) -> F) {
    LocalSet::new().run_until(async { case(Stage::set(calls_in_flight_max)).await }).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_ahead_of_the_ring_waits_for_it() {
    on_stage(100, async |stage: Stage| {
        stage.store(1, 7);
        stage.read(2, 7, Reading::Strict);
        stage.read(3, 7, Reading::Sloppy);
        assert_eq!(stage.told().await, [said(3, "fetched, leased true")]);
        // Not yet the ring that they wait for.
        stage.publish(view(6, &[0, 1], None));
        assert_eq!(stage.told().await, []);
        stage.publish(view(7, &[0, 1], Some(Motion::Pending(vec![0, 2]))));
        assert_eq!(stage.told().await, [said(1, "stored, leased true"), said(2, "fetched, leased true")]);
        sleep(PATIENCE * 2).await;
        assert_eq!(stage.told().await, []);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_vain_is_late() {
    on_stage(100, async |stage: Stage| {
        stage.store(1, 7);
        sleep(PATIENCE / 2).await;
        stage.store(2, 7);
        sleep(PATIENCE / 2).await;
        assert_eq!(stage.told().await, [said(1, "too late")]);
        sleep(PATIENCE / 2).await;
        assert_eq!(stage.told().await, [said(2, "too late")]);
        stage.publish(view(7, &[0, 2], None));
        assert_eq!(stage.told().await, []);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_so_many_wait() {
    on_stage(2, async |stage: Stage| {
        (1..=3).for_each(|id| stage.store(id, 7));
        assert_eq!(stage.told().await, [said(3, "overloaded: limits.calls_in_flight_max")]);
        stage.publish(view(7, &[0, 2], None));
        assert_eq!(stage.told().await.len(), 2);
        stage.read(4, 8, Reading::Strict);
        assert_eq!(stage.told().await, [], "there is room again");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_behind_has_moved() {
    on_stage(100, async |stage: Stage| {
        stage.store(1, 4);
        stage.read(2, 4, Reading::Sloppy);
        stage.store(100, 4);
        let moved = "moved: the partition changed at epoch 0.5";
        assert_eq!(stage.told().await, [said(1, moved), said(2, moved), said(100, "stored, leased true")]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn is_settled_when_what_was_accepted_is_durable() {
    on_stage(100, async |stage: Stage| {
        stage.replica.send(Settle).await.unwrap();
        stage.store(1, 7);
        stage.store(100, 5);
        assert_eq!(stage.answers.told(), []);
        stage.replica.send(Settle).await.unwrap();
        assert_eq!(stage.answers.told(), [said(100, "stored, leased true")], "what is parked was not accepted");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_needs_sync_counts_in_no_pr_and_pw() {
    on_stage(100, async |stage: Stage| {
        let marked = stage.ring.load().ring.partition_of(&key());
        let _ = stage.needs_sync.mark(Partition(1 - marked.0), Why::Damage);
        stage.read(1, 5, Reading::StandIn);
        assert_eq!(stage.told().await, [said(1, "fetched, leased true")]);
        let _ = stage.needs_sync.mark(marked, Why::Damage);
        stage.read(2, 5, Reading::StandIn);
        stage.store(100, 5);
        assert_eq!(stage.told().await, [said(2, "fetched, leased false"), said(100, "stored, leased false")]);
    })
    .await;
}
