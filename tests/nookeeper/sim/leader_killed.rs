//! The leader is killed again and again under a stream of versioned writes: none that was acknowledged is lost, none is applied
//! twice, revisions only rise.
//!
//! `KV_LEADER_KILLS` says how often; it prints how long there was no leader, from each kill to the next acknowledged write.

use std::time::Duration;

use super::run::{network, recorder, run_until};
use super::world::{Shape, World};
use crate::alone::alone;
use crate::history::{History, Micros, Operation};
use crate::invariants;
use crate::lock::lock;
use crate::numbers::number;
use crate::workload::Habits;

/// Kills in the short form.
const FEW: u64 = 3;
/// How long a leader leads in peace before it is killed.
const LEADS: Duration = Duration::from_secs(2);
/// How long finding the next one may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn acknowledged_writes_survive_the_leaders() {
    let kills = number("KV_LEADER_KILLS").unwrap_or(FEW);
    let _alone = alone();
    let mut sim = network(kills);
    let recorder = recorder();
    let habits = Habits {
        until: Micros::MAX,
        pause_max: Duration::from_millis(40),
        patience: Duration::from_secs(3),
        session: Duration::from_secs(5),
    };
    let shape = Shape { seed: kills, voters: 3, learners: 0, snapshot_every: 500, habits };
    let world = World::start(&mut sim, shape, recorder.clone());
    let mut without: Vec<Micros> = vec![];
    for kill in 0..kills {
        let leader = lead(&mut sim, &world).unwrap_or_else(|| panic!("nobody leads after {kill} kills"));
        let now = sim.elapsed().as_micros() as Micros;
        world.kill(&mut sim, leader);
        // One that comes back at once goes on leading.
        lead(&mut sim, &world);
        world.restart(&mut sim, leader);
        without.extend(next_write(&recorder.history(), now).map(|written| written - now));
    }
    let history = recorder.history();
    assert_eq!(*lock(&world.oracle.trouble), Vec::<String>::new());
    drop(sim);
    let violations = invariants::check(&history);
    assert!(violations.is_empty(), "{}", violations[0]);
    assert_eq!(without.len() as u64, kills, "a write after each kill");
    without.sort_unstable();
    let millis = |micros: &Micros| micros / 1000;
    println!(
        "{kills} kills, {} operations; without a leader: median {} ms, longest {} ms",
        history.operations().len(),
        millis(&without[without.len() / 2]),
        millis(without.last().expect("kills")),
    );
}

/// Lets somebody lead for a while.
fn lead(sim: &mut turmoil::Sim, world: &World) -> Option<usize> {
    run_until(sim, world, sim.elapsed() + PATIENCE, |world| world.leader().is_some());
    run_until(sim, world, sim.elapsed() + LEADS, |_| false);
    world.leader()
}

/// When the first write was acknowledged that was asked for after that time.
fn next_write(history: &History, after: Micros) -> Option<Micros> {
    let late = |operation: &&Operation| history.time(operation.invoked) >= after && operation.call.is_write();
    let answered = history.operations().iter().filter(late).filter_map(Operation::succeeded);
    answered.min().map(|place| history.time(place))
}
