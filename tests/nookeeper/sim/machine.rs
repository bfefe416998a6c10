//! One machine: its disk, and what runs on it.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kv::api::acceptor::{self, Door};
use kv::coordination::nookeeper::Nookeeper;
use kv::coordination::nookeeper::store::{FileCopy, SimulatedFile};
use kv::core::id::{NodeId, StoreId};
use kv::core::key::Key;
use kv::core::version::{Dot, Object};
use kv::node::bootstrap::{Bootstrap, BootstrapError, Ending, SharedHome, refused_for_good};
use kv::node::env::{Env, Observer, Simulated};
use kv::storage::StorageError;
use kv::storage::home::Home;
use kv::storage::home::memory::{DatabaseFile, MemoryDirectory, Snapshot};
use kv::storage::memory::MemoryDisk;
use kv::wire::net::Listener;
use tokio::sync::watch;
use tokio::time::sleep;

use super::data_link;
use super::member::Member;
use super::world::{LOOK, Oracle};
use crate::history::Replica;
use crate::lock::lock;
use crate::workload::{Client, Role as ClientRole};

/// After so many looks around, a machine's state is kept for the checks.
const LOOKS_PER_COPY: u32 = 10;

/// The name of the host that runs on a copy of another one's disk.
pub const CLONE: &str = "clone";
/// No machine starts so often; a clone's lives are counted from here.
const LIVES_MAX: u64 = 1 << 10;

/// A machine, running or not.
pub struct Machine {
    pub name: String,
    pub node: NodeId,
    oracle: Arc<Oracle>,
    running: AtomicBool,
    /// How often it was started.
    lives: AtomicU64,
    disk: Disk,
    /// The replica that runs on it.
    replica: Mutex<Option<Nookeeper>>,
    /// The term in which its replica believes to lead.
    leads_in: Mutex<Option<u64>>,
    /// Why its node could not go on.
    ended: Mutex<Option<Ending>>,
}

/// A data directory and, in it, the coordination service's file.
struct Disk {
    directory: MemoryDirectory,
    file: SimulatedFile,
}

/// What was on a disk at one moment.
#[derive(Clone)]
pub struct DiskCopy {
    /// The store on it.
    pub store: StoreId,
    /// Its latest start.
    pub start: u64,
    directory: Snapshot,
    file: FileCopy,
}

struct OnFile(SimulatedFile);

impl DatabaseFile for OnFile {
    fn open(&self) -> Result<redb::Database, StorageError> {
        self.0.open().map_err(|error| StorageError::database(Path::new("simulated"), error))
    }

    fn remove(&self) {
        self.0.wipe();
    }
}

/// Nobody looks inside: there is no data.
struct Unobserved;

impl Observer for Unobserved {
    fn minted(&self, _: StoreId, _: &Key, _: Dot, _: &Object) {}
}

impl Machine {
    /// Adds a machine with an empty disk to a simulation.
    pub fn start(sim: &mut turmoil::Sim, node: NodeId, oracle: Arc<Oracle>) -> Arc<Machine> {
        Machine::add(sim, format!("n{node}"), node, oracle, None)
    }

    /// Adds a machine whose disk is a copy of another one's to a simulation that runs.
    pub fn start_clone(sim: &mut turmoil::Sim, original: &Machine, copy: &DiskCopy) -> Arc<Machine> {
        Machine::add(sim, CLONE.into(), original.node, original.oracle.clone(), Some(copy))
    }

    fn add(
        sim: &mut turmoil::Sim,
        name: String,
        node: NodeId,
        oracle: Arc<Oracle>,
        copy: Option<&DiskCopy>,
    ) -> Arc<Machine> {
        let file = SimulatedFile::new();
        let directory = MemoryDirectory::new(MemoryDisk::new(), Arc::new(OnFile(file.clone())));
        let machine = Arc::new(Machine {
            name,
            node,
            oracle,
            running: AtomicBool::new(true),
            lives: AtomicU64::new(if copy.is_some() { LIVES_MAX } else { 0 }),
            disk: Disk { directory, file },
            replica: Mutex::default(),
            leads_in: Mutex::default(),
            ended: Mutex::default(),
        });
        if let Some(copy) = copy {
            machine.restore(copy);
        }
        let host = machine.clone();
        sim.host(machine.name.clone(), move || host.clone().run());
        machine
    }

    /// The coordination service's file.
    pub fn file(&self) -> &SimulatedFile {
        &self.disk.file
    }

    /// A copy of its disk; `None` if it is empty.
    pub fn copy(&self) -> Option<DiskCopy> {
        let Disk { directory, file } = &self.disk;
        let identity = directory.identity()?;
        let (store, start) = (identity.store, identity.start);
        Some(DiskCopy { store, start, directory: directory.snapshot(), file: file.snapshot() })
    }

    /// Takes its disk back to a copy. It must be down.
    pub fn restore(&self, copy: &DiskCopy) {
        self.disk.directory.restore(&copy.directory);
        self.disk.file.restore(&copy.file);
    }

    /// Replaces its disk by an empty one. It must be down.
    pub fn wipe(&self) {
        match kv::mutant!(WipedVoterVotesAgain) {
            true => self.disk.file.wipe(),
            false => self.disk.directory.wipe(),
        }
    }

    /// Sets its store aside, as a node does that was told that it is not the latest. It must be down.
    pub fn set_aside(&self) -> Result<(), StorageError> {
        let fresh = self.fresh();
        self.disk.directory.open(fresh).set_aside(fresh)
    }

    /// The store that is on its disk.
    pub fn store(&self) -> Option<StoreId> {
        self.disk.directory.identity().map(|identity| identity.store)
    }

    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// It is down.
    pub fn stopped(&self) {
        self.running.store(false, Ordering::Relaxed);
        (*lock(&self.leads_in), *lock(&self.replica), *lock(&self.ended)) = (None, None, None);
    }

    /// It is about to start.
    pub fn starts(&self) {
        self.running.store(true, Ordering::Relaxed);
    }

    /// The term in which it believes to lead.
    pub fn leads_in(&self) -> Option<u64> {
        *lock(&self.leads_in)
    }

    /// The replica that runs on it.
    pub fn replica(&self) -> Option<Nookeeper> {
        lock(&self.replica).clone()
    }

    /// Whether it was not let in, or is told by those that it calls that it should not have been.
    pub fn is_refused(&self) -> bool {
        self.replica().is_none_or(|replica| replica.refused().borrow().is_some())
    }

    /// Why its node cannot go on, if it cannot.
    pub fn ended(&self) -> Option<Ending> {
        lock(&self.ended).clone()
    }

    /// A store id that nobody has.
    fn fresh(&self) -> StoreId {
        StoreId(u128::from(self.node.0) << 96 | u128::from(self.lives.load(Ordering::Relaxed)))
    }

    async fn run(self: Arc<Self>) -> turmoil::Result {
        self.lives.fetch_add(1, Ordering::Relaxed);
        let (_open, closed) = watch::channel(false);
        match self.serve(closed).await {
            Ok(member) => self.look_after(member).await,
            // Nothing is wrong with a machine that has no power.
            Err(_) if self.file().is_without_power() => {}
            Err(error) => match error.downcast_ref() {
                // It was told so when it showed itself to the others, before it had a replica.
                Some(BootstrapError::Ended(ending)) => self.ends(ending.clone()),
                _ => self.oracle.complain(format!("{} does not start: {error}", self.name)),
            },
        }
        std::future::pending().await
    }

    /// Opens the door, becomes a member as a node does, and brings up the clients.
    async fn serve(&self, closed: watch::Receiver<bool>) -> Result<Member, Box<dyn Error>> {
        let Oracle { shape, recorder, .. } = &*self.oracle;
        let config = shape.config(self.node, &self.name);
        let home: SharedHome = Arc::new(Mutex::new(Box::new(self.disk.directory.open(self.fresh()))));
        // Every start has randomness of its own, or two lives would be one.
        let seed = shape.seed ^ (u64::from(self.node.0) << 48) ^ (self.lives.load(Ordering::Relaxed) << 32);
        let observer = Arc::new(Unobserved);
        let env = Env::simulated(1, Simulated { seed, skew_ms: 0, sync_us_max: Arc::default(), observer });
        let listener = Listener::bind(&config.node.listen).await?;
        let bootstrap = Bootstrap::new(config.clone(), home, env.clone())?;
        let reception = bootstrap.reception();
        let limits = config.node.limits.clone();
        // There is no data behind this door: the node never serves.
        let node = watch::channel(None).1;
        let door = Door { reception: reception.clone(), node, limits, stats: Arc::default(), env: env.clone() };
        tokio::task::spawn_local(acceptor::accept(door, listener, closed));
        let citizen = bootstrap.run(None).await?;
        let listener = Listener::bind(&format!("0.0.0.0:{}", data_link::PORT)).await?;
        tokio::spawn(data_link::accept(listener, reception.clone(), citizen.config.clone()));
        for other in shape.nodes().filter(|other| *other != self.node) {
            let address = format!("n{other}:{}", data_link::PORT);
            tokio::spawn(data_link::keep(address, reception.clone(), citizen.config.clone()));
        }
        let nookeeper = reception.nookeeper.get().ok_or("there is no replica")?.clone();
        *lock(&self.replica) = Some(nookeeper.clone());
        for role in [ClientRole::Writing, ClientRole::Electing, ClientRole::Watching] {
            let client = Client::new(Arc::new(nookeeper.clone()), recorder.clone(), shape.habits, shape.seed);
            tokio::spawn(client.run(role));
        }
        if self.node == NodeId(1) {
            tokio::spawn(look_at_all(nookeeper.clone(), self.oracle.clone()));
        }
        Ok(Member { nookeeper, reception, config: citizen.config, env })
    }

    /// Keeps the node a member, and tells how its replica is.
    async fn look_after(&self, member: Member) {
        let nookeeper = member.nookeeper.clone();
        let ending = tokio::select! {
            biased;
            ending = refused_for_good(nookeeper.refused()) => ending,
            ending = member.belong() => ending,
            () = self.watch(&nookeeper) => return,
        };
        self.ends(ending);
    }

    /// Its node cannot go on.
    fn ends(&self, ending: Ending) {
        self.oracle.recorder.note(format!("{} ends: {ending}", self.name));
        *lock(&self.ended) = Some(ending);
    }

    /// Until the replica fails.
    async fn watch(&self, nookeeper: &Nookeeper) {
        for looks in 0.. {
            let status = nookeeper.status();
            *lock(&self.leads_in) = (status.leader == Some(status.own)).then_some(status.term);
            match status.failed {
                Some(_) if self.file().is_without_power() => return,
                Some(cause) => return self.oracle.complain(format!("{} has failed: {cause}", self.name)),
                None => {}
            }
            if let Some(applied) = status.applied_index.filter(|_| looks % LOOKS_PER_COPY == 0) {
                let state = nookeeper.with_state(|state| state.snapshot()).expect("a state has a form");
                self.oracle.recorder.replica(Replica { name: self.name.clone(), applied, state });
            }
            sleep(LOOK).await;
        }
    }
}

/// When there is peace.
async fn look_at_all(nookeeper: Nookeeper, oracle: Arc<Oracle>) {
    // The oracle outlives every machine.
    let _ = oracle.peace.subscribe().wait_for(|peace| *peace).await;
    let Oracle { shape, recorder, .. } = &*oracle;
    Client::new(Arc::new(nookeeper), recorder.clone(), shape.habits, shape.seed).look_at_all().await;
    oracle.looked_at.send_replace(true);
}
