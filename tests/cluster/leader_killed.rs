//! The leader of the coordination service is killed, or put to sleep, again and again under a stream of versioned writes: none that
//! was acknowledged is lost, none is applied twice, revisions only rise, and each node of the tree is linearizable.
//!
//! The same is simulated in `tests/nookeeper`, with the same judges. These are real processes, that go with whatever they had under
//! way and come back with what their disks hold, or believing that they lead.
//!
//! `KV_LEADER_KILLS` says how often. It prints how long there was no leader: from each loss to the first write that was asked for
//! after it and acknowledged.

mod record;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::history::{History, Micros, Operation};
use crate::inspection::leader;
use crate::invariants;
use crate::loss::Loss;
use crate::numbers::number;
use crate::process::Cluster;
use crate::wait::until;
use record::Record;
use writing::Writer;

/// Losses in the short form.
const FEW: u64 = 5;
/// Clients that write.
const WRITERS: u32 = 6;
/// How long a leader leads in peace.
const LEADS: Duration = Duration::from_millis(500);

#[tokio::test]
async fn acknowledged_writes_survive_the_leaders() {
    lose_leaders(Loss::Killed).await;
}

/// Who wakes up must not answer by what it knew when it fell asleep.
#[tokio::test]
async fn a_leader_that_wakes_up_is_none() {
    lose_leaders(Loss::Paused).await;
}

async fn lose_leaders(loss: Loss) {
    let losses = number("KV_LEADER_KILLS").unwrap_or(FEW);
    let mut cluster = Cluster::start().await;
    let (ids, client) = (cluster.ids(), cluster.client().await);
    let record = Arc::new(Record::new());
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let writer = Writer::new(cluster.client().await, record.clone(), number);
        writers.spawn(writer.run(stop.clone()));
    }

    let mut lost_at = vec![];
    for turn in 0..losses {
        sleep(LEADS).await;
        let leads = until("a leader that all agree on", async || leader(&client, &ids).await).await;
        lost_at.push(record.now());
        record.note(format!("loss {turn}: node {leads}"));
        loss.take(&mut cluster, &[leads]);
        let others: Vec<u32> = ids.iter().copied().filter(|id| *id != leads).collect();
        until("another leader", async || leader(&client, &others).await.filter(|next| *next != leads)).await;
        sleep(LEADS).await;
        loss.give_back(&mut cluster, &[leads]);
        cluster.wait_until_linked().await;
    }
    stop.store(true, Ordering::Relaxed);
    let done = writers.join_all().await.into_iter().reduce(|all, one| all + one).expect("writers");
    cluster.wait_until_ready().await;
    Writer::new(cluster.client().await, record.clone(), WRITERS).look_at_all().await;

    let history = record.history();
    let mut without: Vec<Micros> = lost_at.iter().filter_map(|at| Some(next_write(&history, *at)? - at)).collect();
    assert_eq!(without.len() as u64, losses, "a write after each loss");
    without.sort_unstable();
    let millis = |micros: Option<&Micros>| micros.map_or(0, |micros| micros / 1000);
    println!("{losses} leaders {loss:?} in {:?}: {done}", Duration::from_micros(record.now()));
    println!(
        "without a leader: median {} ms, longest {} ms",
        millis(without.get(without.len() / 2)),
        millis(without.last())
    );
    let violations = invariants::check(&history);
    assert!(violations.is_empty(), "{} violations, the first: {}", violations.len(), violations[0]);
}

/// When the first write was acknowledged that was asked for after that time.
fn next_write(history: &History, after: Micros) -> Option<Micros> {
    let late = |operation: &&Operation| history.time(operation.invoked) >= after && operation.call.is_write();
    let answered = history.operations().iter().filter(late).filter_map(Operation::succeeded);
    answered.min().map(|place| history.time(place))
}
