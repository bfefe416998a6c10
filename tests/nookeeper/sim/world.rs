//! All machines, and what they are told by an oracle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv::coordination::nookeeper::types::{Endpoint, RaftId, Roster};
use kv::core::id::{ClusterId, NodeId, Start, StoreId};
use kv::wire::handshake::{Keeper, Refusal};
use rand::rngs::StdRng;
use tokio::sync::watch;

use super::machine::{self, Machine};
use crate::lock::lock;
use crate::recorder::Recorder;
use crate::workload::Habits;

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub seed: u64,
    pub voters: u32,
    pub learners: u32,
    /// After so many entries of the log a snapshot is made.
    pub snapshot_every: u64,
    pub habits: Habits,
}

/// What all machines share: what is true of the cluster, whoever knows it.
pub struct Oracle {
    pub shape: Shape,
    pub recorder: Arc<Recorder>,
    /// Who founds the service.
    pub founders: BTreeMap<RaftId, Endpoint>,
    /// Who should take part.
    pub roster: watch::Sender<Roster>,
    /// No more faults.
    pub peace: watch::Sender<bool>,
    /// Everything was read once more.
    pub looked_at: watch::Sender<bool>,
    /// What should never happen.
    pub trouble: Mutex<Vec<String>>,
    /// The latest start of each store, and where.
    starts: Mutex<BTreeMap<StoreId, (Start, NodeId)>>,
}

impl Oracle {
    fn new(shape: Shape, recorder: Arc<Recorder>) -> Oracle {
        let machines = 1..=shape.voters + shape.learners;
        let endpoints = machines.map(|number| (first_store(number), machine::endpoint(number)));
        let members: BTreeMap<StoreId, Endpoint> = endpoints.collect();
        let voters: Vec<StoreId> = (1..=shape.voters).map(first_store).collect();
        Oracle {
            shape,
            recorder,
            founders: voters.iter().map(|store| (own(*store), members[store].clone())).collect(),
            roster: watch::channel(Roster { members, voters: voters.into_iter().collect() }).0,
            peace: watch::channel(false).0,
            looked_at: watch::channel(false).0,
            trouble: Mutex::default(),
            starts: Mutex::default(),
        }
    }

    /// A machine starts with a store. One that is not the latest start of it, or elsewhere, is not noted.
    pub fn begins(&self, start: Start, node: NodeId) {
        let mut starts = lock(&self.starts);
        let (latest, home) = starts.entry(start.store).or_insert((start, node));
        if *home == node && latest.number < start.number {
            *latest = start;
        }
    }

    /// Whether a store's start is the one that counts.
    pub fn judge(&self, keeper: &Keeper) -> Result<(), Refusal> {
        let store = keeper.start.store;
        match lock(&self.starts).get(&store) {
            Some((latest, home)) if keeper.node != Some(*home) => {
                Err(Refusal::Cloned { store, address: machine::endpoint(home.0).address }).inspect_err(|_| {
                    log::debug!("{latest:?} is copied");
                })
            }
            Some((latest, _)) if *latest != keeper.start => Err(Refusal::RolledBack { store, seen: latest.number }),
            _ => Ok(()),
        }
    }

    /// Something that should never happen has happened.
    pub fn complain(&self, what: String) {
        self.recorder.note(what.clone());
        lock(&self.trouble).push(what);
    }
}

/// The store that a machine begins with.
fn first_store(number: u32) -> StoreId {
    StoreId(u128::from(number) << 96)
}

/// The name under which a store takes part.
pub fn own(store: StoreId) -> RaftId {
    RaftId { generation: 0, store }
}

/// What a store says of itself.
pub fn keeper(start: Start, node: NodeId) -> Keeper {
    Keeper { cluster: Some(ClusterId(1)), generation: 0, node: Some(node), start, address: String::new() }
}

/// All machines.
pub struct World {
    pub oracle: Arc<Oracle>,
    pub machines: Vec<Arc<Machine>>,
    wiped: u32,
}

impl World {
    /// Adds the machines to a simulation; they start with it.
    pub fn start(sim: &mut turmoil::Sim, shape: Shape, recorder: Arc<Recorder>) -> World {
        let oracle = Arc::new(Oracle::new(shape, recorder));
        let machines = (1..=shape.voters + shape.learners)
            .map(|number| Machine::start(sim, number, first_store(number), oracle.clone()))
            .collect();
        World { oracle, machines, wiped: 0 }
    }

    /// Kills a machine's processes.
    pub fn kill(&self, sim: &mut turmoil::Sim, machine: usize) {
        self.machines[machine].file().crash();
        self.stop(sim, machine, "is killed");
    }

    /// A machine loses power, and of what it had not synced, any part.
    pub fn lose_power(&self, sim: &mut turmoil::Sim, machine: usize, rng: &mut StdRng) {
        self.machines[machine].file().power_loss(rng);
        self.stop(sim, machine, "loses power");
    }

    fn stop(&self, sim: &mut turmoil::Sim, machine: usize, how: &str) {
        let machine = &self.machines[machine];
        sim.crash(machine.name.as_str());
        machine.stopped();
        self.oracle.recorder.note(format!("{} {how}", machine.name));
    }

    /// Starts a machine that is down.
    pub fn restart(&self, sim: &mut turmoil::Sim, machine: usize) {
        let machine = &self.machines[machine];
        if !machine.is_running() {
            self.oracle.recorder.note(format!("{} starts", machine.name));
            machine.starts();
            sim.bounce(machine.name.as_str());
        }
    }

    /// Replaces the disk of a machine that is down by an empty one. It takes part as another one from now on, in the place of
    /// the one that is lost; under [`Mutant::WipedVoterVotesAgain`](kv::mutants::Mutant) it keeps its name.
    pub fn wipe(&mut self, machine: usize) {
        self.machines[machine].file().wipe();
        self.oracle.recorder.note(format!("{} is wiped", self.machines[machine].name));
        if !kv::mutant!(WipedVoterVotesAgain) {
            self.rename(machine);
        }
    }

    /// Gives a machine that is down, and whose disk holds nothing, a new store.
    fn rename(&mut self, machine: usize) {
        self.wiped += 1;
        let machine = &self.machines[machine];
        let (old, new) = (machine.store(), StoreId(first_store(machine.number).0 + u128::from(self.wiped)));
        machine.rename(new);
        self.oracle.roster.send_modify(|roster| {
            if let Some(endpoint) = roster.members.remove(&old) {
                roster.members.insert(new, endpoint);
            }
            if roster.voters.remove(&old) {
                roster.voters.insert(new);
            }
        });
    }

    /// Who leads, of those that think they do, the one in the latest term.
    pub fn leader(&self) -> Option<usize> {
        let terms = self.machines.iter().enumerate().map(|(index, machine)| (machine.leads_in(), index));
        terms.filter_map(|(term, index)| Some((term?, index))).max().map(|(_, index)| index)
    }

    /// Those that run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.machines.len()).filter(|index| self.machines[*index].is_running()).collect()
    }

    /// Names of all machines.
    pub fn names(&self) -> Vec<String> {
        self.machines.iter().map(|machine| machine.name.clone()).collect()
    }
}

/// How often machines look around.
pub const LOOK: Duration = Duration::from_millis(50);
