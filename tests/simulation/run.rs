//! One simulation, from one seed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use kv::client::Client;
use kv::core::id::NodeId;
use kv::core::ring::Ring;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::alone::alone;
use crate::cluster::{COPY, LWW, Shape, SimCluster};
use crate::history::{ClientId, Fault, History};
use crate::invariants::{self, Violation};
use crate::judge::{judge, wait_until_whole};
use crate::machine::Machine;
use crate::nemesis::{Kind, LATENCY_MAX, LATENCY_MIN, Nemesis, Temper};
use crate::operator::{Deed, Desk, Operator, OperatorHabits};
use crate::recorder::Recorder;
use crate::workload::{Character, Habits, Worker};

/// Wall time of the first event: 2026, so that clocks may be wrong in both directions.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);
const CLIENTS: u32 = 4;
/// How long the operator may take to end what he has begun, in peace.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(120);

/// What a seed stands for.
pub struct Plan {
    pub seed: u64,
    /// Nodes that own something from the beginning.
    pub nodes: u32,
    /// Nodes that own nothing then.
    pub guests: u32,
    pub temper: Temper,
    pub habits: Habits,
    pub skew_max_ms: i64,
    /// How long a session lives without a sign of life, in milliseconds.
    pub session_ms: u64,
    /// How long a voter hears no leader before it stands for election, and how long a silent link is waited for, in
    /// milliseconds.
    pub election_ms: u64,
    /// Whether a further machine starts on a copy of the first node's drive while that runs.
    pub copy: bool,
    /// What an operator does to the ring.
    pub deeds: Vec<Deed>,
    pub operator: OperatorHabits,
    /// After how many milliseconds a node that is down is removed, if by itself.
    pub auto_remove_ms: Option<u64>,
    /// How long tombstones are kept at least, in milliseconds, if not for as long as usual; then all of them must go in the end.
    pub grace_ms: Option<u64>,
    /// In what time each pair of owners is compared once, in milliseconds. Otherwise nobody compares, and in the end all is read until
    /// it is repaired.
    pub repair_ms: Option<u64>,
}

impl Plan {
    /// Everything about a run follows from its seed: three nodes or five, which faults, how fast.
    pub fn of(seed: u64) -> Plan {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x706c_616e);
        let nodes = if rng.random_bool(0.4) { 3 } else { 5 };
        let forget = match rng.random_range(0..5) {
            0 => Some(Fault::Wipe),
            1 => Some(Fault::Rollback),
            _ => None,
        };
        // A run with few kinds of faults goes deeper into each.
        let faults: Vec<Kind> = match rng.random_range(0..3) {
            0 => Kind::ALL.to_vec(),
            _ => (0..3).map(|_| Kind::ALL[rng.random_range(0..Kind::ALL.len())]).collect(),
        };
        let faults = match forget {
            Some(_) => [faults, vec![Kind::Kill, Kind::PowerLoss]].concat(),
            None => faults,
        };
        let temper = Temper {
            pause_max: Duration::from_millis(rng.random_range(500..4000)),
            fault_min: Duration::from_millis(50),
            fault_max: Duration::from_millis(rng.random_range(500..4000)),
            faults,
            forget,
        };
        let habits = Habits {
            duration: Duration::from_secs(20),
            pause_max: Duration::from_millis(rng.random_range(20..300)),
            keys: rng.random_range(1..4),
            deletes: 10,
            characters: Character::USUAL,
            forgetful: forget.is_some(),
            quorums: None,
            apart: false,
        };
        let skew_max_ms = if rng.random_bool(0.5) { 0 } else { 500 };
        let operator = OperatorHabits { pause_max: Duration::from_secs(3), returns: true, is_automatic: false };
        Plan {
            seed,
            nodes,
            guests: 0,
            temper,
            habits,
            skew_max_ms,
            session_ms: 2000,
            election_ms: 600,
            copy: false,
            deeds: vec![],
            operator,
            auto_remove_ms: None,
            grace_ms: None,
            repair_ms: Some(rng.random_range(1000..10_000)),
        }
    }

    /// The same with many keys, of which many are deleted, a short grace, and faults that outlast it.
    pub fn reaping(seed: u64) -> Plan {
        let mut plan = Plan::of(seed);
        let mut rng = StdRng::seed_from_u64(seed ^ 0x7265_6170);
        plan.grace_ms = Some(rng.random_range(2000..4000));
        plan.habits.duration = Duration::from_secs(40);
        plan.habits.keys = rng.random_range(10..30);
        plan.habits.deletes = 35;
        plan.temper.pause_max = Duration::from_secs(6);
        plan.temper.fault_max = Duration::from_secs(8);
        plan
    }

    /// The same with a ring that changes: three or four owners and one or two guests.
    pub fn moving(seed: u64) -> Plan {
        let mut plan = Plan::of(seed);
        let mut rng = StdRng::seed_from_u64(seed ^ 0x6d6f_7665);
        plan.nodes = rng.random_range(3..=4);
        plan.guests = rng.random_range(1..=5 - plan.nodes);
        plan.deeds = (0..rng.random_range(2..=5)).map(|_| Deed::ALL[rng.random_range(0..Deed::ALL.len())]).collect();
        plan.operator.pause_max = Duration::from_millis(rng.random_range(300..3000));
        plan.auto_remove_ms = rng.random_bool(0.3).then(|| rng.random_range(1500..6000));
        plan.operator.is_automatic = plan.auto_remove_ms.is_some();
        plan.habits.duration = Duration::from_secs(30);
        // One disk is lost in a run, not two.
        if plan.temper.forget.is_none() && plan.deeds.contains(&Deed::Remove) && rng.random_bool(0.5) {
            let mut lost = false;
            plan.deeds.retain(|deed| *deed != Deed::Remove || !std::mem::replace(&mut lost, true));
            plan.operator.returns = false;
            plan.habits.forgetful = true;
        }
        plan
    }
}

/// What came of it.
pub struct Report {
    pub history: History,
    pub violations: Vec<Violation>,
    /// What went wrong outside the history: the cluster never became whole.
    pub trouble: Option<String>,
    /// What a machine on a copy did, and why it ended.
    pub copy: Option<(History, Option<String>)>,
}

impl Report {
    /// Whether every check held.
    pub fn passes(&self) -> bool {
        self.violations.is_empty() && self.trouble.is_none()
    }

    /// What failed, for people.
    pub fn failure(&self) -> String {
        let mut lines: Vec<String> = self.violations.iter().take(5).map(Violation::to_string).collect();
        lines.extend(self.trouble.clone());
        lines.join("\n")
    }
}

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    /// The nodes make the cluster.
    Forming,
    /// Clients work, the nemesis strikes.
    Working,
    /// There is peace.
    Settling,
}

/// What the hosts of a run and whoever drives it tell each other.
struct Stage {
    phase: watch::Sender<Phase>,
    /// Clients that are done.
    done: RefCell<u32>,
    /// The ring of the cluster that has formed, or why none has.
    formed: RefCell<Option<Result<Ring, String>>>,
    verdict: RefCell<Option<Result<(), String>>>,
    /// Where the operator leaves word.
    desk: Rc<Desk>,
}

impl Stage {
    async fn reached(&self, phase: Phase) -> turmoil::Result {
        self.phase.subscribe().wait_for(|now| *now >= phase).await?;
        Ok(())
    }
}

/// Runs a plan to its end.
pub fn run(plan: Plan) -> Report {
    let _alone = alone();
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let skews_ms =
        (0..plan.nodes + plan.guests).map(|_| rng.random_range(-plan.skew_max_ms..=plan.skew_max_ms)).collect();
    let shape = Shape {
        seed: plan.seed,
        nodes: plan.nodes,
        skews_ms,
        session_ms: plan.session_ms,
        election_ms: plan.election_ms,
        guests: plan.guests,
        auto_remove_ms: plan.auto_remove_ms,
        grace_ms: plan.grace_ms,
        repair_ms: plan.repair_ms,
    };
    let recorder = Recorder::new(LWW, 2 * plan.skew_max_ms as u64 * 1000);
    let mut sim = turmoil::Builder::new()
        .rng_seed(plan.seed)
        .epoch(UNIX_EPOCH + EPOCH)
        .simulation_duration(Duration::from_secs(600))
        .min_message_latency(LATENCY_MIN)
        .max_message_latency(LATENCY_MAX)
        .tcp_capacity(4096)
        .enable_random_order()
        .build();
    let mut cluster = SimCluster::start(&mut sim, &shape, recorder.clone());
    let servers = cluster.servers();
    let stage = Rc::new(Stage {
        phase: watch::channel(Phase::Forming).0,
        done: RefCell::default(),
        formed: RefCell::default(),
        verdict: RefCell::default(),
        desk: Rc::default(),
    });
    let mut clients = vec![];
    for id in 0..CLIENTS {
        let name = format!("client{id}");
        let (servers, recorder, stage, seed, habits) =
            (servers.clone(), recorder.clone(), stage.clone(), plan.seed, plan.habits);
        clients.push(name.clone());
        sim.client(name, async move {
            stage.reached(Phase::Working).await?;
            let client = connect(servers, seed ^ id as u64).await;
            Worker::new(ClientId(id), client, recorder, seed, habits).run().await;
            *stage.done.borrow_mut() += 1;
            Ok(())
        });
    }
    sim.client("operator", operating(servers.clone(), &plan, recorder.clone(), stage.clone()));
    sim.client("judge", judging(servers, &plan, recorder.clone(), stage.clone()));

    let copied = plan.copy.then(|| Recorder::new(LWW, 0));
    let trouble = play(&mut sim, &mut cluster, &stage, plan, clients, copied.clone());
    let copy = copied.map(|copied| (copied.history(), cluster.copy().and_then(Machine::trouble)));
    drop((sim, cluster));
    let history = recorder.history();
    // A history without an end is judged by its trouble alone.
    let violations = if trouble.is_none() { invariants::check(&history) } else { vec![] };
    Report { history, violations, trouble, copy }
}

/// Lets it happen; answers what went wrong outside the history.
fn play(
    sim: &mut turmoil::Sim,
    cluster: &mut SimCluster,
    stage: &Stage,
    plan: Plan,
    clients: Vec<String>,
    copied: Option<Arc<Recorder>>,
) -> Option<String> {
    let step = |sim: &mut turmoil::Sim, cluster: &mut SimCluster| {
        sim.step().expect("no host fails");
        cluster.tend(sim);
        cluster.trouble()
    };
    while stage.formed.borrow().is_none() {
        if let Some(trouble) = step(sim, cluster) {
            return Some(trouble);
        }
    }
    if let Err(trouble) = stage.formed.take()? {
        return Some(trouble);
    }
    stage.phase.send_replace(Phase::Working);
    if let Some(copied) = copied {
        cluster.start_copy(sim, 0, copied.clone());
        sim.client("stray", stray(plan.seed, copied, plan.habits));
        // What it is told of the ring leads it nowhere else.
        cluster.nodes.iter().for_each(|node| sim.partition("stray", node.machine.name.as_str()));
    }
    if plan.habits.apart {
        for (i, client) in clients.iter().enumerate() {
            let own = (plan.seed as usize + i) % cluster.nodes.len();
            let others = cluster.nodes.iter().enumerate().filter(|(node, _)| *node != own);
            others.for_each(|(_, other)| sim.partition(client.as_str(), other.machine.name.as_str()));
        }
    }
    let mut nemesis = Nemesis::new(plan.seed, plan.temper, clients, sim.elapsed());
    let death = if plan.operator.returns { Fault::Crash } else { Fault::Gone };
    while *stage.done.borrow() < CLIENTS {
        nemesis.tick(sim, cluster);
        nemesis.obey(sim, cluster, &stage.desk, death);
        if let Some(trouble) = step(sim, cluster) {
            return Some(trouble);
        }
    }
    stage.desk.closing.set(true);
    nemesis.relent(sim, cluster);
    stage.phase.send_replace(Phase::Settling);
    while stage.verdict.borrow().is_none() {
        nemesis.obey(sim, cluster, &stage.desk, death);
        if let Some(trouble) = step(sim, cluster) {
            return Some(trouble);
        }
    }
    cluster.record_registry();
    stage.verdict.take().and_then(Result::err)
}

/// Does what is planned.
fn operating(
    servers: Vec<String>,
    plan: &Plan,
    recorder: Arc<Recorder>,
    stage: Rc<Stage>,
) -> impl Future<Output = turmoil::Result> + use<> {
    let (seed, deeds, habits) = (plan.seed, plan.deeds.clone(), plan.operator);
    async move {
        stage.reached(Phase::Working).await?;
        if !deeds.is_empty() {
            let client = connect(servers, seed.rotate_left(8)).await;
            Operator::new(client, recorder, stage.desk.clone(), seed, habits).run(deeds).await;
        }
        stage.desk.closed.set(true);
        Ok(())
    }
}

fn judging(
    servers: Vec<String>,
    plan: &Plan,
    recorder: Arc<Recorder>,
    stage: Rc<Stage>,
) -> impl Future<Output = turmoil::Result> + use<> {
    let (seed, nodes) = (plan.seed, plan.nodes + plan.guests);
    let (reaps, repairs) = (plan.grace_ms.is_some(), plan.repair_ms.is_some());
    async move {
        let client = connect(servers, seed).await;
        let all =
            |dead: &BTreeSet<NodeId>| (1..=nodes).map(NodeId).filter(|node| !dead.contains(node)).collect::<Vec<_>>();
        let formed = wait_until_whole(&client, || all(&BTreeSet::new())).await;
        *stage.formed.borrow_mut() = Some(formed);
        stage.reached(Phase::Settling).await?;
        let until = Instant::now() + OPERATOR_PATIENCE;
        while !stage.desk.closed.get() && Instant::now() < until {
            sleep(Duration::from_millis(100)).await;
        }
        let verdict =
            judge(client, || all(&stage.desk.dead.borrow()), recorder, ClientId(CLIENTS), reaps, repairs).await;
        *stage.verdict.borrow_mut() = Some(verdict);
        Ok(())
    }
}

/// A client that knows nobody but the machine on a copy.
async fn stray(seed: u64, recorder: Arc<Recorder>, habits: Habits) -> turmoil::Result {
    let client = connect(vec![COPY.into()], !seed).await;
    Worker::new(ClientId(0), client, recorder, !seed, habits).run().await;
    Ok(())
}

/// Nodes may be down when a client comes.
async fn connect(servers: Vec<String>, seed: u64) -> Client {
    loop {
        let builder = Client::builder().servers(servers.clone()).timeout(Duration::from_secs(2)).seed(seed);
        match builder.connect().await {
            Ok(client) => return client,
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
