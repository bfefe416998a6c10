//! A stream of strict requests to keys of which enough owners live all the time, and what they may be answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kv::client::{Client, ClientError, Failure};
use kv::core::key::Key;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Gone, SESSION};

/// Renewals are sent so often, and a little time is lost until the next; a lease may be so much shorter when the last voter dies.
const RENEWED_WITHIN: Duration = Duration::from_millis(1500);
/// How many keys.
const KEYS: usize = 20;
/// Pause between two requests.
const EVERY: Duration = Duration::from_millis(20);

/// What a request was answered.
pub struct Told {
    asked: Instant,
    answered: Instant,
    /// Whose request it was.
    what: String,
    result: Result<(), ClientError>,
}

impl Told {
    fn is_refused_as_stale(&self) -> bool {
        matches!(self.result, Err(ClientError::Failure(Failure::RingMayBeStale { .. })))
    }
}

/// The stream.
pub struct Strict {
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<Told>>>,
    task: JoinHandle<()>,
}

impl Strict {
    /// Writes and reads in turn, at this strict w and r, of keys that need none of the nodes that are `going`.
    pub fn start(client: &Client, quorum: u8, going: &[u32]) -> Strict {
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let keys = keys(client, quorum, going);
        let task = tokio::spawn(work(client.clone(), quorum, keys, stop.clone(), Arc::clone(&told)));
        Strict { stop, told, task }
    }

    /// Whether a request was served that was made after this.
    pub fn is_served_since(&self, moment: Instant) -> bool {
        let told = self.told.lock().unwrap();
        told.iter().rev().take_while(|told| told.asked > moment).any(|told| told.result.is_ok())
    }

    /// All answers, in order.
    pub async fn stop(self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

fn keys(client: &Client, quorum: u8, going: &[u32]) -> Vec<String> {
    let ring = client.ring().ring.clone();
    let names = (0..).map(|i| format!("strict-{i}"));
    let enough_live = names.filter(|name| {
        let owners = ring.owners(ring.partition_of(&Key::bare(name.clone())));
        owners.filter(|owner| !going.contains(&owner.node.0)).count() >= quorum.into()
    });
    enough_live.take(KEYS).collect()
}

async fn work(client: Client, quorum: u8, keys: Vec<String>, stop: Arc<AtomicBool>, told: Arc<Mutex<Vec<Told>>>) {
    for (turn, key) in keys.iter().cycle().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let asked = Instant::now();
        let (what, result) = if (turn / keys.len()).is_multiple_of(2) {
            ("put", client.put(key, turn.to_string()).w(quorum).strict().await.map(drop))
        } else {
            ("get", client.get(key).r(quorum).strict().await.map(drop))
        };
        let what = format!("{what} {key}");
        told.lock().unwrap().push(Told { asked, answered: Instant::now(), what, result });
        sleep(EVERY).await;
    }
}

/// They are served until the leases are over, and then refused for want of a lease and for nothing else.
pub fn judge(all: &[Told], gone: &Gone) {
    let (lost, back) = (gone.time.start, gone.time.end);
    let lease = SESSION * 9 / 10;
    let (over_first, over_last) = (lost + lease - RENEWED_WITHIN, lost + lease);
    let (mut served, mut unknown, mut between, mut refused) = (0, 0, 0, 0);
    for told in all {
        let Told { asked, answered, what, result } = told;
        let at = asked.checked_duration_since(lost);
        if *answered < over_first {
            match result {
                Ok(()) => served += 1,
                Err(error) if error.outcome_unknown() && gone.is_unnoticed(*answered) => unknown += 1,
                Err(error) => panic!("{what} was refused {at:?} after the loss, while there were leases: {error}"),
            }
        } else if *asked > over_last && *answered < back {
            assert!(told.is_refused_as_stale(), "{what} {at:?} after the loss, without a lease: {result:?}");
            refused += 1;
        } else if *answered < back {
            between += 1;
        }
    }
    let first = all.iter().find(|told| told.is_refused_as_stale());
    println!(
        "strict: {served} served until {:?} after the loss ({unknown} in flight at it have an unknown outcome), {between} while \
         leases ended (the first refusal {:?} after the loss), then {refused} refused as RingMayBeStale",
        over_first - lost,
        first.and_then(|told| told.asked.checked_duration_since(lost)),
    );
    assert!(served > 0 && refused > 0);
}
