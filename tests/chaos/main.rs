//! The promises, checked against real processes while a nemesis strikes them: `make chaos MINUTES=10`.
//!
//! Five nodes on real disks, behind a [`network`] that can be cut, held and delayed, serve a [`workload`] of reads, writes and deletes,
//! sloppy and strict. From a seed the [`schedule`] says what goes wrong and when; the [`nemesis`] does it: kills, pauses, wiped
//! stores, full disks, splits, cuts, deaf and slow ways. After each round there is [`peace`]: faults are over, clients rest, and the
//! cluster must become whole by itself. At the end every key is read and looked at on every node, and the invariants of the simulation
//! judge what clients saw: nothing acknowledged is lost, nothing covered came back, no value came from nowhere, no strict read was
//! stale, the owners hold the same and nobody else holds anything. (What only a store can tell, such as its dots, stays to the
//! simulation.)
//!
//! `KV_CHAOS_MINUTES` is the length, less than half a minute by default. `KV_CHAOS_SEED` is the seed, by default always the same for
//! the short form and at random for another length. It fixes the faults; what a real machine makes of them is new each time.

mod disk;
mod figures;
#[path = "../simulation/history/mod.rs"]
mod history;
#[path = "../simulation/invariants/mod.rs"]
mod invariants;
mod nemesis;
mod network;
mod peace;
#[path = "../support/process.rs"]
mod process;
mod recorder;
mod run;
mod schedule;
mod workload;

use std::time::Duration;

/// Long enough for a wipe and half a dozen other faults.
const SHORT: Duration = Duration::from_secs(20);
/// Its seed.
const SHORT_SEED: u64 = 3;

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[tokio::test]
async fn promises_hold() {
    let minutes: Option<f64> = setting("KV_CHAOS_MINUTES");
    let length = minutes.map_or(SHORT, |minutes| Duration::from_secs_f64(60.0 * minutes));
    // A test that is run on every change should fail for the change, not for its luck.
    let otherwise = if minutes.is_some() { u64::from(rand::random::<u32>()) } else { SHORT_SEED };
    let seed = setting("KV_CHAOS_SEED").unwrap_or(otherwise);
    run::run(seed, length).await;
}
