//! What a tree costs a write.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kv::core::id::Partition;
use kv::core::key::Key;
use kv::core::merkle::{Leaves, leaf_count};
use kv::core::ring::PARTITIONS_DEFAULT;
use kv::core::version::{Actor, Dot, Object, Payload, Record, Sibling};

/// Writes that are entered.
const WRITES: u32 = 200_000;
/// Of the clock in which the system counts a process's time.
const TICK: Duration = Duration::from_millis(10);

/// What it takes to enter a write in place of the one before it, as a store does for each that has become durable.
pub fn entering(value_bytes: usize) -> Duration {
    let (before, after) = (record(1, value_bytes), record(2, value_bytes));
    let mut leaves = Leaves::new(leaf_count(PARTITIONS_DEFAULT));
    let keys: Vec<Bytes> = (0..1000).map(|i| Key::bare(format!("key{i:08}")).stored(Partition(7))).collect();
    let version = |record: &Bytes| Record::decode(black_box(record)).map(|record| record.object.clock()).ok();
    let began = Instant::now();
    for key in keys.iter().cycle().take(WRITES as usize) {
        leaves.replace(key, version(&before), version(&after));
    }
    let took = began.elapsed();
    black_box(leaves.root());
    took / WRITES
}

/// A record of so many events, of which the last one is live.
fn record(events: u64, value_bytes: usize) -> Bytes {
    let dot = |counter| Dot { actor: Actor { incarnation: 7, birth: 1 }, counter };
    let mut object = Object::default();
    (1..=events).for_each(|counter| object.context.add(dot(counter), counter));
    let payload = Payload::Value(Bytes::from(vec![b'v'; value_bytes]));
    object.siblings.push(Sibling { dot: dot(events), time: events, payload, expires_ms: None });
    Record { mark: Some(dot(1).actor), since_ms: 0, object }.encode().0
}

/// CPU of all threads but this one, which is the client's.
pub fn nodes_cpu() -> Duration {
    cpu("/proc/self/stat").saturating_sub(cpu("/proc/thread-self/stat"))
}

/// User and system time, where the system tells it like Linux does.
fn cpu(path: &str) -> Duration {
    let ticks = || {
        let stat = fs::read_to_string(path).ok()?;
        // The name may have blanks; it ends with the last parenthesis. These are fields 14 and 15.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut number = || fields.next()?.parse::<u32>().ok();
        Some(number()? + number()?)
    };
    TICK * ticks().unwrap_or(0)
}
