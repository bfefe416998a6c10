//! A steady load of writes and reads, of which everything that was acknowledged is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use kv::client::{Client, ClientError, Get};
use tokio::task::JoinSet;

/// Keys that are checked with one call.
const CHECKED_AT_ONCE: usize = 500;

/// What a load has done.
#[derive(Default)]
pub struct Done {
    /// Every write that was acknowledged: no key is written twice.
    pub acknowledged: BTreeMap<String, String>,
    /// Requests that failed: when, what, and why.
    pub failures: Vec<(Instant, String, ClientError)>,
    /// Reads that did not show what had been acknowledged before they began. None may be while a quorum of a key's owners lives.
    pub behind: Vec<(Instant, String)>,
    /// Requests that succeeded.
    pub requests: usize,
}

/// A load that goes on until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Done>,
}

impl Load {
    /// So many tasks that each write a new key at w = 2 and read one of theirs at r = 2, again and again.
    pub fn start(client: &Client, tasks: usize) -> Load {
        Load::start_at(2, client, tasks)
    }

    /// The same at w = r = 2, with keys that begin with `name`.
    pub fn start_named(name: &str, client: &Client, tasks: usize) -> Load {
        Load::run(name, 2, client, tasks)
    }

    /// The same at another w and r.
    pub fn start_at(quorum: u8, client: &Client, tasks: usize) -> Load {
        Load::run("load", quorum, client, tasks)
    }

    fn run(name: &str, quorum: u8, client: &Client, tasks: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for task in 0..tasks {
            running.spawn(work(client.clone(), quorum, format!("{name}-{task}"), stop.clone()));
        }
        Load { stop, tasks: running }
    }

    /// Stops after the requests in flight.
    pub async fn stop(self) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Done::default();
        for mut done in self.tasks.join_all().await {
            all.acknowledged.append(&mut done.acknowledged);
            all.failures.append(&mut done.failures);
            all.behind.append(&mut done.behind);
            all.requests += done.requests;
        }
        all
    }
}

async fn work(client: Client, quorum: u8, name: String, stop: Arc<AtomicBool>) -> Done {
    let mut done = Done::default();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (key, value) = (format!("{name}-{turn}"), format!("value {turn} of {name}"));
        match client.put(&key, value.clone()).w(quorum).await {
            Ok(_) => _ = done.acknowledged.insert(key, value),
            Err(error) => done.failures.push((Instant::now(), format!("put {key}"), error)),
        }
        let earlier = format!("{name}-{}", turn / 2);
        let expected = done.acknowledged.get(&earlier);
        match client.get(&earlier).r(quorum).await {
            Ok(read) if expected.is_some() => {
                let value = read.value().map(|value| String::from_utf8_lossy(value).into_owned());
                if value.as_ref() != expected {
                    done.behind.push((Instant::now(), earlier));
                }
            }
            Ok(_) => {}
            Err(error) => done.failures.push((Instant::now(), format!("get {earlier}"), error)),
        }
        done.requests += 2;
    }
    done
}

/// Reads everything that was acknowledged at this r. The keys that are not found, or with another value.
pub async fn lost(client: &Client, acknowledged: &BTreeMap<String, String>, r: u8) -> Vec<String> {
    let mut lost = vec![];
    let all: Vec<_> = acknowledged.iter().collect();
    for some in all.chunks(CHECKED_AT_ONCE) {
        let reads = client.multi_get(some.iter().map(|(key, _)| Get::new(key).r(r))).await;
        for ((key, value), read) in some.iter().zip(reads) {
            let read = read.unwrap_or_else(|error| panic!("reading {key} at r = {r}: {error}"));
            let found: Vec<_> = read.siblings().collect();
            if found[..] != [value.as_bytes()] {
                lost.push((*key).clone());
            }
        }
    }
    lost
}
