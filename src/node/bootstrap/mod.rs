//! From a data directory to a member of a cluster.
//!
//! 1. A store that belongs to a cluster already knows who it is. A fresh one finds out (`embedded`, `external`): it looks who
//!    is there, and makes the cluster if its configuration says so and nobody has (`found`), or asks any member to let it in
//!    (`ask`, answered by `admit`).
//!    A store that was a member first shows itself to the others (`shown`): it may be an old copy.
//! 2. The coordination service starts: the replica of the embedded one on a `thread` of its own, or the client of
//!    an external one.
//! 3. From then on the node is judged at every greeting, and judges (`reception`): a store that was rolled back to an older
//!    copy of itself, a copy that runs beside its original (`callers`), a cluster made apart are told so and get no
//!    further. Operators are told of copies by whoever refuses them (`suspects`).
//!
//! None of this is on the way of a request, and a node that once was a member needs nobody's answer to serve: it has the
//! last known ring.

mod admit;
mod ask;
mod callers;
mod embedded;
mod ending;
mod external;
mod found;
mod reception;
mod shown;
mod suspects;
mod thread;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::Rng;
use rand::rngs::StdRng;

pub use callers::Present;
pub use ending::{Ending, refused_for_good};
pub use reception::Reception;
pub use thread::Thread;

use super::env::{Env, Purpose};
use crate::config::{ClusterConfig, Config, CoordinationKind};
use crate::coordination::api::{Service, Session};
use crate::coordination::registry::{self, Admitted, Founding, Joiner};
use crate::coordination::status::{SharedStatus, Status, ZooKeeperStatus};
use crate::coordination::{SharedSession, nookeeper};
use crate::core::id::{ClusterId, NodeId, Start, StoreId};
use crate::storage::StorageError;
use crate::storage::home::{Home, Joined};
use crate::wire::handshake::Keeper;
use crate::wire::join::{Admission, Join};

/// A home that the node and its coordination thread share.
pub type SharedHome = Arc<Mutex<Box<dyn Home>>>;

/// Looks into a shared home.
pub fn lock(home: &SharedHome) -> MutexGuard<'_, Box<dyn Home>> {
    home.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a node does not become a member.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// Its home cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The coordination service does not start.
    #[error(transparent)]
    Nookeeper(Box<nookeeper::StartError>),
    /// The coordination service is there already, with others.
    #[error(transparent)]
    Found(Box<nookeeper::FoundError>),
    /// The external coordination service cannot be used as it is configured.
    #[error("the coordination service cannot be used: {0}")]
    Service(String),
    /// The cluster does not take it.
    #[error("the cluster does not let this node in: {0}")]
    Refused(String),
    /// It was a member, and those who know it do not take it as it is.
    #[error(transparent)]
    Ended(#[from] Ending),
    /// There is no thread for the coordination service.
    #[error("no thread for the coordination service: {0}")]
    Thread(std::io::Error),
}

impl From<nookeeper::StartError> for BootstrapError {
    fn from(error: nookeeper::StartError) -> BootstrapError {
        BootstrapError::Nookeeper(error.into())
    }
}

impl From<nookeeper::FoundError> for BootstrapError {
    fn from(error: nookeeper::FoundError) -> BootstrapError {
        BootstrapError::Found(error.into())
    }
}

/// A member of a cluster, with its coordination service.
pub struct Citizen {
    /// The configuration, completed by what was learnt in joining.
    pub config: Arc<Config>,
    /// The cluster.
    pub cluster: ClusterId,
    /// This start of its store.
    pub start: Start,
    /// How the service is, for operators.
    pub status: SharedStatus,
    /// Where sessions are opened.
    pub service: Arc<dyn Service>,
    /// Where the node's own is published, once it holds one.
    pub session: SharedSession,
    /// Where the service runs.
    pub thread: Thread,
}

/// What making a member of a node takes.
pub struct Bootstrap {
    config: Config,
    home: SharedHome,
    env: Env,
    reception: Arc<Reception>,
    thread: Thread,
    rng: StdRng,
    nonce: u64,
}

impl Bootstrap {
    /// Prepares a node that starts; the door may be opened with [`Bootstrap::reception`].
    pub fn new(config: Config, home: SharedHome, env: Env) -> Result<Bootstrap, BootstrapError> {
        let thread = Thread::start(&env).map_err(BootstrapError::Thread)?;
        let mut rng = env.rng(0, Purpose::Bootstrap);
        let nonce = rng.random();
        let name = (!config.node.joins()).then(|| config.cluster.name.clone());
        let reception = Reception::new(keeper(&config, &home, nonce), name);
        Ok(Bootstrap { config, home, env, reception: Arc::new(reception), thread, rng, nonce })
    }

    /// What the door asks.
    pub fn reception(&self) -> Arc<Reception> {
        self.reception.clone()
    }

    /// Makes the node a member, however long that takes. Its coordination service is the one that is `given`, or else that of the
    /// configuration, which is started.
    pub async fn run(mut self, given: Option<Arc<dyn Service>>) -> Result<Citizen, BootstrapError> {
        self.remember();
        if self.is_member() {
            self.show_oneself().await?;
        }
        let (status, session) = (SharedStatus::default(), SharedSession::default());
        let tell = |provider: Box<dyn Status>| status.store(Some(Arc::new(provider)));
        let service: Arc<dyn Service> = match (given, self.config.cluster.coordination.kind) {
            (Some(given), _) => {
                self.enter_external(&*given).await?;
                given
            }
            (None, CoordinationKind::ZooKeeper) => {
                let zookeeper = self.zookeeper()?;
                let servers = self.config.cluster.coordination.servers.clone();
                tell(Box::new(ZooKeeperStatus { servers, session: session.clone() }));
                self.enter_external(&zookeeper).await?;
                Arc::new(zookeeper)
            }
            (None, CoordinationKind::Embedded) => {
                let nookeeper = self.enter_embedded().await?;
                tell(Box::new(nookeeper.clone()));
                Arc::new(nookeeper)
            }
        };
        // It is set here alone.
        let _ = self.reception.service.set(service.clone());
        let (start, cluster) = (self.start(), self.reception.me().cluster.unwrap_or_default());
        Ok(Citizen { config: Arc::new(self.config), cluster, start, status, service, session, thread: self.thread })
    }

    /// This start of this store.
    fn start(&self) -> Start {
        start(&self.home, self.nonce)
    }

    /// The node's number, once it has one.
    fn node(&self) -> Option<NodeId> {
        self.reception.me().node
    }

    fn is_member(&self) -> bool {
        self.reception.me().cluster.is_some()
    }

    /// From now on the store belongs to a cluster, for good.
    fn adopt(&mut self, admission: Admission) -> Result<(), BootstrapError> {
        let Admission { cluster, name, node, store, generation } = admission;
        {
            let mut home = lock(&self.home);
            home.adopt(Joined { cluster, name: name.clone(), node }, store)?;
            home.set_generation(generation)?;
        }
        log::info!("store {store} belongs to node {node} of cluster '{name}' ({cluster})");
        self.learn(name, node);
        Ok(())
    }

    /// The configuration of a node that joined says neither its number nor the cluster's name.
    fn learn(&mut self, name: String, node: NodeId) {
        self.config.cluster.name.clone_from(&name);
        self.config.node.id = node;
        self.reception.become_member(keeper(&self.config, &self.home, self.nonce), name);
    }

    /// Learns what the home knows already.
    fn remember(&mut self) {
        let joined = lock(&self.home).identity().joined.clone();
        if let Some(Joined { name, node, .. }) = joined {
            self.learn(name, node);
        }
    }
}

fn start(home: &SharedHome, nonce: u64) -> Start {
    let home = lock(home);
    let identity = home.identity();
    Start { store: identity.store, number: identity.start, nonce }
}

/// The node as it presents itself.
fn keeper(config: &Config, home: &SharedHome, nonce: u64) -> Keeper {
    let start = start(home, nonce);
    let home = lock(home);
    let identity = home.identity();
    let configured = (config.node.id != NodeId(0)).then_some(config.node.id);
    Keeper {
        cluster: identity.joined.as_ref().map(|joined| joined.cluster),
        generation: identity.generation,
        node: identity.joined.as_ref().map(|joined| joined.node).or(configured),
        start,
        address: config.node.advertise.clone(),
    }
}

/// What the configuration says of a new cluster, with the stores that are known.
fn founding(config: &ClusterConfig, id: ClusterId, stores: &BTreeMap<NodeId, StoreId>) -> Founding {
    let nodes = config.nodes.iter().map(|node| (node.clone(), stores.get(&node.id).copied()));
    Founding {
        id,
        name: config.name.clone(),
        partitions: config.partitions,
        replication: config.replication,
        nodes: nodes.collect(),
        voters: config.voters(),
        auto_remove_after_ms: config.coordination.auto_remove_after_ms,
        buckets: config.buckets.clone(),
    }
}

/// Registers a newcomer, in a session that ends afterwards: it holds its own once it runs.
async fn register(session: &dyn Session, join: &Join, now_ms: u64) -> Result<Admission, registry::Error> {
    let Join { node, start, address, zone, weight } = join.clone();
    let joiner = Joiner { cluster: None, node, start, address, zone: Some(zone), weight: Some(weight) };
    let Admitted { cluster, name, node, store, epoch, .. } = registry::register(session, &joiner, now_ms).await?;
    Ok(Admission { cluster, name, node, store, generation: epoch.generation })
}

/// A store id that nobody has.
fn draw(rng: &mut StdRng) -> StoreId {
    StoreId(rng.random())
}
