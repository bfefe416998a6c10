//! Replicas with acceptors of their own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::task::{AbortHandle, JoinSet};

use crate::coordination::api::{self, Service, Session};
use crate::coordination::conformance::{Harness, Killed, PATIENCE};
use crate::coordination::nookeeper::link::message::{self, Call};
use crate::coordination::nookeeper::link::serve;
use crate::coordination::nookeeper::types::{Endpoint, RaftId, Roster};
use crate::coordination::nookeeper::{Nookeeper, Parts, Timing};
use crate::coordination::tree::Path;
use crate::core::id::{ClusterId, NodeId, Start, StoreId};
use crate::wire::frame::{self, FrameReader, GREETING};
use crate::wire::handshake::{Hello, Keeper, Role, Welcome};
use crate::wire::net::{self, Detached, Listener};

/// What a replica says of itself.
pub fn keeper(id: RaftId) -> Keeper {
    Keeper {
        cluster: Some(ClusterId(1)),
        generation: id.generation,
        node: Some(NodeId(id.store.0 as u32)),
        start: Start { store: id.store, number: 1, nonce: 1 },
        address: String::new(),
    }
}

/// What it answers to whoever calls.
pub fn welcome(id: RaftId) -> Welcome {
    Welcome::Keeper { version: 1, cluster: "test".into(), keeper: keeper(id) }
}

/// Greets whoever calls with that answer and passes it on.
pub async fn accept(listener: Listener, answer: Welcome, serve: impl Fn(Keeper, Detached)) {
    let mut greeting = BytesMut::new();
    frame::encode(&answer, GREETING.frame_bytes_max, &mut greeting);
    while let Ok((stream, _)) = listener.accept().await {
        let mut reader = FrameReader::new(stream, GREETING);
        let Ok(Some(Hello { role: Role::Keeper(from), .. })) = reader.read_one::<Hello>().await else { continue };
        if reader.get_mut().write_all(&greeting).await.is_ok() && matches!(answer, Welcome::Keeper { .. }) {
            serve(from, net::detach(reader.into_inner().unwrap()).unwrap());
        }
    }
}

/// What the tests here use: quick, but not so quick that a busy machine elects leaders all the time.
pub fn timing() -> Timing {
    Timing { heartbeat_ms: 75, election_min_ms: 400, election_max_ms: 800, ..Timing::default() }
}

pub fn id(store: u128) -> RaftId {
    RaftId { generation: 0, store: StoreId(store) }
}

pub fn path(text: &str) -> Path {
    text.parse().unwrap()
}

/// Waits until it is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited for: {what}"));
}

/// Some replicas, named from 1.
pub struct Cluster {
    timing: Timing,
    /// The one whose answers to its followers' users are lost; 0 for none. `None`: it cannot be muted.
    muted: Option<Arc<AtomicU64>>,
    directory: TempDir,
    running: BTreeMap<u128, (Nookeeper, AbortHandle)>,
    endpoints: BTreeMap<u128, Endpoint>,
}

impl Cluster {
    /// Replicas 1 to 3, all of them voters.
    pub async fn three(timing: Timing) -> Cluster {
        Cluster::founded(timing, None).await
    }

    /// The same; any one can be muted.
    pub async fn three_to_mute(timing: Timing) -> Cluster {
        Cluster::founded(timing, Some(Arc::default())).await
    }

    async fn founded(timing: Timing, muted: Option<Arc<AtomicU64>>) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let (running, endpoints) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Cluster { timing, muted, directory, running, endpoints };
        for store in 1..=3 {
            cluster.start(store).await;
        }
        let voters: BTreeMap<RaftId, Endpoint> =
            cluster.endpoints.iter().map(|(store, endpoint)| (id(*store), endpoint.clone())).collect();
        cluster.node(1).found(voters).await.unwrap();
        cluster.leader().await;
        cluster
    }

    /// Starts a replica, again or for the first time, at an address of its own.
    pub async fn start(&mut self, store: u128) {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint { node: store as u32, address: listener.local_addr().unwrap().to_string() };
        let database = redb::Database::create(self.directory.path().join(format!("{store}.redb"))).unwrap();
        let service = Nookeeper::start(Parts {
            own: id(store),
            endpoint: endpoint.clone(),
            keeper: keeper(id(store)),
            database,
            timing: self.timing.clone(),
            seed: store as u64,
            judge: Arc::new(|_| Ok(())),
        });
        let service = service.await.unwrap();
        let (serving, muted) = (service.clone(), self.muted.clone());
        // Its connections end with it.
        let connections = Mutex::new(JoinSet::new());
        let accepting = accept(listener, welcome(id(store)), move |from, stream| match &muted {
            None => serving.serve(from, stream),
            Some(muted) => {
                let serving = serve_unless_muted(store, serving.clone(), from, stream, muted.clone());
                connections.lock().unwrap().spawn(serving);
            }
        });
        self.running.insert(store, (service, tokio::spawn(accepting).abort_handle()));
        self.endpoints.insert(store, endpoint);
    }

    /// Ends a replica; nobody is told.
    pub async fn kill(&mut self, store: u128) {
        let (service, accepting) = self.running.remove(&store).expect("it runs");
        accepting.abort();
        service.stop().await;
    }

    /// From now on this replica's answers to its followers' users are lost, though it does what they ask.
    pub fn mute(&self, store: u128) {
        self.muted.as_ref().expect("a cluster to mute").store(store as u64, Ordering::Relaxed);
    }

    pub fn node(&self, store: u128) -> &Nookeeper {
        &self.running[&store].0
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Nookeeper> {
        self.running.values().map(|(service, _)| service)
    }

    pub fn endpoint(&self, store: u128) -> Endpoint {
        self.endpoints[&store].clone()
    }

    /// Waits until one of those that run leads and all of them know it.
    pub async fn leader(&self) -> u128 {
        let led = || {
            let leaders: Vec<_> = self.nodes().map(|node| node.status().leader).collect();
            leaders[0].filter(|leader| leaders.iter().all(|other| other.as_ref() == Some(leader)))
        };
        let runs = |leader: &RaftId| self.running.contains_key(&leader.store.0);
        until("a leader", || led().as_ref().is_some_and(runs)).await;
        led().unwrap().store.0
    }

    /// Two that run and do not lead.
    pub async fn followers(&self) -> [u128; 2] {
        let leader = self.leader().await;
        let others: Vec<u128> = self.running.keys().copied().filter(|store| *store != leader).collect();
        [others[0], others[1]]
    }

    /// Tells all that run who should take part.
    pub fn wish(&self, members: &[u128], voters: &[u128]) {
        let members = members.iter().map(|store| (StoreId(*store), self.endpoint(*store))).collect();
        let roster = Roster { members, voters: voters.iter().map(|store| StoreId(*store)).collect() };
        self.nodes().for_each(|node| node.set_roster(roster.clone()));
    }

    /// What stands at a path, at one replica, now.
    pub fn data(&self, store: u128, at: &str) -> Option<(Bytes, u64)> {
        self.node(store).with_state(|state| {
            let content = state.tree().get(&path(at)).ok()?;
            Some((content.data.clone(), content.stat.version))
        })
    }
}

async fn serve_unless_muted(store: u128, service: Nookeeper, from: Keeper, stream: Detached, muted: Arc<AtomicU64>) {
    let caller = RaftId { generation: from.generation, store: from.start.store };
    let answer = |body: Bytes| {
        let (service, muted) = (service.clone(), muted.clone());
        async move {
            let is_ask = matches!(message::decode(&body), Ok(Call::Ask(_)));
            let answer = service.answer(caller, body).await;
            if is_ask && muted.load(Ordering::Relaxed) == store as u64 {
                return std::future::pending().await;
            }
            answer
        }
    };
    let _ = serve::serve(stream.attach().unwrap(), answer).await;
}

/// For the suite: sessions are opened at one replica after the other.
pub struct InTurns {
    nodes: Vec<Nookeeper>,
    next: AtomicUsize,
}

impl InTurns {
    pub fn new(nodes: Vec<Nookeeper>) -> InTurns {
        InTurns { nodes, next: AtomicUsize::new(0) }
    }
}

impl Service for InTurns {
    fn open(&self, timeout: Duration) -> api::Answer<'_, Box<dyn Session>> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.nodes[next % self.nodes.len()].open(timeout)
    }
}

impl Harness for InTurns {
    fn service(&self) -> &dyn Service {
        self
    }

    fn kill(&self, session: Box<dyn Session>) -> Killed<'_> {
        let id = session.id();
        drop(session);
        Box::pin(async move {
            let is_over = || self.nodes.iter().all(|node| !node.with_state(|state| state.is_open(id)));
            until("the end of a session", is_over).await;
        })
    }
}

/// A cluster with its harness.
pub struct Three {
    _cluster: Cluster,
    harness: InTurns,
}

impl Three {
    pub async fn start() -> Three {
        let cluster = Cluster::three(timing()).await;
        let harness = InTurns::new(cluster.nodes().cloned().collect());
        Three { _cluster: cluster, harness }
    }
}

impl Harness for Three {
    fn service(&self) -> &dyn Service {
        &self.harness
    }

    fn kill(&self, session: Box<dyn Session>) -> Killed<'_> {
        self.harness.kill(session)
    }
}
