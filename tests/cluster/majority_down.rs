//! Most voters of the coordination service are dead for a while, under load, and come back.
//!
//! Sloppy requests go on: they never wait for the service, and fallbacks stand in for the dead. Strict ones go on for as long as the
//! leases of those who live, and then are told why they do not. When the dead are back everything recovers by itself.
//!
//! `KV_MAJORITY_DOWN_S` says for how many seconds they are dead.

mod strict;

use std::ops::Range;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::inspection::{hints, leader};
use crate::load::{Done, Load, lost};
use crate::numbers::number;
use crate::process::{Cluster, Setup};
use crate::wait::until;
use strict::Strict;

/// The voters that die. Of all nodes the first three vote.
const DEAD: [u32; 2] = [1, 2];
/// Seconds in the short form: twice as long as leases last.
const DOWN_S: u64 = 8;
const SESSION: Duration = Duration::from_secs(4);
/// After this all have noticed who is dead.
const NOTICED: Duration = Duration::from_secs(1);
/// Tasks that write and read.
const TASKS: usize = 8;
/// Each key has three owners of five nodes. With two of them dead, the third and the fallbacks make up the quorum.
#[tokio::test]
async fn five_nodes_go_on_at_a_quorum_of_two() {
    go_on(5, 2).await;
}

/// Nobody is left to stand in.
#[tokio::test]
async fn three_nodes_go_on_at_a_quorum_of_one() {
    go_on(3, 1).await;
}

async fn go_on(nodes: u32, quorum: u8) {
    let coordination = format!("session_timeout_ms = {}\n", SESSION.as_millis());
    let mut cluster = Cluster::start_with(Setup { nodes, coordination, ..Setup::default() }).await;
    let client = cluster.client().await;
    let load = Load::start_at(quorum, &client, TASKS);
    let strict = Strict::start(&client, quorum, &DEAD);
    sleep(Duration::from_secs(2)).await;

    let killed = Instant::now();
    cluster.kill(&DEAD);
    sleep(Duration::from_secs(number("KV_MAJORITY_DOWN_S").unwrap_or(DOWN_S))).await;
    let restarted = Instant::now();
    DEAD.into_iter().for_each(|id| cluster.run(id));
    until("strict requests are served again", async || strict.is_served_since(restarted).then_some(())).await;
    let strict_again = restarted.elapsed();
    cluster.wait_until_ready().await;
    let ready = restarted.elapsed();
    sleep(Duration::from_secs(1)).await;
    let (done, strict) = (load.stop().await, strict.stop().await);

    let dead = killed..restarted;
    println!("{nodes} nodes, r = w = {quorum}, voters {DEAD:?} dead for {:?}", restarted - killed);
    judge_sloppy(&done, &dead);
    strict::judge(&strict, &dead);
    println!("after the restart: strict requests work after {strict_again:?}, all nodes have leases after {ready:?}");

    let ids = cluster.ids();
    until("a leader that all agree on", async || leader(&client, &ids).await).await;
    until("the hints are delivered", async || (hints(&client, &ids).await == 0).then_some(())).await;
    println!("hints are delivered after {:?}", restarted.elapsed());
    assert_eq!(lost(&client, &done.acknowledged, 3).await, [""; 0], "lost");
}

/// Not one failed, but writes that were under way at a node when it was killed: what came of those nobody can know.
fn judge_sloppy(done: &Done, dead: &Range<Instant>) {
    let at_the_kill = |at: &Instant| *at >= dead.start && *at < dead.start + NOTICED;
    let (in_flight, failed): (Vec<_>, Vec<_>) =
        done.failures.iter().partition(|(at, _, error)| at_the_kill(at) && error.outcome_unknown());
    println!(
        "sloppy: {} requests, {} writes acknowledged; {} in flight at the kill have an unknown outcome; {} failed",
        done.requests,
        done.acknowledged.len(),
        in_flight.len(),
        failed.len(),
    );
    for (at, what, error) in in_flight.iter().chain(&failed) {
        println!("  {what} at {:?}: {error}", at.duration_since(dead.start));
    }
    // The two may be those that acknowledged a write; and when they are back, they lack what was written meanwhile until the hints
    // for it are delivered.
    let behind = |when: &dyn Fn(&Instant) -> bool| done.behind.iter().filter(|(at, _)| when(at)).count();
    let (before, meanwhile) = (behind(&|at| *at < dead.start), behind(&|at| dead.contains(at)));
    println!(
        "  reads that were behind: {meanwhile} while they were dead, {} after that",
        done.behind.len() - meanwhile
    );
    assert_eq!(before, 0, "reads that were behind though all lived");
    assert!(failed.is_empty(), "{} sloppy requests failed", failed.len());
    assert!(in_flight.len() <= TASKS, "a task has one request under way");
}
