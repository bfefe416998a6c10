//! A cluster inside a test.
//!
//! [`Cluster::start`] runs whole nodes in the test's own process: the same actors, sockets and files as `kv-server`, on
//! free ports of the loopback interface, with their data in a temporary directory. Each has a thread and an event loop
//! of its own, so they live and stop independently of the test's runtime. When the cluster is dropped they stop and
//! their data is deleted.
//!
//! ```
//! use kv::core::id::NodeId;
//! use kv::testing::Cluster;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut cluster = Cluster::start(3).await?;
//! let client = cluster.client().await?;
//! client.put("foo", "bar").w(3).await?;
//!
//! cluster.stop(NodeId(3)).await?;
//! assert!(client.put("foo", "baz").w(3).strict().await.is_err());
//! let read = client.get("foo").r(2).await?;
//! assert_eq!(read.value().map(|value| &value[..]), Some(&b"bar"[..]));
//!
//! cluster.restart(NodeId(3)).await?;
//! client.put("foo", "baz").w(3).strict().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A thread cannot be killed, so a node here always stops in order. What a crash or a power loss does is seen with real
//! processes alone.

mod links;
mod node;
mod ports;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tempfile::TempDir;

use self::node::Running;
use crate::api::process::RunError;
use crate::client::{Client, ClientError};
use crate::config::{ClusterConfig, Config, CoordinationConfig, NodeEntry, SyncPolicy};
use crate::core::id::NodeId;
use crate::core::ring::REPLICATION_DEFAULT;

pub use links::{wait_until_linked, wait_until_ready};
pub use ports::free_addresses;

/// How long nodes may take to find each other.
const LINKED_WITHIN: Duration = Duration::from_secs(30);
/// A test that stops a node and starts it again should not wait for the usual pause between attempts to reconnect.
const RECONNECT_MAX_MS: u64 = 100;

type Change = Box<dyn Fn(&mut Config)>;

/// Why a cluster does not do what a test asks of it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No temporary directory, free port or thread.
    #[error("no room for the nodes: {0}")]
    Surroundings(#[from] io::Error),
    /// A node did not start, or did not stop cleanly.
    #[error("node {node}: {source}")]
    Node {
        /// Which.
        node: NodeId,
        /// Why.
        source: RunError,
    },
    /// A node's thread panicked.
    #[error("node {0} panicked")]
    Panicked(NodeId),
    /// No node shows how it is.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The nodes do not find each other.
    #[error("after {} s: {trouble}", within.as_secs())]
    NotLinked {
        /// How long was waited.
        within: Duration,
        /// What is still missing.
        trouble: String,
    },
    /// No such node, or it is in the wrong state: running when it is to be started, stopped when it is to be stopped.
    #[error("node {0} is no node of this cluster that could do that now")]
    WrongState(NodeId),
}

/// Says what a [`Cluster`] is to be like.
///
/// ```
/// use kv::config::SyncPolicy;
/// use kv::testing::Cluster;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kv::testing::ClusterError> {
/// let five_quick_nodes = Cluster::builder()
///     .nodes(5)
///     .sync(SyncPolicy::Never)
///     .configure(|config| config.node.timing.hedge_max_ms = 50)
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder starts nothing until start"]
pub struct Builder {
    nodes: u32,
    sync: SyncPolicy,
    configure: Vec<Change>,
}

impl Builder {
    /// How many nodes, with the ids from 1; 3 by default. Replication is 3, or the number of nodes if they are fewer.
    pub fn nodes(mut self, nodes: u32) -> Builder {
        self.nodes = nodes;
        self
    }

    /// When a write counts as durable; as in production always once it is on disk, unless said. A test that is about
    /// something else is faster with [`SyncPolicy::Never`].
    pub fn sync(mut self, sync: SyncPolicy) -> Builder {
        self.sync = sync;
        self
    }

    /// Changes the configuration of each node before it starts: limits, times, buckets.
    pub fn configure(mut self, change: impl Fn(&mut Config) + 'static) -> Builder {
        self.configure.push(Box::new(change));
        self
    }

    /// Starts the nodes and waits until each has a link to every other one.
    ///
    /// # Errors
    /// [`ClusterError`] if one cannot start, or if they do not find each other in 30 s.
    pub async fn start(self) -> Result<Cluster, ClusterError> {
        let directory = TempDir::with_prefix("kv-testing-")?;
        let addresses = free_addresses(self.nodes as usize)?;
        let entries: Vec<_> = (1..).zip(addresses).map(|(id, address)| NodeEntry::new(NodeId(id), address)).collect();
        let shared = ClusterConfig {
            name: "testing".into(),
            replication: self.nodes.min(REPLICATION_DEFAULT.into()) as u8,
            nodes: entries.clone(),
            coordination: CoordinationConfig { bootstrap: true, ..CoordinationConfig::default() },
            ..ClusterConfig::default()
        };
        let configs = entries.into_iter().map(|NodeEntry { id, address, .. }| {
            let mut config = Config { cluster: shared.clone(), ..Config::default() };
            config.node.id = id;
            (config.node.listen, config.node.advertise) = (address.clone(), address);
            config.node.data_dir = directory.path().join(format!("node{id}"));
            config.node.arbiters = 1;
            config.node.storage.sync = self.sync;
            config.node.timing.reconnect_max_ms = RECONNECT_MAX_MS;
            self.configure.iter().for_each(|change| change(&mut config));
            (id, config)
        });
        let mut cluster = Cluster { running: BTreeMap::new(), configs: configs.collect(), _directory: directory };
        // They make the cluster together.
        for (id, config) in &cluster.configs {
            cluster.running.insert(*id, Running::spawn(config.clone())?);
        }
        for running in cluster.running.values_mut() {
            running.started().await?;
        }
        wait_until_ready(&cluster.listening(), LINKED_WITHIN).await?;
        Ok(cluster)
    }
}

/// Nodes inside this process. Dropped, it stops them, which blocks until they have.
pub struct Cluster {
    /// Before the directory, so that the nodes end before their data is deleted.
    running: BTreeMap<NodeId, Running>,
    configs: BTreeMap<NodeId, Config>,
    _directory: TempDir,
}

impl Cluster {
    /// Starts so many nodes with the defaults of [`Builder`].
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn start(nodes: u32) -> Result<Cluster, ClusterError> {
        Cluster::builder().nodes(nodes).start().await
    }

    /// Begins a cluster with other settings than the default.
    pub fn builder() -> Builder {
        Builder { nodes: 3, sync: SyncPolicy::default(), configure: vec![] }
    }

    /// A client of this cluster, with the defaults of [`Client::connect`].
    ///
    /// # Errors
    /// [`ClusterError::Client`] if no node runs.
    pub async fn client(&self) -> Result<Client, ClusterError> {
        Ok(Client::connect(self.servers()).await?)
    }

    /// Where the nodes listen, running or not, as `host:port` in the order of their ids.
    pub fn servers(&self) -> Vec<String> {
        self.configs.values().map(|config| config.node.listen.clone()).collect()
    }

    /// Stops a node in order, and waits until the others have noticed and, if a majority of the voters is left, have
    /// leases. Its data stays.
    ///
    /// # Errors
    /// [`ClusterError::WrongState`] if it does not run, [`ClusterError::Node`] if it failed in stopping.
    pub async fn stop(&mut self, node: NodeId) -> Result<(), ClusterError> {
        let running = self.running.remove(&node).ok_or(ClusterError::WrongState(node))?;
        running.stop().await?;
        self.wait_until_settled().await
    }

    /// Starts a stopped node again on its data and its address, and waits until it and the others have links and, if a
    /// majority of the voters runs, leases: from then on strict requests find all of them.
    ///
    /// # Errors
    /// [`ClusterError::WrongState`] if it runs, otherwise as [`Builder::start`].
    pub async fn restart(&mut self, node: NodeId) -> Result<(), ClusterError> {
        self.run(node).await?;
        self.wait_until_settled().await
    }

    async fn run(&mut self, node: NodeId) -> Result<(), ClusterError> {
        let config = self.configs.get(&node).filter(|_| !self.running.contains_key(&node));
        let config = config.ok_or(ClusterError::WrongState(node))?;
        let mut running = Running::spawn(config.clone())?;
        running.started().await?;
        self.running.insert(node, running);
        Ok(())
    }

    fn listening(&self) -> BTreeMap<NodeId, String> {
        self.running.keys().map(|id| (*id, self.configs[id].node.listen.clone())).collect()
    }

    async fn wait_until_settled(&self) -> Result<(), ClusterError> {
        let servers = self.listening();
        let Some(config) = self.configs.values().next() else { return Ok(()) };
        let voters = config.cluster.voters();
        let voting = voters.iter().filter(|node| servers.contains_key(node)).count();
        if servers.is_empty() {
            Ok(())
        } else if voting > voters.len() / 2 {
            wait_until_ready(&servers, LINKED_WITHIN).await
        } else {
            wait_until_linked(&servers, LINKED_WITHIN).await
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All at once, then one wait for all.
        self.running.values_mut().for_each(Running::begin_to_stop);
        self.running.clear();
    }
}
