//! All machines, and what they share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv::config::{Config, NodeEntry};
use kv::coordination::registry::{STORES, StoreRecord};
use kv::coordination::tree::Path;
use kv::core::id::NodeId;
use kv::node::bootstrap::Ending;
use rand::rngs::StdRng;
use tokio::sync::watch;

use super::machine::{DiskCopy, Machine};
use super::tally::Tally;
use crate::lock::lock;
use crate::recorder::Recorder;
use crate::workload::Habits;

const PORT: u16 = 9000;

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

impl Shape {
    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        (1..=self.voters + self.learners).map(NodeId)
    }

    /// The configuration of a node on the host of that name.
    pub fn config(&self, node: NodeId, host: &str) -> Config {
        let entry = |node| NodeEntry::new(node, format!("n{node}:{PORT}"));
        let mut config = Config::default();
        let cluster = &mut config.cluster;
        cluster.name = "simulation".into();
        cluster.partitions = 16;
        cluster.nodes = self.nodes().map(entry).collect();
        cluster.coordination.bootstrap = true;
        cluster.coordination.voters = (1..=self.voters).map(NodeId).collect();
        cluster.coordination.snapshot_every = self.snapshot_every;
        config.node.id = node;
        config.node.listen = format!("0.0.0.0:{PORT}");
        config.node.advertise = format!("{host}:{PORT}");
        config
    }
}

/// What all machines share.
pub struct Oracle {
    pub shape: Shape,
    pub recorder: Arc<Recorder>,
    /// No more faults.
    pub peace: watch::Sender<bool>,
    /// Everything was read once more.
    pub looked_at: watch::Sender<bool>,
    /// What should never happen.
    pub trouble: Mutex<Vec<String>>,
    /// What has happened to the disks.
    pub tally: Mutex<Tally>,
}

impl Oracle {
    fn new(shape: Shape, recorder: Arc<Recorder>) -> Oracle {
        let (peace, looked_at) = (watch::channel(false).0, watch::channel(false).0);
        Oracle { shape, recorder, peace, looked_at, trouble: Mutex::default(), tally: Mutex::default() }
    }

    /// Something that should never happen has happened.
    pub fn complain(&self, what: String) {
        self.recorder.note(what.clone());
        lock(&self.trouble).push(what);
    }
}

/// All machines.
pub struct World {
    pub oracle: Arc<Oracle>,
    pub machines: Vec<Arc<Machine>>,
    /// A second host on a copy of a disk.
    clone: Mutex<Option<Arc<Machine>>>,
}

impl World {
    /// Adds the machines to a simulation; they start with it.
    pub fn start(sim: &mut turmoil::Sim, shape: Shape, recorder: Arc<Recorder>) -> World {
        let oracle = Arc::new(Oracle::new(shape, recorder));
        let machines = shape.nodes().map(|node| Machine::start(sim, node, oracle.clone())).collect();
        World { oracle, machines, clone: Mutex::default() }
    }

    /// Nodes that cannot go on begin again, as the program does.
    pub fn attend(&self, sim: &mut turmoil::Sim) {
        for machine in 0..self.machines.len() {
            match self.machines[machine].ended() {
                None => {}
                Some(Ending::RolledBack { .. }) => {
                    self.kill(sim, machine);
                    match self.machines[machine].set_aside() {
                        Ok(()) => lock(&self.oracle.tally).set_aside += 1,
                        Err(error) => {
                            self.oracle.complain(format!("{} keeps its store: {error}", self.machines[machine].name))
                        }
                    }
                    self.restart(sim, machine);
                }
                Some(ending) => {
                    self.oracle.complain(format!("{} gives up: {ending}", self.machines[machine].name));
                    self.kill(sim, machine);
                }
            }
        }
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
    pub fn wipe(&self, machine: usize) {
        self.machines[machine].wipe();
        lock(&self.oracle.tally).wiped += 1;
        self.oracle.recorder.note(format!("{} is wiped", self.machines[machine].name));
    }

    /// Takes the disk of a machine that is down back to a copy.
    pub fn roll_back(&self, machine: usize, copy: &DiskCopy) {
        self.machines[machine].restore(copy);
        lock(&self.oracle.tally).rolled_back += 1;
        self.oracle
            .recorder
            .note(format!("{} is rolled back to its start {}", self.machines[machine].name, copy.start));
    }

    /// Starts a second host on a copy of the disk of a machine that runs.
    pub fn clone_disk(&self, sim: &mut turmoil::Sim, machine: usize) {
        let original = &self.machines[machine];
        let Some(copy) = original.copy() else { return };
        self.oracle.recorder.note(format!("{} is cloned", original.name));
        lock(&self.oracle.tally).cloned += 1;
        *lock(&self.clone) = Some(Machine::start_clone(sim, original, &copy));
    }

    /// Ends that host.
    pub fn end_clone(&self, sim: &mut turmoil::Sim) {
        if let Some(clone) = lock(&self.clone).take() {
            lock(&self.oracle.tally).clones_refused += u64::from(clone.is_refused());
            sim.crash(clone.name.as_str());
            self.oracle.recorder.note(format!("{} ends", clone.name));
        }
    }

    /// Whether a majority of the voters, not counting the machine itself, knows of a start of the copied store that is later
    /// than the copy: then no majority can be made of the machine and of those who do not know.
    pub fn is_known_to_be_old(&self, machine: usize, copy: &DiskCopy) -> bool {
        let voters = &self.machines[..self.oracle.shape.voters as usize];
        let others = voters.iter().filter(|other| other.node != self.machines[machine].node);
        let knowing = others.filter(|other| other.is_running() && latest_start(other, copy) > Some(copy.start));
        self.machines[machine].store() == Some(copy.store) && knowing.count() > voters.len() / 2
    }

    /// Who leads, of those that think they do, the one in the latest term.
    pub fn leader(&self) -> Option<usize> {
        let terms = self.machines.iter().enumerate().map(|(index, machine)| (machine.leads_in(), index));
        terms.filter_map(|(term, index)| Some((term?, index))).max().map(|(_, index)| index)
    }

    /// Whether exactly those stores vote that are now on the machines that were given a vote, by what the leader knows.
    pub fn votes_are_in_place(&self) -> bool {
        let leader = self.leader().and_then(|leader| self.machines[leader].replica());
        let voters = self.machines[..self.oracle.shape.voters as usize].iter().map(|machine| machine.store());
        leader.is_some_and(|leader| {
            let voting: BTreeSet<_> = leader.status().voters.into_keys().map(|id| Some(id.store)).collect();
            voting == voters.collect()
        })
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

/// The latest start of the copied store that a machine knows.
fn latest_start(machine: &Machine, copy: &DiskCopy) -> Option<u64> {
    let path: Path = format!("{STORES}/{}", copy.store).parse().expect("a path");
    let record = |content: &[u8]| serde_json::from_slice::<StoreRecord>(content).ok();
    let read = |state: &kv::coordination::state::State| state.tree().get(&path).ok().and_then(|it| record(&it.data));
    Some(machine.replica()?.with_state(read)?.start)
}

/// How often machines look around.
pub const LOOK: Duration = Duration::from_millis(50);
