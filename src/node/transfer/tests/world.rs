//! Stores on disks in memory, and what passes between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{mpsc, watch};

use super::super::agenda::Aged;
use super::super::messages::{MoveThrough, ReportTransfers};
use super::super::{Mover, MoverParts, Presence, Reports};
use crate::config::{Config, NodeConfig, StorageConfig, TransferConfig};
use crate::core::bucket::Buckets;
use crate::core::hint::Budget;
use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::key::Key;
use crate::core::merkle::Leaves;
use crate::core::quorum::age::Reading;
use crate::core::ring::{Member, Ring, Slice};
use crate::core::version::{self, Dot, Object, Payload, Sibling};
use crate::node::admission::Admission;
use crate::node::connection_pool::messages::{PeerEvent, PeerSend};
use crate::node::disk::Disk;
use crate::node::env::{Env, now};
use crate::node::lease::Lease;
use crate::node::repair::messages::RepairThrough;
use crate::node::repair::{Repairer, RepairerParts};
use crate::node::replica::messages::{Halt, ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink};
use crate::node::replica::needs_sync::NeedsSync;
use crate::node::replica::{HintGauge, ReapTimes, Replica, ReplicaParts};
use crate::node::stats::{Counter, Stats};
use crate::node::view::{RingView, SharedHealth, SharedRing, no_health};
use crate::storage::memory::MemoryDisk;
use crate::storage::{Batch, Engine, Space};
use crate::wire::exchange::LeavesAnswer;
use crate::wire::message::{ReplicaError, ToCoordinator, ToReplica};
use crate::wire::report::TransfersReport;

pub const OLD: StoreId = StoreId(1);
pub const STAYS: StoreId = StoreId(2);
pub const NEW: StoreId = StoreId(9);
pub const PARTITION: Partition = Partition(3);
pub const SINCE: Epoch = Epoch { generation: 0, counter: 5 };
pub const SWITCHED: Epoch = Epoch { generation: 0, counter: 6 };
const PARTITIONS: u32 = 16;
const PATIENCE: Duration = Duration::from_secs(60);

/// A place beyond those of [`OLD`] and [`STAYS`].
pub enum Place {
    Third,
}

impl Place {
    pub fn store(self) -> StoreId {
        StoreId(3)
    }
}

/// The first keys of the partition.
pub fn keys(count: usize) -> Vec<Key> {
    let partition = |key: &Key| key.token().partition(PARTITIONS);
    (0..).map(|i: u32| Key::bare(i.to_string())).filter(|key| partition(key) == PARTITION).take(count).collect()
}

/// The object of a key after so many writes, encoded.
pub fn object(events: u64) -> Bytes {
    let dot = |counter| Dot { actor: version::Actor { incarnation: 1, birth: 1 }, counter };
    let mut object = Object::default();
    (1..=events).for_each(|counter| object.context.add(dot(counter), 0));
    let payload = Payload::Value(Bytes::from(vec![7; 100]));
    object.siblings.push(Sibling { dot: dot(events), time: 0, payload, expires_ms: None });
    object.encode()
}

/// A ring in which this is the slice of the partition.
fn ring(slice: &Slice) -> Ring {
    let stores = [OLD, STAYS, Place::Third.store(), NEW];
    let member = |store: StoreId| Member {
        store,
        node: NodeId(store.0 as u32),
        address: format!("node{}:8000", store.0),
        zone: String::new(),
        weight: 1,
    };
    let number = |store: &StoreId| stores.iter().position(|other| other == store).map(|i| i as u16);
    let of = |p: u16| if Partition(p) == PARTITION { slice.clone() } else { Slice::at_rest(vec![OLD, STAYS]) };
    let slices: Option<Vec<Slice<u16>>> = (0..PARTITIONS as u16).map(|p| of(p).rename(number)).collect();
    Ring::of(slice.since, 3, stores.map(member).to_vec(), &slices.expect("known stores")).expect("a ring")
}

struct Machine {
    disk: MemoryDisk,
    engine: Arc<dyn Engine>,
    queue: Disk,
    hints: Arc<HintGauge>,
    needs_sync: Arc<NeedsSync>,
    replica: Addr<Replica>,
    stats: Arc<Stats>,
}

impl Machine {
    fn start(store: StoreId, disk: MemoryDisk, ring: &SharedRing) -> Machine {
        let (env, stats) = (Env::real(1), Arc::new(Stats::default()));
        let engine: Arc<dyn Engine> = Arc::new(disk.open());
        let storage = StorageConfig::default();
        let (queue, gate) = Disk::start(&env, engine.clone(), &storage, Box::new(|| None), stats.clone());
        let hints = Arc::new(HintGauge::count(&*engine, Budget::UNBOUNDED).expect("the engine reads"));
        let needs_sync = Arc::new(NeedsSync::open(&*engine).expect("the engine reads"));
        let parts = ReplicaParts {
            store,
            engine: engine.clone(),
            disk: queue.clone(),
            gate,
            ring: ring.clone(),
            limits: Config::default().node.limits,
            recent_bytes_max: 1 << 20,
            hints: hints.clone(),
            missed: Arc::default(),
            reap: ReapTimes::of(&NodeConfig::default()),
            needs_sync: needs_sync.clone(),
            kept_trees: Arc::default(),
            lease: Lease::none(),
            stats: stats.clone(),
            env: env.clone(),
        };
        let replica = env.start(0, move |_| Replica::new(parts, 0));
        Machine { disk, engine, queue, hints, needs_sync, replica, stats }
    }
}

/// What was reported, and in what order.
#[derive(Default)]
struct Told {
    arrived: Mutex<BTreeSet<Aged>>,
    drained: Mutex<BTreeSet<Aged>>,
    unsynced: Mutex<BTreeSet<Partition>>,
}

impl Reports for Told {
    fn arrived(&self, partitions: Vec<Aged>) {
        self.arrived.lock().expect("unpoisoned").extend(partitions);
    }

    fn drained(&self, partitions: Vec<Aged>) {
        self.drained.lock().expect("unpoisoned").extend(partitions);
    }

    fn unsynced(&self, partitions: BTreeSet<Partition>) {
        *self.unsynced.lock().expect("unpoisoned") = partitions;
    }
}

/// Hands calls to the Replica that they are for, unless its link is cut.
struct Post {
    replicas: BTreeMap<StoreId, Addr<Replica>>,
    cut: Arc<Mutex<BTreeSet<StoreId>>>,
    asker: Recipient<PeerEvent>,
}

impl Actor for Post {
    type Context = Context<Self>;
}

impl Handler<PeerSend> for Post {
    type Result = ();

    fn handle(&mut self, send: PeerSend, _: &mut Context<Self>) {
        let PeerSend { to: from, messages } = send;
        if self.cut.lock().expect("unpoisoned").contains(&from) {
            let refused = messages.iter().map(|message| (message.id(), ReplicaError::Unreachable)).collect();
            return self.asker.do_send(PeerEvent::Refused { from, refused });
        }
        let calls = messages.into_iter().map(call).collect();
        let sink = Arc::new(Back { from, asker: self.asker.clone() });
        self.replicas[&from].do_send(ReplicaBatch { calls, sink });
    }
}

fn call(message: ToReplica) -> ReplicaCall {
    match message {
        ToReplica::Store { id, epoch, key, object, hint, .. } => {
            ReplicaCall::Store { id, epoch, key, object, hint, expires: now() + PATIENCE }
        }
        ToReplica::Leaves { id, epoch, partition } => ReplicaCall::Leaves { id, epoch, partition },
        ToReplica::Clocks { id, epoch, partition, leaves, after, limit } => {
            ReplicaCall::Clocks { id, epoch, partition, leaves, after, limit: limit as usize }
        }
        ToReplica::Pull { id, epoch, partition, after, bytes_max } => {
            ReplicaCall::Pull { id, epoch, partition, after, bytes_max: bytes_max as usize }
        }
        ToReplica::Objects { id, epoch, partition, keys } => ReplicaCall::Objects { id, epoch, partition, keys },
        ToReplica::Sums { id, epoch, partition, depth, nodes } => {
            ReplicaCall::Sums { id, epoch, partition, depth, nodes }
        }
        other => panic!("no work asks {other:?}"),
    }
}

struct Back {
    from: StoreId,
    asker: Recipient<PeerEvent>,
}

impl ReplicaSink for Back {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        let reply = |reply| match reply {
            ReplicaReply::Stored { id, leased, result } => ToCoordinator::Stored { id, leased, result },
            ReplicaReply::Leaves { id, result } => ToCoordinator::Leaves { id, result },
            ReplicaReply::Sums { id, result } => ToCoordinator::Sums { id, result },
            ReplicaReply::Clocks { id, result } => ToCoordinator::Clocks { id, result },
            ReplicaReply::Page { id, result } => ToCoordinator::Page { id, result },
            ReplicaReply::Failed { id, error } => ToCoordinator::Failed { id, error },
            other => panic!("{other:?}"),
        };
        let replies = replies.into_iter().map(reply).collect();
        self.asker.do_send(PeerEvent::Replies { from: self.from, replies });
    }
}

/// A Mover at work.
pub struct Moving {
    mover: Addr<Mover>,
}

impl Moving {
    pub async fn report(&self) -> TransfersReport {
        self.mover.send(ReportTransfers).await.expect("it runs")
    }
}

struct Replies(mpsc::UnboundedSender<ReplicaReply>);

impl ReplicaSink for Replies {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        // A test may have heard enough.
        replies.into_iter().for_each(|reply| drop(self.0.send(reply)));
    }
}

/// Four stores and one partition: all own it until the first Mover starts, and then those who are to.
pub struct World {
    slice: Slice,
    ring: SharedRing,
    machines: BTreeMap<StoreId, Machine>,
    presence: watch::Sender<Option<Arc<Presence>>>,
    told: Arc<Told>,
    cut: Arc<Mutex<BTreeSet<StoreId>>>,
    health: SharedHealth,
    config: Config,
}

impl World {
    pub fn new(slice: Slice, configure: impl FnOnce(&mut TransferConfig)) -> World {
        let stores = [OLD, STAYS, Place::Third.store(), NEW];
        let before = RingView::new(ring(&Slice::at_rest(stores.to_vec())), Buckets::default());
        let ring: SharedRing = Arc::new(ArcSwap::from_pointee(before));
        let start = |store| (store, Machine::start(store, MemoryDisk::new(), &ring));
        let mut config = Config::default();
        configure(&mut config.node.transfer);
        World {
            machines: stores.map(start).into(),
            slice,
            ring,
            presence: watch::channel(None).0,
            told: Arc::default(),
            cut: Arc::default(),
            health: no_health(),
            config,
        }
    }

    /// The partition goes on to this.
    pub fn publish(&self, slice: &Slice) {
        self.ring.store(Arc::new(RingView::new(ring(slice), Buckets::default())));
    }

    pub fn configure(&mut self, configure: impl FnOnce(&mut TransferConfig)) {
        configure(&mut self.config.node.transfer);
    }

    /// The partition is as the world was made for, and this store's Mover sees to it.
    pub fn mover(&self, own: StoreId) -> Moving {
        self.publish(&self.slice);
        let machine = &self.machines[&own];
        let parts = MoverParts {
            own,
            config: Arc::new(self.config.clone()),
            ring: self.ring.clone(),
            presence: self.presence.subscribe(),
            engine: machine.engine.clone(),
            disk: machine.queue.clone(),
            hints: machine.hints.clone(),
            replicas: Arc::new(vec![machine.replica.clone()]),
            reports: self.told.clone(),
            stats: machine.stats.clone(),
        };
        let mover = Mover::new(parts).expect("the store is read").start();
        mover.do_send(MoveThrough(self.post(mover.clone().recipient())));
        Moving { mover }
    }

    fn post(&self, asker: Recipient<PeerEvent>) -> Recipient<PeerSend> {
        let replicas = self.machines.iter().map(|(store, machine)| (*store, machine.replica.clone())).collect();
        Post { replicas, cut: self.cut.clone(), asker }.start().recipient()
    }

    /// The partition is as the world was made for, and this store's Repairer sees to it after a clean stop or another.
    pub fn repairer(&self, own: StoreId, is_unclean: bool, configure: impl FnOnce(&mut Config)) -> Addr<Repairer> {
        self.publish(&self.slice);
        let machine = &self.machines[&own];
        let mut config = self.config.clone();
        configure(&mut config);
        let parts = RepairerParts {
            own,
            config: Arc::new(config),
            session_max: Duration::from_secs(3600),
            is_unclean,
            ring: self.ring.clone(),
            health: self.health.clone(),
            presence: self.presence.subscribe(),
            needs_sync: machine.needs_sync.clone(),
            engine: machine.engine.clone(),
            disk: machine.queue.clone(),
            hints: machine.hints.clone(),
            replicas: Arc::new(vec![machine.replica.clone()]),
            admission: Admission::new(100),
            reports: self.told.clone(),
            stats: machine.stats.clone(),
            env: Env::real(1),
        };
        let repairer = Repairer::new(parts).start();
        repairer.do_send(RepairThrough(self.post(repairer.clone().recipient())));
        repairer
    }

    /// Somebody copies what a store holds of the partition.
    pub async fn pull(&self, store: StoreId) {
        let call = ReplicaCall::Pull { id: 1, epoch: SINCE, partition: PARTITION, after: None, bytes_max: 1 << 20 };
        let reply = self.ask(store, vec![call]).await.pop();
        assert!(matches!(reply, Some(ReplicaReply::Page { result: Ok(_), .. })), "{reply:?}");
    }

    /// These can be reached.
    pub fn reach(&self, stores: &[StoreId]) {
        self.health.store(Arc::new(stores.to_vec()));
    }

    /// The partitions that were last told to need sync.
    pub fn unsynced(&self) -> Vec<Partition> {
        self.told.unsynced.lock().expect("unpoisoned").iter().copied().collect()
    }

    /// Whether a store may miss something of the partition.
    pub fn is_marked(&self, store: StoreId) -> bool {
        self.machines[&store].needs_sync.contains(PARTITION)
    }

    /// A store's disk forgets what it holds of a key.
    pub fn rot(&self, store: StoreId, key: &Key) {
        let mut batch = Batch::default();
        batch.put(Space::Objects, key.stored(PARTITION), &b"rotten"[..]);
        self.machines[&store].engine.apply(batch).expect("the engine writes");
    }

    /// What is on a store's disk.
    pub fn on_disk(&self, store: StoreId, key: &Key) -> Option<Bytes> {
        self.machines[&store].engine.get(Space::Objects, &key.stored(PARTITION)).expect("the engine reads")
    }

    /// These are live, each with the counter of the epoch that it has acknowledged.
    pub fn present(&self, live: &[(StoreId, u64)]) {
        let live = live.iter().map(|(store, counter)| (*store, Some(Epoch { counter: *counter, ..SINCE })));
        self.presence.send_replace(Some(Arc::new(live.collect())));
    }

    /// These are live and have acknowledged the ring.
    pub fn acknowledge(&self, live: &[StoreId]) {
        self.present(&live.iter().map(|store| (*store, SINCE.counter)).collect::<Vec<_>>());
    }

    pub fn cut(&self, store: StoreId, is_cut: bool) {
        let mut cut = self.cut.lock().expect("unpoisoned");
        if is_cut {
            cut.insert(store)
        } else {
            cut.remove(&store)
        };
    }

    /// What was not synced is gone, and the store starts again.
    pub async fn crash(&mut self, store: StoreId, moving: Moving) {
        moving.mover.do_send(crate::node::start::Stop);
        let machine = self.machines.remove(&store).expect("a machine");
        machine.disk.power_loss(&mut SmallRng::seed_from_u64(7));
        machine.replica.send(Halt).await.expect("it ran");
        self.machines.insert(store, Machine::start(store, machine.disk, &self.ring));
    }

    pub fn arrived(&self) -> Vec<Aged> {
        self.told.arrived.lock().expect("unpoisoned").iter().copied().collect()
    }

    pub fn drained(&self) -> Vec<Aged> {
        self.told.drained.lock().expect("unpoisoned").iter().copied().collect()
    }

    pub fn counted(&self, store: StoreId, counter: Counter) -> u64 {
        let counters = self.machines[&store].stats.counters();
        counters.into_iter().find(|(name, _)| name == counter.name()).map_or(0, |(_, value)| value)
    }

    /// Whether a store's disk has something under this key.
    pub fn kept(&self, store: StoreId, space: Space, key: &[u8]) -> bool {
        self.machines[&store].engine.get(space, key).expect("the engine reads").is_some()
    }

    async fn ask(&self, store: StoreId, calls: Vec<ReplicaCall>) -> Vec<ReplicaReply> {
        let (sink, mut answers) = mpsc::unbounded_channel();
        let (count, mut replies) = (calls.len(), vec![]);
        self.machines[&store].replica.do_send(ReplicaBatch { calls, sink: Arc::new(Replies(sink)) });
        while replies.len() < count {
            replies.push(answers.recv().await.expect("every call is answered"));
        }
        replies
    }

    /// Holds these keys after so many writes.
    pub async fn store(&self, store: StoreId, keys: &[Key], events: u64) {
        self.store_hinted(store, keys, events, None).await;
    }

    /// Keeps these keys for somebody.
    pub async fn store_for(&self, store: StoreId, keys: &[Key], target: StoreId) {
        self.store_hinted(store, keys, 1, Some(target)).await;
    }

    async fn store_hinted(&self, store: StoreId, keys: &[Key], events: u64, hint: Option<StoreId>) {
        let one = |key: &Key| {
            let (key, object) = (key.clone(), object(events));
            ReplicaCall::Store { id: 1, epoch: Epoch::default(), key, object, hint, expires: now() + PATIENCE }
        };
        for reply in self.ask(store, keys.iter().map(one).collect()).await {
            assert!(matches!(reply, ReplicaReply::Stored { result: Ok(()), .. }), "{reply:?}");
        }
    }

    /// What a store holds of the partition: leaves and keys.
    pub async fn holding(&self, store: StoreId) -> (Leaves, u64) {
        loop {
            let call = ReplicaCall::Leaves { id: 1, epoch: SINCE, partition: PARTITION };
            match self.ask(store, vec![call]).await.pop() {
                Some(ReplicaReply::Leaves { result: Ok(LeavesAnswer::Whole { leaves, keys, .. }), .. }) => {
                    return (leaves, keys);
                }
                Some(ReplicaReply::Leaves { result: Ok(LeavesAnswer::Building { .. }), .. }) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn object(&self, store: StoreId, key: &Key) -> Option<Bytes> {
        let call = ReplicaCall::Fetch {
            id: 1,
            epoch: SINCE,
            key: key.clone(),
            reading: Reading::Sloppy,
            expires: now() + PATIENCE,
        };
        match self.ask(store, vec![call]).await.pop() {
            Some(ReplicaReply::Fetched { result: Ok(object), .. }) => object.map(|object| object.0),
            other => panic!("{other:?}"),
        }
    }

    pub async fn until(&self, condition: impl Fn() -> bool) {
        self.until_async(async || condition()).await;
    }

    pub async fn until_async(&self, condition: impl AsyncFn() -> bool) {
        let waited = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.expect("it comes about");
    }
}
