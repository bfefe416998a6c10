//! Nodes that speak the protocol on loopback ports and do as a test tells them.
//!
//! Unless told otherwise they answer like a cluster whose nodes share one memory. A test hands a node a reaction to requests
//! ([`FakeNode::react`]) and looks at what arrived ([`FakeNode::requests`], [`FakeNode::frames`]).

mod connection;
mod inspection;
mod memory;
#[cfg(feature = "server")]
mod tree;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv::core::bucket::Bucket;
use kv::core::id::{Epoch, NodeId, StoreId};
use kv::core::request::{Answer, Failure, Request};
use kv::core::ring::{Member, Ring};
use kv::wire::net::Listener;
use kv::wire::report::RingReport;
use tokio::task::JoinHandle;

use memory::Memory;

/// The name of every fake cluster.
pub const CLUSTER: &str = "fake";

/// What a node does with a request.
pub enum Reaction {
    /// Answers so.
    Answer(Result<Answer, Failure>),
    /// Answers as usual.
    Usual,
    /// Answers as usual, after a while.
    Later(Duration),
    /// Closes the connection.
    Close,
    /// Never answers this request, but goes on with all others and with pings.
    Hang,
    /// Says nothing more on this connection, not even to pings, and keeps it open.
    Silence,
}

type React = Box<dyn FnMut(&Request) -> Reaction + Send>;

/// Nodes with one ring and one memory.
pub struct FakeCluster {
    pub nodes: Vec<FakeNode>,
    ring: Arc<Mutex<RingReport>>,
}

/// What the nodes of a cluster share.
#[derive(Clone)]
pub struct Shared {
    ring: Arc<Mutex<RingReport>>,
    memory: Arc<Mutex<Memory>>,
}

/// One of them.
pub struct FakeNode {
    pub id: NodeId,
    pub address: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    id: NodeId,
    ring: Arc<Mutex<RingReport>>,
    memory: Arc<Mutex<Memory>>,
    react: Mutex<React>,
    requests: Mutex<Vec<Request>>,
    frames: AtomicUsize,
    connections: AtomicUsize,
    in_flight_max: AtomicU32,
    /// Set: new connections are accepted and get no greeting.
    mute: AtomicBool,
    #[cfg(feature = "server")]
    keeper: Mutex<tree::Keeper>,
    /// Said to every connection.
    goodbye: tokio::sync::watch::Sender<String>,
}

impl Shared {
    /// A first ring over these nodes, and an empty memory.
    pub fn new(nodes: Vec<(NodeId, String)>, replication: u8, buckets: Vec<(String, Bucket)>) -> Shared {
        let members = nodes.into_iter().map(|(id, address)| member(id, address)).collect();
        let ring = Ring::new(Epoch { generation: 0, counter: 1 }, 64, replication, members).unwrap();
        let ring = Arc::new(Mutex::new(RingReport { cluster: CLUSTER.into(), ring, buckets }));
        Shared { ring, memory: Arc::default() }
    }
}

impl FakeCluster {
    /// Starts nodes 1 to `count` on free ports.
    pub async fn start(count: u32, replication: u8) -> FakeCluster {
        FakeCluster::start_with(count, replication, vec![]).await
    }

    /// The same with buckets of their own.
    pub async fn start_with(count: u32, replication: u8, buckets: Vec<(String, Bucket)>) -> FakeCluster {
        let mut listeners = Vec::new();
        for id in 1..=count {
            listeners.push((NodeId(id), Listener::bind("127.0.0.1:0").await.unwrap()));
        }
        let members = listeners.iter().map(|(id, l)| (*id, l.local_addr().unwrap().to_string())).collect();
        let shared = Shared::new(members, replication, buckets);
        let nodes = listeners.into_iter().map(|(id, l)| FakeNode::start(id, l, shared.clone())).collect();
        FakeCluster { nodes, ring: shared.ring }
    }

    /// Addresses, for a client.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|n| n.address.clone()).collect()
    }

    /// The node with this number.
    pub fn node(&self, id: NodeId) -> &FakeNode {
        &self.nodes[id.0 as usize - 1]
    }

    /// Replaces the ring by a newer one over the nodes whose numbers are given.
    pub fn change_ring(&self, replication: u8, nodes: &[u32]) -> Epoch {
        let mut report = self.ring.lock().unwrap();
        let epoch = Epoch { generation: 0, counter: report.ring.epoch.counter + 1 };
        let members = nodes.iter().map(|&id| member(NodeId(id), self.node(NodeId(id)).address.clone())).collect();
        report.ring = Ring::new(epoch, 64, replication, members).unwrap();
        epoch
    }

    /// How many requests all nodes got.
    pub fn requests(&self) -> usize {
        self.nodes.iter().map(|n| n.requests().len()).sum()
    }
}

impl FakeNode {
    /// Serves what comes to `listener`.
    pub fn start(id: NodeId, listener: Listener, shared: Shared) -> FakeNode {
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            id,
            ring: shared.ring,
            memory: shared.memory,
            react: Mutex::new(Box::new(|_| Reaction::Usual)),
            requests: Mutex::default(),
            frames: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            in_flight_max: AtomicU32::new(1000),
            mute: AtomicBool::new(false),
            #[cfg(feature = "server")]
            keeper: Mutex::new(tree::Keeper::new(id)),
            goodbye: tokio::sync::watch::Sender::new(String::new()),
        });
        let task = tokio::spawn(connection::accept(listener, state.clone()));
        FakeNode { id, address, state, task }
    }

    /// From now on it reacts so to requests.
    pub fn react(&self, react: impl FnMut(&Request) -> Reaction + Send + 'static) {
        *self.state.react.lock().unwrap() = Box::new(react);
    }

    /// It falls silent, on every connection as soon as a request arrives there, and for new ones.
    pub fn fall_silent(&self) {
        self.state.mute.store(true, Ordering::SeqCst);
        self.react(|_| Reaction::Silence);
    }

    /// It is as it was.
    pub fn recover(&self) {
        self.state.mute.store(false, Ordering::SeqCst);
        self.react(|_| Reaction::Usual);
    }

    /// It takes so many requests at once.
    pub fn set_in_flight_max(&self, max: u32) {
        self.state.in_flight_max.store(max, Ordering::SeqCst);
    }

    /// It closes its port and all connections.
    pub fn stop(&self) {
        self.task.abort();
    }

    /// It says goodbye to all connections.
    pub fn say_goodbye(&self, reason: &str) {
        self.state.goodbye.send_replace(reason.into());
    }

    /// What it was asked.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    /// How many frames came after greetings.
    pub fn frames(&self) -> usize {
        self.state.frames.load(Ordering::SeqCst)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until it is so.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let waited = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(Duration::from_secs(20), what, waited).await;
}

/// What it comes to, if it comes to anything in time.
pub async fn within<T>(time: Duration, what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(time, future).await.unwrap_or_else(|_| panic!("not within {time:?}: {what}"))
}

fn member(node: NodeId, address: String) -> Member {
    Member { store: StoreId(node.0.into()), node, address, zone: String::new(), weight: 1 }
}

/// How many requests each node got.
pub fn spread(cluster: &FakeCluster) -> BTreeMap<NodeId, usize> {
    cluster.nodes.iter().map(|n| (n.id, n.requests().len())).collect()
}
