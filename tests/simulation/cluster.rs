//! Whole nodes in a simulated network: the same actors, frames and timeouts as in a process, the coordination service among
//! them, with a watched drive below.

use std::sync::Arc;
use std::time::Duration;

use kv::config::{Config, NodeEntry};
use kv::coordination::registry::{STORES, StoreRecord};
use kv::core::bucket::{Bucket, Conflict};
use kv::core::id::{NodeId, StoreId};
use kv::node::bootstrap::Ending;
use rand::rngs::StdRng;

use crate::history::{Fault, What};
use crate::home::{Copy, Drive};
use crate::machine::Machine;
use crate::recorder::Recorder;
use crate::sessions::Sessions;

/// The bucket in which the newest write wins.
pub const LWW: &str = "lww";

const PORT: u16 = 8000;
/// How long a node that has left the ring stays away.
const AWAY: Duration = Duration::from_secs(1);
/// Where a copy of a node is reached.
pub const COPY: &str = "copy:8000";

/// What a simulated cluster is made of.
#[derive(Clone)]
pub struct Shape {
    pub seed: u64,
    /// Nodes that own something from the beginning.
    pub nodes: u32,
    /// Nodes that own nothing then, with the highest numbers.
    pub guests: u32,
    /// How far each node's clock is off, in milliseconds.
    pub skews_ms: Vec<i64>,
    /// How long a session lives without a sign of life, in milliseconds.
    pub session_ms: u64,
    /// How long a voter hears no leader before it stands for election, in milliseconds.
    pub election_ms: u64,
    /// After how many milliseconds a node that is down is removed, if by itself.
    pub auto_remove_ms: Option<u64>,
    /// How long tombstones are kept at least, in milliseconds, if not for as long as usual.
    pub grace_ms: Option<u64>,
    /// Whether owners are compared without being asked, and how often, in milliseconds.
    pub repair_ms: Option<u64>,
}

impl Shape {
    /// What a node is told.
    fn config(&self, id: u32) -> Config {
        let mut config = Config::default();
        config.cluster.name = "simulation".into();
        config.cluster.partitions = 16;
        let entry = |id: u32| {
            let owner = NodeEntry::new(NodeId(id), format!("n{id}:{PORT}"));
            if id > self.nodes { NodeEntry { weight: 0, ..owner } } else { owner }
        };
        config.cluster.nodes = (1..=self.nodes + self.guests).map(entry).collect();
        let lww = Bucket { conflict: Conflict::Lww, ..Bucket::default() };
        config.cluster.buckets.insert(LWW.into(), lww);
        // Quick, so that sessions end and leaders are elected within the time that a run has.
        let coordination = &mut config.cluster.coordination;
        coordination.bootstrap = true;
        coordination.heartbeat_ms = 150;
        coordination.election_timeout_ms = self.election_ms;
        coordination.session_timeout_ms = self.session_ms;
        coordination.snapshot_every = 100;
        coordination.auto_remove_after_ms = self.auto_remove_ms;
        config.node.id = NodeId(id);
        config.node.listen = format!("0.0.0.0:{PORT}");
        config.node.advertise = format!("n{id}:{PORT}");
        config.node.timing.request_timeout_ms = 2000;
        config.node.timing.handoff_interval_ms = 500;
        config.node.transfer.sweep_interval_ms = 2000;
        // Partitions move while much else happens, not slowly in between.
        (config.node.transfer.busy_percent_max, config.node.transfer.page_bytes_max) = (10_000, 1 << 20);
        if let Some(grace_ms) = self.grace_ms {
            // A silent link is given up early, so that what is under way is not waited for much longer than the grace.
            (config.node.timing.peer_timeout_ms, config.node.timing.ping_interval_ms) = (200, 100);
            (config.node.reap.grace_ms, config.node.reap.interval_ms) = (grace_ms, 300);
            config.node.reap.context_entries_min = 1;
        }
        let repair = &mut config.node.anti_entropy;
        repair.enabled = self.repair_ms.is_some();
        repair.interval_ms = self.repair_ms.unwrap_or(repair.interval_ms);
        repair.verify_interval_ms = repair.interval_ms.saturating_mul(3);
        config
    }
}

/// A node, running or not.
pub struct SimNode {
    pub machine: Arc<Machine>,
    pub running: bool,
    /// Whether it stays down whatever ends.
    pub is_dead: bool,
    /// Whether its drive holds an earlier state of itself, and nobody has told it so yet. It would be believed if it were started more often
    /// than it was since that state, without a word with the others: nobody stops it before.
    pub is_rolled_back: bool,
    /// When it is started again: it has left the ring, and ended by itself.
    returns: Option<Duration>,
    /// What its drive held once, and which store that was.
    copy: Option<(StoreId, Copy)>,
}

/// All nodes. What happens to them is recorded.
pub struct SimCluster {
    pub nodes: Vec<SimNode>,
    pub recorder: Arc<Recorder>,
    sessions: Sessions,
    rolled_back: Vec<StoreId>,
    shape: Shape,
    /// A machine that runs on a copy of another one's drive.
    copy: Option<Arc<Machine>>,
}

impl SimCluster {
    /// Adds the nodes to a simulation; they start with it, and make the cluster.
    pub fn start(sim: &mut turmoil::Sim, shape: &Shape, recorder: Arc<Recorder>) -> SimCluster {
        let machine = |id: u32| {
            let (seed, skew_ms) = (shape.seed ^ (u64::from(id) << 48), shape.skews_ms[id as usize - 1]);
            Machine::start(sim, shape.config(id), Drive::new(), seed, skew_ms, recorder.clone())
        };
        let machines: Vec<_> = (1..=shape.nodes + shape.guests).map(machine).collect();
        let node = |machine| SimNode {
            machine,
            running: true,
            is_dead: false,
            is_rolled_back: false,
            returns: None,
            copy: None,
        };
        let nodes = machines.into_iter().map(node);
        SimCluster {
            nodes: nodes.collect(),
            sessions: Sessions::new(recorder.clone()),
            rolled_back: vec![],
            shape: shape.clone(),
            copy: None,
            recorder,
        }
    }

    /// How long a session lives without a sign of life.
    pub fn session(&self) -> Duration {
        Duration::from_millis(self.shape.session_ms)
    }

    /// Where the nodes listen.
    pub fn servers(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("{}:{PORT}", node.machine.name)).collect()
    }

    /// Does what is due after each step: a node that learnt that it cannot go on as it is begins again, as the program does, and
    /// sessions are watched. One that has left the ring is started again some time later, as an operator may.
    pub fn tend(&mut self, sim: &mut turmoil::Sim) {
        for machine in self.nodes.iter().map(|node| &node.machine).chain(&self.copy) {
            let Some((ending, home)) = machine.take_ending() else { continue };
            // With the host all its tasks are gone, and with them all handles on the home but this one.
            sim.crash(machine.name.as_str());
            if matches!(ending, Ending::Left { .. }) {
                machine.put_away(home);
            } else if machine.make_ready(ending, home) {
                sim.bounce(machine.name.as_str());
            }
        }
        for node in 0..self.nodes.len() {
            let SimNode { machine, running, is_rolled_back, returns, .. } = &mut self.nodes[node];
            *is_rolled_back &= machine.store().is_some_and(|store| self.rolled_back.contains(&store));
            if machine.take_away() {
                (*running, *returns) = (false, Some(sim.elapsed() + AWAY));
                self.sessions.stopped(&machine.name);
            }
            if returns.take_if(|returns| *returns <= sim.elapsed()).is_some() {
                self.restart(sim, node);
            }
        }
        for node in &self.nodes {
            node.machine.with_nookeeper(|nookeeper| self.sessions.look(&node.machine.name, nookeeper));
        }
    }

    /// Starts a further machine, `copy`, on a copy of a running node's drive. `recorder` hears what it does.
    pub fn start_copy(&mut self, sim: &mut turmoil::Sim, node: usize, recorder: Arc<Recorder>) {
        let drive = Drive::new();
        drive.restore(&self.nodes[node].machine.drive.copy());
        let mut config = self.shape.config(node as u32 + 1);
        config.node.advertise = COPY.into();
        self.copy = Some(Machine::start(sim, config, drive, !self.shape.seed, 0, recorder));
    }

    /// The machine that runs on a copy.
    pub fn copy(&self) -> Option<&Machine> {
        self.copy.as_deref()
    }

    /// Records what the coordination service says at the end of the stores that were rolled back.
    pub fn record_registry(&self) {
        for store in &self.rolled_back {
            let by = self.record_of(*store).and_then(|record| record.replaced_by);
            self.recorder.record(What::Replaced { store: *store, by });
        }
    }

    /// What the coordination service says of a store, by the replica that knows most.
    fn record_of(&self, store: StoreId) -> Option<StoreRecord> {
        let path = format!("{STORES}/{store}").parse().expect("a path");
        let mut latest = None;
        for node in &self.nodes {
            node.machine.with_nookeeper(|nookeeper| {
                nookeeper.with_state(|state| {
                    let revision = state.tree().revision();
                    if latest.as_ref().is_none_or(|(known, _)| *known < revision) {
                        latest = Some((revision, state.tree().get(&path).ok()));
                    }
                });
            });
        }
        serde_json::from_slice(&latest?.1?.data).ok()
    }

    /// The node whose replica leads the coordination service, as the most recent leader believes.
    pub fn leader(&self) -> Option<usize> {
        let leads = |index: usize| {
            let mut term = None;
            self.nodes[index].machine.with_nookeeper(|nookeeper| {
                let status = nookeeper.status();
                term = (status.leader == Some(status.own)).then_some(status.term);
            });
            term.map(|term| (term, index))
        };
        (0..self.nodes.len()).filter_map(leads).max().map(|(_, index)| index)
    }

    /// What went wrong in a node that nothing was done to.
    pub fn trouble(&self) -> Option<String> {
        self.nodes.iter().find_map(|node| node.machine.trouble())
    }

    /// The nodes that something may happen to.
    pub fn may_stop(&self) -> Vec<usize> {
        let may_stop = |node: &usize| self.nodes[*node].running && !self.nodes[*node].is_rolled_back;
        (0..self.nodes.len()).filter(may_stop).collect()
    }

    /// Kills a node's process; with its power, unsynced bytes go too.
    pub fn stop(&mut self, sim: &mut turmoil::Sim, node: usize, fault: Fault, rng: &mut StdRng) {
        let SimNode { machine, running, .. } = &mut self.nodes[node];
        if !*running {
            return;
        }
        match fault {
            Fault::PowerLoss => machine.drive.power_loss(rng),
            _ => machine.drive.crash(),
        }
        machine.stopped();
        self.sessions.stopped(&machine.name);
        sim.crash(machine.name.as_str());
        *running = false;
        if let Some(store) = machine.store() {
            self.recorder.fault(store, fault);
        }
    }

    /// Empties the drive of a node that is down, or puts an earlier state of the same store on it. A rollback can be noticed if
    /// the coordination service knows of a start since; without that nothing happens. Answers whether something did.
    pub fn forget(&mut self, node: usize, fault: Fault) -> bool {
        let SimNode { machine, copy, .. } = &self.nodes[node];
        let Some(store) = machine.store() else { return false };
        match (fault, copy) {
            (Fault::Rollback, Some((of, copy))) => {
                if *of != store || !self.sessions.knows(store, machine.drive.start()) {
                    return false;
                }
                machine.drive.restore(copy);
                self.rolled_back.push(store);
            }
            _ => machine.wipe(),
        }
        self.nodes[node].is_rolled_back = fault == Fault::Rollback;
        self.recorder.fault(store, fault);
        true
    }

    /// Remembers what the drive of a node that is down holds, for a rollback.
    pub fn remember(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        node.copy = node.machine.store().map(|store| (store, node.machine.drive.copy()));
    }

    /// Starts a node that is down, unless it is dead.
    pub fn restart(&mut self, sim: &mut turmoil::Sim, node: usize) {
        let node = &mut self.nodes[node];
        if node.running || node.is_dead {
            return;
        }
        node.returns = None;
        node.machine.drive.disk().heal();
        sim.bounce(node.machine.name.as_str());
        node.running = true;
    }
}
