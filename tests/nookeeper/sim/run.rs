//! One simulation, from one seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use kv::coordination::nookeeper::runtime;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::nemesis::{Kind, Nemesis, Temper};
use super::tally::Tally;
use super::world::{Shape, World};
use crate::alone::alone;
use crate::history::{History, Micros};
use crate::invariants::{self, Violation};
use crate::lock::lock;
use crate::recorder::Recorder;
use crate::workload::Habits;

/// When the nemesis relents. Many short runs find more than few long ones.
const RELENTS: Duration = Duration::from_secs(12);
/// When the clients write no more.
const WRITTEN: Duration = Duration::from_secs(15);
/// How long everybody may take to be told of the last change.
const PEACE: Duration = Duration::from_secs(5);
/// When the service must be whole again.
const WHOLE: Duration = Duration::from_secs(120);

/// What a seed stands for.
pub struct Plan {
    pub shape: Shape,
    pub temper: Temper,
}

impl Plan {
    /// Everything about a run follows from its seed: how many vote and learn, which faults, how fast.
    pub fn of(seed: u64) -> Plan {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x706c_616e);
        let voters = if rng.random_bool(0.6) { 3 } else { 5 };
        // A run with few kinds of faults goes deeper into each.
        let faults = match rng.random_range(0..3) {
            0 => Kind::ALL.to_vec(),
            _ => (0..3).map(|_| Kind::ALL[rng.random_range(0..Kind::ALL.len())]).collect(),
        };
        let wipe = rng.random_bool(0.4);
        let faults = if wipe { [faults, vec![Kind::Kill, Kind::PowerLoss]].concat() } else { faults };
        let temper = Temper {
            pause_max: Duration::from_millis(rng.random_range(500..4000)),
            fault_max: Duration::from_millis(rng.random_range(500..5000)),
            faults,
            wipe,
        };
        let habits = Habits {
            until: WRITTEN.as_micros() as Micros,
            pause_max: Duration::from_millis(rng.random_range(50..400)),
            patience: Duration::from_secs(3),
            session: Duration::from_secs(rng.random_range(2..8)),
        };
        // Some runs make snapshots all the time.
        let snapshot_every = if rng.random_bool(0.5) { 50 } else { 5000 };
        Plan { shape: Shape { seed, voters, learners: rng.random_range(0..3), snapshot_every, habits }, temper }
    }
}

/// What came of it.
pub struct Report {
    pub history: History,
    pub violations: Vec<Violation>,
    /// What went wrong outside the history.
    pub trouble: Vec<String>,
    /// What happened to the disks.
    pub tally: Tally,
}

impl Report {
    /// Whether every check held.
    pub fn passes(&self) -> bool {
        self.violations.is_empty() && self.trouble.is_empty()
    }

    /// What failed, for people.
    pub fn failure(&self) -> String {
        let lines = self.violations.iter().take(5).map(Violation::to_string);
        Vec::from_iter(lines.chain(self.trouble.iter().cloned())).join("\n")
    }
}

/// A network without a host.
pub fn network(seed: u64) -> turmoil::Sim<'static> {
    runtime::seed(Some(seed));
    turmoil::Builder::new()
        .rng_seed(seed)
        .epoch(UNIX_EPOCH)
        .simulation_duration(WHOLE * 10)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .tcp_capacity(4096)
        .enable_random_order()
        .build()
}

/// A history of what happens in a simulation.
pub fn recorder() -> Arc<Recorder> {
    Recorder::new(Box::new(|| turmoil::sim_elapsed().map_or(0, |elapsed| elapsed.as_micros() as Micros)))
}

/// Runs a plan to its end.
pub fn run(plan: Plan) -> Report {
    let _alone = alone();
    let mut sim = network(plan.shape.seed);
    let recorder = recorder();
    let world = World::start(&mut sim, plan.shape, recorder.clone());
    let mut nemesis = Nemesis::new(plan.shape.seed, plan.temper);
    // A replica that panics takes its host and the simulation with it. What was told until then is judged all the same.
    let ran = catch_unwind(AssertUnwindSafe(|| play(&mut sim, &world, &mut nemesis)));
    let history = recorder.history();
    match ran {
        Ok(()) => drop(sim),
        Err(_) => {
            world.oracle.complain("a replica panicked".into());
            // Half of it is torn down; the rest may panic as well.
            std::mem::forget(sim);
        }
    }
    runtime::seed(None);
    let trouble = lock(&world.oracle.trouble).clone();
    let tally = *lock(&world.oracle.tally);
    Report { violations: invariants::check(&history), history, trouble, tally }
}

fn play(sim: &mut turmoil::Sim, world: &World, nemesis: &mut Nemesis) {
    while sim.elapsed() < RELENTS {
        nemesis.tick(sim, world);
        world.attend(sim);
        sim.step().expect("no host fails");
    }
    nemesis.relent(sim, world);
    let is_whole = |world: &World| *world.oracle.looked_at.borrow() && world.votes_are_in_place();
    run_until(sim, world, WRITTEN, |_| false);
    world.oracle.peace.send_replace(true);
    run_until(sim, world, WHOLE, is_whole);
    run_until(sim, world, sim.elapsed() + PEACE, |_| false);
    if !is_whole(world) {
        world.oracle.complain("the service did not become whole".into());
    }
    let tally = *lock(&world.oracle.tally);
    tally.trouble().into_iter().for_each(|trouble| world.oracle.complain(trouble));
}

/// Until that time, or until it is so.
pub fn run_until(sim: &mut turmoil::Sim, world: &World, time: Duration, is_so: impl Fn(&World) -> bool) {
    while sim.elapsed() < time && !is_so(world) {
        world.attend(sim);
        sim.step().expect("no host fails");
    }
}
