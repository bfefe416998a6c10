//! What goes wrong, and when.

use std::time::Duration;

use kv::core::id::StoreId;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use crate::cluster::SimCluster;
use crate::history::{Fault, What};
use crate::operator::Desk;

/// The shortest pause between two faults.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The nodes that vote in the coordination service: the first ones.
const VOTERS: usize = 3;
/// The shortest and the longest time that a message takes in a healthy network.
pub const LATENCY_MIN: Duration = Duration::from_millis(1);
/// See [`LATENCY_MIN`].
pub const LATENCY_MAX: Duration = Duration::from_millis(10);

/// What a nemesis may do, and how often.
#[derive(Clone, Debug)]
pub struct Temper {
    /// The longest pause between two faults.
    pub pause_max: Duration,
    /// The shortest and the longest that a fault lasts.
    pub fault_min: Duration,
    /// See `fault_min`.
    pub fault_max: Duration,
    /// Which faults, each as often as it is named.
    pub faults: Vec<Kind>,
    /// Whether one store forgets, once: so much can be asked of no write quorum of two, but no more.
    pub forget: Option<Fault>,
}

/// Something that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A process is killed.
    Kill,
    /// A machine loses power.
    PowerLoss,
    /// Several machines lose power in one moment.
    PowerLossOfMany,
    /// The hosts, clients included, fall into two groups that do not hear each other.
    Split,
    /// All owners of some partition are cut off from everybody else: only fallbacks are left.
    IsolateOwners,
    /// One host does not hear another, who hears it.
    Deaf,
    /// Messages between two hosts wait, then all come at once.
    Hold,
    /// A disk takes a hundred times as long.
    SlowDisk,
    /// A sync fails.
    FailSync,
    /// A disk is full.
    FullDisk,
    /// The leader of the coordination service and another node hear each other late, then not at all.
    LateLeader,
    /// The voters of the coordination service do not hear each other, or most of them are down.
    LoseMajority,
    /// One owner hears the leader of the coordination service late, and so of everything that changes; its session lives.
    LateNews,
    /// One node and the others do not hear each other. Clients reach them all.
    Lonely,
}

impl Kind {
    /// What plans draw from. The rest strikes where a plan names it.
    pub const ALL: [Kind; 12] = [
        Kind::Kill,
        Kind::PowerLoss,
        Kind::PowerLossOfMany,
        Kind::Split,
        Kind::IsolateOwners,
        Kind::Deaf,
        Kind::Hold,
        Kind::SlowDisk,
        Kind::FailSync,
        Kind::FullDisk,
        Kind::LateLeader,
        Kind::LoseMajority,
    ];
}

/// A fault that will end.
enum Ending {
    Restart(Vec<usize>),
    Repair(Vec<(String, String)>),
    Release(String, String),
    /// From late to not at all.
    Silence(String, String),
    /// To nearly at once.
    Quicken(String, String),
    Majority(Box<Ending>),
    HealthyDisk(usize),
}

/// Makes things go wrong, from a seed.
pub struct Nemesis {
    temper: Temper,
    rng: StdRng,
    clients: Vec<String>,
    next: Duration,
    endings: Vec<(Duration, Ending)>,
    forgotten: bool,
    remembered: Option<usize>,
}

impl Nemesis {
    /// Strikes from a second after `now` on.
    pub fn new(seed: u64, temper: Temper, clients: Vec<String>, now: Duration) -> Nemesis {
        let rng = StdRng::seed_from_u64(seed ^ 0x6e65_6d65_7369_7300);
        let next = now + Duration::from_secs(1);
        Nemesis { temper, rng, clients, next, endings: vec![], forgotten: false, remembered: None }
    }

    /// Does what is due.
    pub fn tick(&mut self, sim: &mut turmoil::Sim, cluster: &mut SimCluster) {
        let now = sim.elapsed();
        let (due, later) = self.endings.drain(..).partition(|(at, _)| *at <= now);
        self.endings = later;
        for (_, ending) in due {
            if let Some(next) = self.end(sim, cluster, ending) {
                // Who is silent is silent for long enough to be taken for dead.
                let lasts =
                    if let Ending::Quicken(..) = next { cluster.session().mul_f64(1.5) } else { self.lasting() };
                self.endings.push((now + lasts, next));
            }
        }
        if now < self.next {
            return;
        }
        self.next = now + self.between(PAUSE_MIN, self.temper.pause_max);
        let ends = now + self.lasting();
        let Some(&kind) = self.temper.faults.choose(&mut self.rng) else { return };
        if let Some(ending) = self.strike(sim, cluster, kind) {
            self.endings.push((ends, ending));
        }
    }

    /// Does what the operator wishes: kills a node that stays dead, or starts one that was.
    pub fn obey(&mut self, sim: &mut turmoil::Sim, cluster: &mut SimCluster, desk: &Desk, fault: Fault) {
        for id in desk.doomed.take() {
            let node = id.0 as usize - 1;
            // Already down it must be told as well.
            cluster.restart(sim, node);
            cluster.stop(sim, node, fault, &mut self.rng);
            cluster.nodes[node].is_dead = true;
            desk.dead.borrow_mut().insert(id);
        }
        for id in desk.revived.take() {
            let node = id.0 as usize - 1;
            cluster.nodes[node].is_dead = false;
            cluster.restart(sim, node);
            desk.dead.borrow_mut().remove(&id);
        }
    }

    /// Ends every fault.
    pub fn relent(&mut self, sim: &mut turmoil::Sim, cluster: &mut SimCluster) {
        for (_, ending) in std::mem::take(&mut self.endings) {
            let mut ending = Some(ending);
            while let Some(this) = ending {
                ending = self.end(sim, cluster, this);
            }
        }
        let hosts = self.hosts(cluster);
        for (a, b) in pairs(&hosts) {
            sim.repair(a.as_str(), b.as_str());
            sim.release(a.as_str(), b.as_str());
        }
        // A replica whose disk failed takes no writes until it is started again.
        for node in 0..cluster.nodes.len() {
            if cluster.nodes[node].running {
                cluster.stop(sim, node, Fault::Crash, &mut self.rng);
            }
            cluster.nodes[node].machine.slow_disk(1);
            cluster.restart(sim, node);
        }
    }

    fn strike(&mut self, sim: &mut turmoil::Sim, cluster: &mut SimCluster, kind: Kind) -> Option<Ending> {
        let hosts = self.hosts(cluster);
        match kind {
            Kind::Kill | Kind::PowerLoss => {
                let node = self.victim(cluster)?;
                let fault = if kind == Kind::Kill { Fault::Crash } else { Fault::PowerLoss };
                cluster.stop(sim, node, fault, &mut self.rng);
                self.forget(cluster, node);
                self.remember(cluster, node);
                Some(Ending::Restart(vec![node]))
            }
            Kind::PowerLossOfMany => {
                let mut nodes = cluster.may_stop();
                nodes.shuffle(&mut self.rng);
                let many = self.rng.random_range(1..=nodes.len().max(1));
                nodes.truncate(many);
                nodes.iter().for_each(|node| cluster.stop(sim, *node, Fault::PowerLoss, &mut self.rng));
                Some(Ending::Restart(nodes))
            }
            Kind::Split => {
                let (left, right): (Vec<String>, Vec<String>) =
                    hosts.into_iter().partition(|_| self.rng.random_bool(0.5));
                Some(self.cut(sim, left, right))
            }
            Kind::IsolateOwners => {
                let owners = self.owners(cluster);
                let (owners, others): (Vec<String>, Vec<String>) =
                    hosts.into_iter().partition(|host| owners.contains(host));
                Some(self.cut(sim, owners, others))
            }
            Kind::Deaf => {
                let (from, to) = self.two(&hosts)?;
                sim.partition_oneway(from.as_str(), to.as_str());
                Some(Ending::Repair(vec![(from, to)]))
            }
            Kind::Hold => {
                let (a, b) = self.two(&hosts)?;
                sim.hold(a.as_str(), b.as_str());
                Some(Ending::Release(a, b))
            }
            Kind::SlowDisk => {
                let node = self.running(cluster)?;
                cluster.nodes[node].machine.slow_disk(100);
                Some(Ending::HealthyDisk(node))
            }
            Kind::LateLeader => {
                let leader = cluster.leader()?;
                // A voter that hears the leader late would stand for election, and a new leader begins all sessions anew.
                let others: Vec<usize> = (VOTERS..cluster.nodes.len()).filter(|node| *node != leader).collect();
                let name = |node: usize| cluster.nodes[node].machine.name.clone();
                let (leader, other) = (name(leader), name(*others.choose(&mut self.rng)?));
                // A sign of life is answered so late that it just still counts.
                let latency = cluster.session().mul_f64(self.rng.random_range(0.105..0.12));
                sim.set_link_latency(leader.as_str(), other.as_str(), latency);
                Some(Ending::Silence(leader, other))
            }
            Kind::LateNews => {
                // If most are late nothing happens that they could be late for.
                if !self.endings.is_empty() {
                    return None;
                }
                let leader = cluster.nodes[cluster.leader()?].machine.name.clone();
                let mut others = self.owners(cluster);
                others.retain(|other| *other != leader);
                let other = others.choose(&mut self.rng)?.clone();
                // Signs of life are answered soon enough all the same.
                let latency = cluster.session().mul_f64(self.rng.random_range(0.08..0.12));
                sim.set_link_latency(leader.as_str(), other.as_str(), latency);
                Some(Ending::Quicken(leader, other))
            }
            Kind::Lonely => {
                if !self.endings.is_empty() {
                    return None;
                }
                let node = self.running(cluster)?;
                let mut nodes: Vec<String> = cluster.nodes.iter().map(|node| node.machine.name.clone()).collect();
                let lonely = nodes.swap_remove(node);
                Some(self.cut(sim, vec![lonely], nodes))
            }
            Kind::LoseMajority => {
                // Together with another fault it may be that nobody is left to answer.
                if !self.endings.is_empty() {
                    return None;
                }
                cluster.recorder.record(What::MajorityLost);
                let ending = if self.rng.random_bool(0.5) {
                    let mut voters = cluster.may_stop();
                    voters.retain(|node| *node < VOTERS);
                    voters.shuffle(&mut self.rng);
                    voters.truncate(VOTERS / 2 + 1);
                    voters.iter().for_each(|node| cluster.stop(sim, *node, Fault::PowerLoss, &mut self.rng));
                    Ending::Restart(voters)
                } else {
                    let voters: Vec<String> = hosts.into_iter().take(VOTERS).collect();
                    let cut: Vec<_> = pairs(&voters).map(|(a, b)| (a.clone(), b.clone())).collect();
                    cut.iter().for_each(|(a, b)| sim.partition(a.as_str(), b.as_str()));
                    Ending::Repair(cut)
                };
                Some(Ending::Majority(Box::new(ending)))
            }
            Kind::FailSync | Kind::FullDisk => {
                let node = self.running(cluster)?;
                match kind {
                    Kind::FailSync => cluster.nodes[node].machine.drive.disk().fail_next_sync(),
                    _ => cluster.nodes[node].machine.drive.disk().set_full(true),
                }
                if let Some(store) = cluster.nodes[node].machine.store() {
                    cluster.recorder.fault(store, Fault::DiskFailure);
                }
                None
            }
        }
    }

    /// Ends a fault, or makes another one of it.
    fn end(&mut self, sim: &mut turmoil::Sim, cluster: &mut SimCluster, ending: Ending) -> Option<Ending> {
        match ending {
            Ending::Silence(a, b) => {
                sim.partition(a.as_str(), b.as_str());
                return Some(Ending::Quicken(a, b));
            }
            Ending::Quicken(a, b) => {
                sim.set_link_latency(a.as_str(), b.as_str(), LATENCY_MIN);
                sim.set_link_max_message_latency(a.as_str(), b.as_str(), LATENCY_MAX);
                sim.repair(a.as_str(), b.as_str());
            }
            Ending::Majority(ending) => {
                cluster.recorder.record(What::MajorityBack);
                return self.end(sim, cluster, *ending);
            }
            Ending::Restart(nodes) => nodes.into_iter().for_each(|node| cluster.restart(sim, node)),
            Ending::Repair(cut) => cut.iter().for_each(|(a, b)| sim.repair(a.as_str(), b.as_str())),
            Ending::Release(a, b) => sim.release(a.as_str(), b.as_str()),
            Ending::HealthyDisk(node) => cluster.nodes[node].machine.slow_disk(1),
        }
        None
    }

    /// Takes a copy of the first disk that stops, and later puts it back, or wipes it, while the node is down.
    fn remember(&mut self, cluster: &mut SimCluster, node: usize) {
        if self.remembered.is_none() {
            cluster.remember(node);
            self.remembered = Some(node);
        }
    }

    fn forget(&mut self, cluster: &mut SimCluster, node: usize) {
        let Some(fault) = self.temper.forget.filter(|_| !self.forgotten) else { return };
        // A rollback needs something to go back to, and something that is lost by it.
        let is_due = fault == Fault::Wipe || self.remembered == Some(node);
        if is_due && self.rng.random_bool(0.5) {
            self.forgotten = cluster.forget(node, fault);
        }
    }

    fn cut(&self, sim: &mut turmoil::Sim, left: Vec<String>, right: Vec<String>) -> Ending {
        let mut cut = vec![];
        for a in &left {
            for b in &right {
                sim.partition(a.as_str(), b.as_str());
                cut.push((a.clone(), b.clone()));
            }
        }
        Ending::Repair(cut)
    }

    fn owners(&mut self, cluster: &SimCluster) -> Vec<String> {
        let keys: Vec<_> = cluster.recorder.written_keys().into_iter().collect();
        let Some(key) = keys.choose(&mut self.rng) else { return vec![] };
        let ring = cluster.recorder.ring();
        let owners: Vec<StoreId> = ring.owners(ring.partition_of(key)).map(|member| member.store).collect();
        let names =
            cluster.nodes.iter().filter(|node| node.machine.store().is_some_and(|store| owners.contains(&store)));
        names.map(|node| node.machine.name.clone()).collect()
    }

    fn running(&mut self, cluster: &SimCluster) -> Option<usize> {
        cluster.may_stop().choose(&mut self.rng).copied()
    }

    /// Who is stopped. Whoever is to be rolled back must stop twice.
    fn victim(&mut self, cluster: &SimCluster) -> Option<usize> {
        let again = self.remembered.filter(|_| self.temper.forget == Some(Fault::Rollback) && !self.forgotten);
        match again.filter(|node| cluster.may_stop().contains(node) && self.rng.random_bool(0.5)) {
            Some(node) => Some(node),
            None => self.running(cluster),
        }
    }

    fn two(&mut self, hosts: &[String]) -> Option<(String, String)> {
        let mut chosen = hosts.choose_multiple(&mut self.rng, 2).cloned();
        Some((chosen.next()?, chosen.next()?))
    }

    /// How long a fault lasts.
    fn lasting(&mut self) -> Duration {
        self.between(self.temper.fault_min, self.temper.fault_max)
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        Duration::from_millis(self.rng.random_range(least.as_millis() as u64..=most.as_millis() as u64))
    }

    fn hosts(&self, cluster: &SimCluster) -> Vec<String> {
        cluster.nodes.iter().map(|node| node.machine.name.clone()).chain(self.clients.iter().cloned()).collect()
    }
}

fn pairs(hosts: &[String]) -> impl Iterator<Item = (&String, &String)> {
    hosts.iter().enumerate().flat_map(|(i, a)| hosts[i + 1..].iter().map(move |b| (a, b)))
}
