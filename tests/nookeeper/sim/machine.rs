//! One machine: its disk, and what runs on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use kv::coordination::nookeeper::store::SimulatedFile;
use kv::coordination::nookeeper::types::Endpoint;
use kv::coordination::nookeeper::{Nookeeper, Parts, Timing};
use kv::core::id::{NodeId, Start, StoreId};
use kv::wire::frame::{self, FrameReader, GREETING};
use kv::wire::handshake::{Hello, Keeper, Role, Welcome};
use kv::wire::net::{self, Listener, Stream};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::world::{LOOK, Oracle, keeper, own};
use crate::history::Replica;
use crate::lock::lock;
use crate::workload::{Client, Role as ClientRole};

const PORT: u16 = 9000;
/// After so many looks around, a machine's state is kept for the checks.
const LOOKS_PER_COPY: u32 = 10;

/// Where a machine's replica is reached.
pub fn endpoint(number: u32) -> Endpoint {
    Endpoint { node: number, address: format!("{}:{PORT}", name(number)) }
}

fn name(number: u32) -> String {
    format!("n{number}")
}

/// A machine, running or not.
pub struct Machine {
    pub name: String,
    pub number: u32,
    oracle: Arc<Oracle>,
    running: AtomicBool,
    disk: Mutex<Disk>,
    /// The term in which its replica believes to lead.
    leads_in: Mutex<Option<u64>>,
}

#[derive(Clone)]
struct Disk {
    file: SimulatedFile,
    store: StoreId,
    starts: u64,
}

impl Machine {
    /// Adds it to a simulation.
    pub fn start(sim: &mut turmoil::Sim, number: u32, store: StoreId, oracle: Arc<Oracle>) -> Arc<Machine> {
        let disk = Disk { file: SimulatedFile::new(), store, starts: 0 };
        let machine = Arc::new(Machine {
            name: name(number),
            number,
            oracle,
            running: AtomicBool::new(true),
            disk: Mutex::new(disk),
            leads_in: Mutex::default(),
        });
        let host = machine.clone();
        sim.host(machine.name.clone(), move || host.clone().run());
        machine
    }

    /// Its disk.
    pub fn file(&self) -> SimulatedFile {
        lock(&self.disk).file.clone()
    }

    /// The store that is on its disk.
    pub fn store(&self) -> StoreId {
        lock(&self.disk).store
    }

    /// Its disk holds another store from now on.
    pub fn rename(&self, store: StoreId) {
        let mut disk = lock(&self.disk);
        (disk.store, disk.starts) = (store, 0);
    }

    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// It is down.
    pub fn stopped(&self) {
        self.running.store(false, Ordering::Relaxed);
        *lock(&self.leads_in) = None;
    }

    /// It is about to start.
    pub fn starts(&self) {
        self.running.store(true, Ordering::Relaxed);
    }

    /// The term in which it believes to lead.
    pub fn leads_in(&self) -> Option<u64> {
        *lock(&self.leads_in)
    }

    async fn run(self: Arc<Self>) -> turmoil::Result {
        let start = self.next_start();
        let node = NodeId(self.number);
        self.oracle.begins(start, node);
        match self.serve(keeper(start, node)).await {
            Ok(service) => self.look_after(&service).await,
            // Nothing is wrong with a machine that has no power.
            Err(_) if self.file().is_without_power() => {}
            Err(error) => self.oracle.complain(format!("{} does not start: {error}", self.name)),
        }
        std::future::pending().await
    }

    fn next_start(&self) -> Start {
        let mut disk = lock(&self.disk);
        disk.starts += 1;
        Start { store: disk.store, number: disk.starts, nonce: u64::from(self.number) }
    }

    /// Brings up the replica, whoever calls it and its clients.
    async fn serve(&self, keeper: Keeper) -> Result<Nookeeper, Box<dyn std::error::Error>> {
        let Oracle { shape, founders, recorder, .. } = &*self.oracle;
        let own = own(keeper.start.store);
        let judge = self.oracle.clone();
        let parts = Parts {
            own,
            endpoint: endpoint(self.number),
            keeper: keeper.clone(),
            database: self.file().open()?,
            timing: Timing { snapshot_every: shape.snapshot_every, call_timeout_ms: 4_000, ..Timing::default() },
            seed: shape.seed ^ u64::from(self.number),
            judge: Arc::new(move |keeper| judge.judge(keeper)),
        };
        let service = Nookeeper::start(parts).await?;
        let listener = Listener::bind(&format!("0.0.0.0:{PORT}")).await?;
        tokio::spawn(accept(listener, keeper, service.clone(), self.oracle.clone()));
        if founders.contains_key(&own) && !service.is_founded() {
            service.found(founders.clone()).await?;
        }
        for role in [ClientRole::Writing, ClientRole::Electing, ClientRole::Watching] {
            let client = Client::new(Arc::new(service.clone()), recorder.clone(), shape.habits, shape.seed);
            tokio::spawn(client.run(role));
        }
        if self.number == 1 {
            tokio::spawn(look_at_all(service.clone(), self.oracle.clone()));
        }
        Ok(service)
    }

    /// Tells the service who should take part, and the oracle how the service is.
    async fn look_after(&self, service: &Nookeeper) {
        let mut roster = self.oracle.roster.subscribe();
        roster.mark_changed();
        for looks in 0.. {
            if roster.has_changed().unwrap_or(false) {
                service.set_roster(roster.borrow_and_update().clone());
            }
            let status = service.status();
            *lock(&self.leads_in) = (status.leader == Some(status.own)).then_some(status.term);
            match status.failed {
                Some(_) if self.file().is_without_power() => return,
                Some(cause) => return self.oracle.complain(format!("{} has failed: {cause}", self.name)),
                None => {}
            }
            if let Some(applied) = status.applied_index.filter(|_| looks % LOOKS_PER_COPY == 0) {
                let state = service.with_state(|state| state.snapshot()).expect("a state has a form");
                self.oracle.recorder.replica(Replica { name: self.name.clone(), applied, state });
            }
            sleep(LOOK).await;
        }
    }
}

/// Welcomes other replicas, and passes them on.
async fn accept(listener: Listener, own: Keeper, service: Nookeeper, oracle: Arc<Oracle>) {
    while let Ok((stream, _)) = listener.accept().await {
        // Whoever dials and says nothing keeps nobody else waiting.
        tokio::spawn(greet(stream, own.clone(), service.clone(), oracle.clone()));
    }
}

async fn greet(stream: Stream, own: Keeper, service: Nookeeper, oracle: Arc<Oracle>) -> Option<()> {
    let mut reader = FrameReader::new(stream, GREETING);
    let Ok(Some(Hello { role: Role::Keeper(from), .. })) = reader.read_one::<Hello>().await else { return None };
    let judged = oracle.judge(&from);
    let welcome = match &judged {
        Ok(()) => Welcome::Keeper { version: 1, cluster: "simulation".into(), keeper: own },
        Err(refusal) => Welcome::Refused(refusal.clone()),
    };
    let mut bytes = BytesMut::new();
    frame::encode(&welcome, GREETING.frame_bytes_max, &mut bytes);
    reader.get_mut().write_all(&bytes).await.ok()?;
    judged.ok()?;
    let stream = net::detach(reader.into_inner().ok()?).ok()?;
    service.serve(from, stream);
    Some(())
}

/// When there is peace.
async fn look_at_all(service: Nookeeper, oracle: Arc<Oracle>) {
    // The oracle outlives every machine.
    let _ = oracle.peace.subscribe().wait_for(|peace| *peace).await;
    let Oracle { shape, recorder, .. } = &*oracle;
    Client::new(Arc::new(service), recorder.clone(), shape.habits, shape.seed).look_at_all().await;
    oracle.looked_at.send_replace(true);
}
