//! Whole nodes in a simulated network: the same actors, frames and timeouts as in a process, with a watched disk below.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv::api::server::Server;
use kv::config::{Config, NodeEntry};
use kv::coordination::api::Service;
use kv::coordination::local::Local;
use kv::coordination::registry::{self, Founding};
use kv::core::bucket::{Bucket, Conflict};
use kv::core::id::{NodeId, StoreId};
use kv::core::ring::Ring;
use kv::node::env::{Env, Simulated};
use kv::node::ring_manager::RingManager;
use kv::storage::home::memory::MemoryDirectory;
use kv::storage::memory::{MemoryDisk, Snapshot};
use rand::rngs::StdRng;

use crate::history::Fault;
use crate::home::{CLUSTER, WatchedHome};
use crate::recorder::Recorder;
use crate::watched::WatchedEngine;

/// The bucket in which the newest write wins.
pub const LWW: &str = "lww";

const PORT: u16 = 8000;
/// How long a sync takes at most on a healthy disk, in microseconds.
const SYNC_US_MAX: u64 = 5_000;

/// A node, running or not.
pub struct SimNode {
    pub name: String,
    pub store: StoreId,
    pub disk: MemoryDisk,
    pub running: bool,
    sync_us_max: Arc<AtomicU64>,
    snapshot: Option<Snapshot>,
}

/// All nodes. What happens to them is recorded.
pub struct SimCluster {
    pub nodes: Vec<SimNode>,
    pub recorder: Arc<Recorder>,
}

/// What a simulated cluster is made of.
pub struct Shape {
    pub seed: u64,
    pub nodes: u32,
    /// How far each node's clock is off, in milliseconds.
    pub skews_ms: Vec<i64>,
}

impl Shape {
    fn config(&self, id: u32) -> Config {
        let mut config = Config::default();
        config.cluster.name = "simulation".into();
        config.cluster.partitions = 16;
        config.cluster.nodes = (1..=self.nodes).map(|id| NodeEntry::new(NodeId(id), format!("n{id}:{PORT}"))).collect();
        let lww = Bucket { conflict: Conflict::Lww, ..Bucket::default() };
        config.cluster.buckets.insert(LWW.into(), lww);
        config.node.id = NodeId(id);
        config.node.listen = format!("0.0.0.0:{PORT}");
        config.node.advertise = format!("n{id}:{PORT}");
        config.node.timing.request_timeout_ms = 2000;
        config.node.timing.handoff_interval_ms = 500;
        config
    }

    fn store(&self, id: u32) -> StoreId {
        StoreId(0xa5a5 << 112 | u128::from(id))
    }

    /// The ring that the cluster is founded with, and the service that keeps it.
    pub fn found(&self) -> (Ring, Local) {
        let service = Local::new();
        let config = self.config(1).cluster;
        let founding = Founding {
            id: CLUSTER,
            name: config.name,
            partitions: config.partitions,
            replication: config.replication,
            nodes: config.nodes.iter().map(|node| (node.clone(), Some(self.store(node.id.0)))).collect(),
            voters: vec![NodeId(1)],
            buckets: config.buckets,
        };
        let membership = futures_now(async {
            let session = service.open(Duration::from_secs(60)).await.expect("a session");
            let founded = registry::found(&*session, &founding, 0, &mut || unreachable!("all stores are known")).await;
            founded.expect("a valid configuration");
            registry::read(&*session).await.expect("a cluster").membership()
        });
        (RingManager::view(membership).expect("a ring").ring, service)
    }
}

/// The value of a future that is ready.
fn futures_now<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future)
}

impl SimCluster {
    /// Adds the nodes to a simulation; they start with it.
    pub fn start(sim: &mut turmoil::Sim, shape: &Shape, service: &Local, recorder: Arc<Recorder>) -> SimCluster {
        let nodes = (1..=shape.nodes).map(|id| start_node(sim, shape, service, id, &recorder)).collect();
        SimCluster { nodes, recorder }
    }

    /// Kills a node's process; with its power, unsynced bytes go too.
    pub fn stop(&mut self, sim: &mut turmoil::Sim, node: usize, fault: Fault, rng: &mut StdRng) {
        let node = &mut self.nodes[node];
        match fault {
            Fault::PowerLoss => node.disk.power_loss(rng),
            _ => node.disk.crash(),
        }
        sim.crash(node.name.as_str());
        node.running = false;
        self.recorder.fault(node.store, fault);
    }

    /// Empties the disk of a node that is down, or puts an earlier state on it.
    pub fn forget(&mut self, node: usize, fault: Fault) {
        let node = &mut self.nodes[node];
        match (fault, &node.snapshot) {
            (Fault::Rollback, Some(snapshot)) => node.disk.restore(snapshot),
            _ => node.disk.wipe(),
        }
        self.recorder.fault(node.store, fault);
    }

    /// Remembers what a disk holds, for a rollback.
    pub fn remember(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        node.snapshot = Some(node.disk.snapshot());
    }

    /// Starts a node that is down.
    pub fn restart(&mut self, sim: &mut turmoil::Sim, node: usize) {
        let node = &mut self.nodes[node];
        node.disk.heal();
        sim.bounce(node.name.as_str());
        node.running = true;
    }

    /// Makes a disk slower than it was by this factor; 1 is healthy.
    pub fn slow_disk(&self, node: usize, factor: u64) {
        self.nodes[node].sync_us_max.store(SYNC_US_MAX * factor, Ordering::Relaxed);
    }
}

fn start_node(sim: &mut turmoil::Sim, shape: &Shape, service: &Local, id: u32, recorder: &Arc<Recorder>) -> SimNode {
    let (disk, name) = (MemoryDisk::new(), format!("n{id}"));
    let (config, store) = (shape.config(id), shape.store(id));
    let sync_us_max = Arc::new(AtomicU64::new(SYNC_US_MAX));
    let starts = Arc::new(AtomicU64::new(0));
    let (seed, skew_ms) = (shape.seed, shape.skews_ms[id as usize - 1]);
    let node = SimNode {
        name: name.clone(),
        store,
        disk: disk.clone(),
        running: true,
        sync_us_max: sync_us_max.clone(),
        snapshot: None,
    };
    let (recorder, service, directory) = (recorder.clone(), service.clone(), MemoryDirectory::default());
    sim.host(name, move || {
        let start = starts.fetch_add(1, Ordering::Relaxed) + 1;
        let (config, recorder, sync_us_max) = (config.clone(), recorder.clone(), sync_us_max.clone());
        let engine = WatchedEngine::open(store, &disk, recorder.clone());
        let home = WatchedHome::open(&directory, store, &config, engine);
        let service = Arc::new(service.clone());
        async move {
            // Every start has randomness of its own, or two lives would be one.
            let seed = seed ^ ((id as u64) << 48) ^ (start << 32);
            let env = Env::simulated(1, Simulated { seed, skew_ms, sync_us_max, observer: recorder });
            let _server = Server::start(config, Arc::new(Mutex::new(Box::new(home))), Some(service), env).await?;
            std::future::pending().await
        }
    });
    node
}
