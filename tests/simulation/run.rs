//! One simulation, from one seed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use kv::client::Client;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use crate::cluster::{LWW, Shape, SimCluster};
use crate::history::{ClientId, Fault, History};
use crate::invariants::{self, Violation};
use crate::judge::judge;
use crate::nemesis::{Kind, Nemesis, Temper};
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
        Plan { seed, nodes, temper, habits, skew_max_ms: if rng.random_bool(0.5) { 0 } else { 500 } }
    }
}

/// What came of it.
pub struct Report {
    pub history: History,
    pub violations: Vec<Violation>,
    /// What went wrong outside the history: the cluster never became whole.
    pub trouble: Option<String>,
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

/// Runs a plan to its end.
pub fn run(plan: Plan) -> Report {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let skews_ms = (0..plan.nodes).map(|_| rng.random_range(-plan.skew_max_ms..=plan.skew_max_ms)).collect();
    let shape = Shape { seed: plan.seed, nodes: plan.nodes, skews_ms };
    let (ring, service) = shape.found();
    let recorder = Recorder::new(ring, LWW, 2 * plan.skew_max_ms as u64 * 1000);
    let mut sim = turmoil::Builder::new()
        .rng_seed(plan.seed)
        .epoch(UNIX_EPOCH + EPOCH)
        .simulation_duration(Duration::from_secs(600))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .tcp_capacity(4096)
        .enable_random_order()
        .build();
    let mut cluster = SimCluster::start(&mut sim, &shape, &service, recorder.clone());
    let servers: Vec<String> = cluster.nodes.iter().map(|node| format!("{}:8000", node.name)).collect();

    let (done, mut finished) = (Rc::new(RefCell::new(0)), vec![]);
    for id in 0..CLIENTS {
        let name = format!("client{id}");
        let (servers, recorder, done, seed, habits) =
            (servers.clone(), recorder.clone(), done.clone(), plan.seed, plan.habits);
        finished.push(name.clone());
        sim.client(name, async move {
            let client = connect(servers, seed ^ id as u64).await;
            Worker::new(ClientId(id), client, recorder, seed, habits).run().await;
            *done.borrow_mut() += 1;
            Ok(())
        });
    }
    let verdict = Rc::new(RefCell::new(None));
    let (settle, settled) = watch::channel(false);
    sim.client("judge", judging(servers, plan.seed, recorder.clone(), settled, verdict.clone()));

    let mut nemesis = Nemesis::new(plan.seed, plan.temper, finished);
    while *done.borrow() < CLIENTS {
        nemesis.tick(&mut sim, &mut cluster);
        sim.step().expect("no host fails");
    }
    nemesis.relent(&mut sim, &mut cluster);
    settle.send(true).expect("the judge waits");
    while verdict.borrow().is_none() {
        sim.step().expect("no host fails");
    }
    let trouble = verdict.take().and_then(Result::err);
    drop(sim);
    let history = recorder.history();
    // A history without an end is judged by its trouble alone.
    let violations = if trouble.is_none() { invariants::check(&history) } else { vec![] };
    Report { history, violations, trouble }
}

type Verdict = Rc<RefCell<Option<Result<(), String>>>>;

async fn judging(
    servers: Vec<String>,
    seed: u64,
    recorder: Arc<Recorder>,
    mut settled: watch::Receiver<bool>,
    verdict: Verdict,
) -> turmoil::Result {
    settled.changed().await?;
    let client = connect(servers, seed).await;
    let result = judge(client, recorder, ClientId(CLIENTS)).await;
    *verdict.borrow_mut() = Some(result);
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
