//! One simulation, from one seed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use kv::client::Client;
use kv::core::ring::Ring;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use crate::alone::alone;
use crate::cluster::{COPY, LWW, Shape, SimCluster};
use crate::history::{ClientId, Fault, History};
use crate::invariants::{self, Violation};
use crate::judge::{judge, wait_until_whole};
use crate::machine::Machine;
use crate::nemesis::{Kind, LATENCY_MAX, LATENCY_MIN, Nemesis, Temper};
use crate::recorder::Recorder;
use crate::workload::{Character, Habits, Worker};

/// Wall time of the first event: 2026, so that clocks may be wrong in both directions.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);
const CLIENTS: u32 = 4;

/// What a seed stands for.
pub struct Plan {
    pub seed: u64,
    pub nodes: u32,
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
            characters: Character::USUAL,
            forgetful: forget.is_some(),
        };
        let skew_max_ms = if rng.random_bool(0.5) { 0 } else { 500 };
        Plan { seed, nodes, temper, habits, skew_max_ms, session_ms: 2000, election_ms: 600, copy: false }
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
    let skews_ms = (0..plan.nodes).map(|_| rng.random_range(-plan.skew_max_ms..=plan.skew_max_ms)).collect();
    let shape = Shape {
        seed: plan.seed,
        nodes: plan.nodes,
        skews_ms,
        session_ms: plan.session_ms,
        election_ms: plan.election_ms,
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
    sim.client("judge", judging(servers, plan.seed, plan.nodes, recorder.clone(), stage.clone()));

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
    match stage.formed.take()? {
        Ok(ring) => cluster.recorder.formed(ring),
        Err(trouble) => return Some(trouble),
    }
    stage.phase.send_replace(Phase::Working);
    if let Some(copied) = copied {
        copied.formed(cluster.recorder.ring().clone());
        cluster.start_copy(sim, 0, copied.clone());
        sim.client("stray", stray(plan.seed, copied, plan.habits));
        // What it is told of the ring leads it nowhere else.
        cluster.nodes.iter().for_each(|node| sim.partition("stray", node.machine.name.as_str()));
    }
    let mut nemesis = Nemesis::new(plan.seed, plan.temper, clients, sim.elapsed());
    while *stage.done.borrow() < CLIENTS {
        nemesis.tick(sim, cluster);
        if let Some(trouble) = step(sim, cluster) {
            return Some(trouble);
        }
    }
    nemesis.relent(sim, cluster);
    stage.phase.send_replace(Phase::Settling);
    while stage.verdict.borrow().is_none() {
        if let Some(trouble) = step(sim, cluster) {
            return Some(trouble);
        }
    }
    cluster.record_registry();
    stage.verdict.take().and_then(Result::err)
}

async fn judging(
    servers: Vec<String>,
    seed: u64,
    nodes: u32,
    recorder: Arc<Recorder>,
    stage: Rc<Stage>,
) -> turmoil::Result {
    let client = connect(servers, seed).await;
    let formed = wait_until_whole(&client, nodes).await;
    *stage.formed.borrow_mut() = Some(formed);
    stage.reached(Phase::Settling).await?;
    let verdict = judge(client, nodes, recorder, ClientId(CLIENTS)).await;
    *stage.verdict.borrow_mut() = Some(verdict);
    Ok(())
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
