//! One replica that keeps copies for others, on a disk that is full at times, under virtual time.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::messages::{ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink};
use super::{HintGauge, ReapTimes, Replica, ReplicaParts};
use crate::config::{NodeConfig, NodeLimits, StorageConfig};
use crate::core::bucket::Buckets;
use crate::core::hint::Budget;
use crate::core::id::{Epoch, NodeId, StoreId};
use crate::core::key::Key;
use crate::core::ring::{Member, Ring, Slice};
use crate::core::version::{Dot, Object};
use crate::node::disk::Disk;
use crate::node::env::{Env, Observer, Simulated, now};
use crate::node::lease::Lease;
use crate::node::stats::Stats;
use crate::node::view::RingView;
use crate::storage::memory::MemoryDisk;

const OWN: StoreId = StoreId(3);
const TARGET: StoreId = StoreId(1);
const PATIENCE: Duration = Duration::from_secs(1);

struct Nobody;

impl Observer for Nobody {
    fn minted(&self, _: StoreId, _: &Key, _: Dot, _: &Object) {}
}

/// Who asks does not wait for answers.
struct Unheard;

impl ReplicaSink for Unheard {
    fn reply(&self, _: Vec<ReplicaReply>) {}
}

struct Stage {
    replica: Addr<Replica>,
    disk: MemoryDisk,
    hints: Arc<HintGauge>,
}

impl Stage {
    /// Store 3 stands in for stores 1 and 2.
    fn set() -> Stage {
        let sync_us_max = Arc::new(AtomicU64::new(1000));
        let env = Env::simulated(1, Simulated { seed: 1, skew_ms: 0, sync_us_max, observer: Arc::new(Nobody) });
        let memory = MemoryDisk::new();
        let (engine, stats) = (Arc::new(memory.open()), Arc::new(Stats::default()));
        let (disk, gate) =
            Disk::start(&env, engine.clone(), &StorageConfig::default(), Box::new(|| None), stats.clone());
        let member = |i: u128| Member {
            store: StoreId(i),
            node: NodeId(i as u32),
            address: format!("node{i}:8000"),
            zone: "z".into(),
            weight: 1,
        };
        let slice = Slice::at_rest(vec![0, 1]);
        let ring = Ring::of(Epoch::default(), 2, (1..=3).map(member).collect(), &[slice]).unwrap();
        let hints = Arc::new(HintGauge::count(&*engine, Budget::UNBOUNDED).unwrap());
        let parts = ReplicaParts {
            store: OWN,
            engine,
            disk,
            gate,
            ring: Arc::new(ArcSwap::from_pointee(RingView::new(ring, Buckets::default()))),
            limits: NodeLimits::default(),
            recent_bytes_max: 1 << 20,
            hints: hints.clone(),
            missed: Arc::default(),
            kept_trees: Arc::default(),
            reap: ReapTimes::of(&NodeConfig::default()),
            needs_sync: Arc::default(),
            lease: Lease::none(),
            stats,
            env: env.clone(),
        };
        Stage { replica: env.start(0, move |_| Replica::new(parts, 0)), disk: memory, hints }
    }

    /// Calls, and answers how many hints are counted once the disk is done with it.
    async fn counted_after(&self, call: ReplicaCall) -> u64 {
        self.replica.do_send(ReplicaBatch { calls: vec![call], sink: Arc::new(Unheard) });
        sleep(PATIENCE / 2).await;
        self.hints.backlogs().targets().map(|(_, backlog)| backlog.keys).sum()
    }
}

fn keep(key: &'static str) -> ReplicaCall {
    let (object, expires) = (Object::default().encode(), now() + PATIENCE);
    ReplicaCall::Store { id: 1, epoch: Epoch::default(), key: Key::bare(key), object, hint: Some(TARGET), expires }
}

fn handed_off(key: &'static str) -> ReplicaCall {
    ReplicaCall::HandedOff { id: 2, key: Key::bare(key), target: TARGET, clock: Object::default().clock() }
}

#[tokio::test(start_paused = true)]
async fn what_a_full_disk_refused_changes_no_count() {
    let case = async {
        let stage = Stage::set();
        stage.disk.set_full(true);
        assert_eq!(stage.counted_after(keep("refused")).await, 0, "it is not there, and would wait for ever");
        stage.disk.set_full(false);
        assert_eq!(stage.counted_after(keep("kept")).await, 1);
        stage.disk.set_full(true);
        assert_eq!(stage.counted_after(handed_off("kept")).await, 1, "it is still there, and is to be looked for");
        stage.disk.set_full(false);
        assert_eq!(stage.counted_after(handed_off("kept")).await, 0);
    };
    LocalSet::new().run_until(case).await;
}
