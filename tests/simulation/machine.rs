//! One machine: its drive, and the node that runs on it as a program does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kv::api::server::Server;
use kv::config::Config;
use kv::coordination::nookeeper::Nookeeper;
use kv::core::id::StoreId;
use kv::mutant;
use kv::node::bootstrap::{Ending, SharedHome};
use kv::node::env::{Env, Simulated};
use kv::storage::home::Home;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::history::What;
use crate::home::Drive;
use crate::lock::lock;
use crate::recorder::Recorder;

/// How long a sync takes at most on a healthy disk, in microseconds.
const SYNC_US_MAX: u64 = 5_000;

/// A machine, running or not.
pub struct Machine {
    pub name: String,
    pub drive: Drive,
    config: Config,
    skew_ms: i64,
    sync_us_max: Arc<AtomicU64>,
    recorder: Arc<Recorder>,
    /// Every start has randomness of its own, or two lives would be one.
    rng: Mutex<StdRng>,
    life: Mutex<Life>,
}

/// What a process shows of itself.
#[derive(Default)]
struct Life {
    /// Once it serves.
    nookeeper: Option<Nookeeper>,
    /// It has stopped because it cannot go on as it is.
    ending: Option<(Ending, SharedHome)>,
    /// It has left the ring.
    is_away: bool,
    /// It should not have ended.
    trouble: Option<String>,
}

impl Machine {
    /// Adds it to a simulation.
    pub fn start(
        sim: &mut turmoil::Sim,
        config: Config,
        drive: Drive,
        seed: u64,
        skew_ms: i64,
        recorder: Arc<Recorder>,
    ) -> Arc<Machine> {
        let machine = Arc::new(Machine {
            name: config.node.advertise.split(':').next().unwrap_or_default().into(),
            drive,
            config,
            skew_ms,
            sync_us_max: Arc::new(AtomicU64::new(SYNC_US_MAX)),
            recorder,
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            life: Mutex::default(),
        });
        let host = machine.clone();
        sim.host(machine.name.clone(), move || host.clone().run());
        machine
    }

    /// The store on its drive; `None` if nothing has run on it since it was empty.
    pub fn store(&self) -> Option<StoreId> {
        self.drive.store()
    }

    /// Makes its disk slower than it was by this factor; 1 is healthy.
    pub fn slow_disk(&self, factor: u64) {
        self.sync_us_max.store(SYNC_US_MAX * factor, Ordering::Relaxed);
    }

    /// Empties its drive. Under [`Mutant::ContinueAfterWipe`](kv::mutants::Mutant) the store keeps its name.
    pub fn wipe(&self) {
        if mutant!(ContinueAfterWipe) {
            self.drive.disk().wipe();
        } else {
            self.drive.wipe();
        }
    }

    /// Its process is gone.
    pub fn stopped(&self) {
        let mut life = lock(&self.life);
        (life.nookeeper, life.ending) = (None, None);
    }

    /// Why the process that has stopped by itself did so, and its home.
    pub fn take_ending(&self) -> Option<(Ending, SharedHome)> {
        lock(&self.life).ending.take()
    }

    /// Makes the home ready for another start, as the program does; whether there is to be one.
    pub fn make_ready(&self, ending: Ending, home: SharedHome) -> bool {
        let fresh = self.draw();
        let home = Arc::into_inner(home).and_then(|home| home.into_inner().ok());
        let Some(mut home) = home else {
            self.complain("its home is still in use after its end".into());
            return false;
        };
        let store = home.identity().store;
        match ending.make_ready(&mut *home, fresh).and_then(|again| home.close().map(|()| again)) {
            Ok(true) => {
                if let Ending::RolledBack { .. } = ending {
                    self.recorder.record(What::SetAside { store });
                }
                true
            }
            Ok(false) => {
                self.complain(ending.to_string());
                false
            }
            Err(error) => {
                self.complain(format!("its home cannot be made ready: {error}"));
                false
            }
        }
    }

    /// It has left the ring and has ended as it should: its home stays as it is.
    pub fn put_away(&self, home: SharedHome) {
        match Arc::into_inner(home).and_then(|home| home.into_inner().ok()).map(|home| home.close()) {
            Some(Ok(())) => {}
            // A disk that failed: the process ends all the same.
            Some(Err(_)) => self.drive.crash(),
            None => return self.complain("its home is still in use after its end".into()),
        }
        lock(&self.life).is_away = true;
    }

    /// Whether it has left since this was last asked.
    pub fn take_away(&self) -> bool {
        std::mem::take(&mut lock(&self.life).is_away)
    }

    /// Shows the coordination service's replica, if there is one.
    pub fn with_nookeeper(&self, look: impl FnOnce(&Nookeeper)) {
        lock(&self.life).nookeeper.as_ref().map(look).unwrap_or_default();
    }

    /// What should not have happened here.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.life).trouble.clone()
    }

    async fn run(self: Arc<Self>) -> turmoil::Result {
        let seed = lock(&self.rng).random();
        let home: Box<dyn Home> = Box::new(self.drive.open(self.draw(), self.recorder.clone()));
        self.recorder.record(What::Started { store: home.identity().store });
        let home: SharedHome = Arc::new(Mutex::new(home));
        let (skew_ms, sync_us_max, observer) = (self.skew_ms, self.sync_us_max.clone(), self.recorder.clone());
        let env = Env::simulated(1, Simulated { seed, skew_ms, sync_us_max, observer });
        match Server::start(self.config.clone(), home.clone(), None, env).await {
            Ok(server) => {
                lock(&self.life).nookeeper = server.node.nookeeper().cloned();
                let ending = server.ended().await;
                log::info!("{} ends: {ending}", self.name);
                lock(&self.life).nookeeper = None;
                server.stop().await;
                lock(&self.life).ending = Some((ending, home));
            }
            // The others may tell it at the door, before it serves.
            Err(error) => match error.ending() {
                Ok(ending) => lock(&self.life).ending = Some((ending, home)),
                Err(error) => self.complain(format!("does not start: {error}")),
            },
        }
        std::future::pending().await
    }

    fn draw(&self) -> StoreId {
        StoreId(lock(&self.rng).random())
    }

    fn complain(&self, what: String) {
        let what = format!("{}: {what}", self.name);
        lock(&self.life).trouble.get_or_insert(what);
    }
}
