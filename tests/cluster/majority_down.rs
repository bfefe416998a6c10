//! Most voters of the coordination service are gone for a while, under load, and come back.
//!
//! Sloppy requests go on: they never wait for the service, and fallbacks stand in for who is gone. Strict ones go on for as long as
//! those who are left have leases, and then are told why they do not. When the others are back everything recovers by itself.
//!
//! `KV_MAJORITY_DOWN_S` says for how many seconds they are gone.

mod strict;

use std::ops::Range;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::inspection::{hints, leader};
use crate::load::{Done, Load, lost};
use crate::loss::Loss;
use crate::numbers::number;
use crate::process::{Cluster, Setup};
use crate::wait::until;
use strict::Strict;

/// The voters that go. Of all nodes the first three vote.
const GOING: [u32; 2] = [1, 2];
/// Seconds in the short form: twice as long as leases last.
const DOWN_S: u64 = 8;
const SESSION: Duration = Duration::from_secs(4);
/// Of each key.
const OWNERS: u8 = 3;
/// Tasks that write and read.
const TASKS: usize = 8;

/// Each key has three owners of five nodes. With two of them gone, the third and the fallbacks make up the quorum.
#[tokio::test]
async fn five_nodes_go_on_at_a_quorum_of_two() {
    go_on(5, 2, Loss::Killed).await;
}

/// Their sockets stay, and are silent.
#[tokio::test]
async fn five_nodes_go_on_while_two_are_asleep() {
    go_on(5, 2, Loss::Paused).await;
}

/// Nobody is left to stand in.
#[tokio::test]
async fn three_nodes_go_on_at_a_quorum_of_one() {
    go_on(3, 1, Loss::Killed).await;
}

/// When they were gone.
struct Gone {
    loss: Loss,
    /// Whether what is read meets what is written as long as all are there.
    overlapping: bool,
    time: Range<Instant>,
}

impl Gone {
    /// Whether others could not know of it yet. The silent are waited for a second by nodes and by the client, one after the other.
    fn is_unnoticed(&self, at: Instant) -> bool {
        let noticed_within = match self.loss {
            Loss::Killed => Duration::from_secs(1),
            Loss::Paused => Duration::from_millis(2500),
        };
        at >= self.time.start && at < self.time.start + noticed_within
    }
}

async fn go_on(nodes: u32, quorum: u8, loss: Loss) {
    let coordination = format!("session_timeout_ms = {}\n", SESSION.as_millis());
    let mut cluster = Cluster::start_with(Setup { nodes, coordination, ..Setup::default() }).await;
    let client = cluster.client().await;
    let load = Load::start_at(quorum, &client, TASKS);
    let strict = Strict::start(&client, quorum, &GOING);
    sleep(Duration::from_secs(2)).await;

    let lost_at = Instant::now();
    loss.take(&mut cluster, &GOING);
    sleep(Duration::from_secs(number("KV_MAJORITY_DOWN_S").unwrap_or(DOWN_S))).await;
    let back_at = Instant::now();
    loss.give_back(&mut cluster, &GOING);
    until("strict requests are served again", async || strict.is_served_since(back_at).then_some(())).await;
    let strict_again = back_at.elapsed();
    cluster.wait_until_ready().await;
    let ready = back_at.elapsed();
    sleep(Duration::from_secs(1)).await;
    let (done, strict) = (load.stop().await, strict.stop().await);

    let gone = Gone { loss, overlapping: 2 * quorum > OWNERS, time: lost_at..back_at };
    println!("{nodes} nodes, r = w = {quorum}, voters {GOING:?} {loss:?} for {:?}", back_at - lost_at);
    judge_sloppy(&done, &gone);
    strict::judge(&strict, &gone);
    println!("back: strict requests work after {strict_again:?}, all nodes have leases after {ready:?}");

    let ids = cluster.ids();
    until("a leader that all agree on", async || leader(&client, &ids).await).await;
    until("the hints are delivered", async || (hints(&client, &ids).await == 0).then_some(())).await;
    println!("hints are delivered after {:?}", back_at.elapsed());
    assert_eq!(lost(&client, &done.acknowledged, OWNERS).await, [""; 0], "lost");
}

/// Not one failed, but writes that were under way at a node when it went: what came of those nobody can know.
fn judge_sloppy(done: &Done, gone: &Gone) {
    let (in_flight, failed): (Vec<_>, Vec<_>) =
        done.failures.iter().partition(|(at, _, error)| gone.is_unnoticed(*at) && error.outcome_unknown());
    println!(
        "sloppy: {} requests, {} writes acknowledged; {} in flight at the loss have an unknown outcome; {} failed",
        done.requests,
        done.acknowledged.len(),
        in_flight.len(),
        failed.len(),
    );
    for (at, what, error) in in_flight.iter().chain(&failed) {
        println!("  {what} at {:?}: {error}", at.checked_duration_since(gone.time.start));
    }
    // The two may be those that acknowledged a write; and when they are back, they lack what was written meanwhile until the hints
    // for it are delivered.
    let behind = |when: &dyn Fn(&Instant) -> bool| done.behind.iter().filter(|(at, _)| when(at)).count();
    let (before, meanwhile) = (behind(&|at| *at < gone.time.start), behind(&|at| gone.time.contains(at)));
    println!(
        "  reads that were behind: {meanwhile} while they were gone, {} after that",
        done.behind.len() - meanwhile
    );
    assert!(before == 0 || !gone.overlapping, "{before} reads were behind though all owners were there");
    assert!(failed.is_empty(), "{} sloppy requests failed", failed.len());
    // A task has one request under way. Of silent nodes it may meet one after the other.
    assert!(in_flight.len() <= TASKS * GOING.len(), "{} writes have an unknown outcome", in_flight.len());
}
