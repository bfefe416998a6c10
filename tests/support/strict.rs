//! A load of strict writes and reads that overlap in their owners, so that no read may miss what was acknowledged before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kv::client::{Client, ClientError};
use tokio::task::JoinSet;

/// What was done and seen.
#[derive(Default)]
pub struct Done {
    /// Writes that were acknowledged.
    pub written: u64,
    /// Reads that were answered.
    pub read: u64,
    /// Requests that were refused or whose outcome is unknown, and the last one's reason.
    pub failed: u64,
    /// Why the last one of them did.
    pub failure: Option<ClientError>,
}

/// A load that goes on until it is stopped.
pub struct StrictLoad {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Done>,
}

impl StrictLoad {
    /// So many tasks, each of which raises the number in a key of its own at w = 2 and reads it at r = 2, of three owners.
    /// A read that shows a lower number than the last acknowledged one ends the test.
    pub fn start(client: &Client, tasks: usize) -> StrictLoad {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for task in 0..tasks {
            running.spawn(work(client.clone(), format!("strict-{task}"), stop.clone()));
        }
        StrictLoad { stop, tasks: running }
    }

    /// Stops after the requests in flight.
    pub async fn stop(self) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        let add = |all: Done, done: Done| Done {
            written: all.written + done.written,
            read: all.read + done.read,
            failed: all.failed + done.failed,
            failure: all.failure.or(done.failure),
        };
        self.tasks.join_all().await.into_iter().fold(Done::default(), add)
    }
}

async fn work(client: Client, key: String, stop: Arc<AtomicBool>) -> Done {
    let (mut done, mut acknowledged) = (Done::default(), 0);
    for number in 1_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match client.put(&key, number.to_string()).w(2).strict().await {
            Ok(_) => (acknowledged, done.written) = (number, done.written + 1),
            Err(error) => (done.failed, done.failure) = (done.failed + 1, Some(error)),
        }
        match client.get(&key).r(2).strict().await {
            Ok(read) => {
                done.read += 1;
                let numbers =
                    read.values.iter().map(|value| String::from_utf8_lossy(&value.bytes).parse::<u64>().unwrap());
                let newest = numbers.max().unwrap_or(0);
                assert!(newest >= acknowledged, "{key}: {newest} was read after {acknowledged} was acknowledged");
            }
            Err(error) => (done.failed, done.failure) = (done.failed + 1, Some(error)),
        }
    }
    done
}
