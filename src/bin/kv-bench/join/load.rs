//! A load that arrives at a fixed rate, as that of many users does: a slow answer holds back no other request.
//!
//! Each request is due at a moment that was fixed before, and its latency counts from then, so that what a stall keeps from being
//! sent in time is measured as waiting. Half are reads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use kv::client::Client;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;

use crate::measure::{Measured, latencies_us};

/// How often requests that have become due are sent.
const TICK: Duration = Duration::from_millis(1);
/// Requests under way beyond which those that become due are counted as failed.
const UNDER_WAY_MAX: usize = 10_000;

/// What is asked.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Requests a second.
    pub rate: u32,
    /// Keys among which they are spread.
    pub keys: u32,
    /// Bytes of a value.
    pub value_bytes: usize,
}

impl Shape {
    /// The name of one of the keys.
    pub fn key(number: u32) -> String {
        format!("bench-{number:010}")
    }
}

/// What was seen in a stretch of time. A request belongs to the one in which it was due.
struct Window {
    begun: Instant,
    latencies_us: Histogram<u64>,
    errors: BTreeMap<String, u64>,
}

impl Window {
    fn begin() -> Rc<RefCell<Window>> {
        let (begun, errors) = (Instant::now(), BTreeMap::new());
        Rc::new(RefCell::new(Window { begun, latencies_us: latencies_us(), errors }))
    }

    fn failed(&mut self, kind: String) {
        *self.errors.entry(kind).or_default() += 1;
    }
}

/// Goes on until it is dropped.
pub struct Load {
    window: Rc<RefCell<Rc<RefCell<Window>>>>,
    task: JoinHandle<()>,
}

impl Load {
    /// Begins. Must run inside a `LocalSet`.
    pub fn start(client: &Client, shape: Shape) -> Load {
        let window = Rc::new(RefCell::new(Window::begin()));
        let task = tokio::task::spawn_local(send(client.clone(), shape, window.clone()));
        Load { window, task }
    }

    /// What was seen since the last call, or since it began.
    pub fn take(&self) -> Measured {
        let taken = self.window.replace(Window::begin());
        let window = taken.borrow();
        Measured::of(&window.latencies_us, window.begun.elapsed(), window.errors.clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send(client: Client, shape: Shape, window: Rc<RefCell<Rc<RefCell<Window>>>>) {
    let mut random = SmallRng::seed_from_u64(1);
    let value = vec![b'v'; shape.value_bytes];
    let under_way = Rc::new(());
    let (start, mut sent) = (Instant::now(), 0u64);
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        loop {
            let due = start + Duration::from_secs_f64(sent as f64 / f64::from(shape.rate));
            if due > Instant::now() {
                break;
            }
            sent += 1;
            let window = window.borrow().clone();
            if Rc::strong_count(&under_way) > UNDER_WAY_MAX {
                window.borrow_mut().failed("not sent: too many under way".into());
                continue;
            }
            let (key, is_read) = (Shape::key(random.random_range(0..shape.keys)), random.random());
            let (client, value, under_way) = (client.clone(), value.clone(), under_way.clone());
            tokio::task::spawn_local(async move {
                let met = if is_read {
                    client.get(key).r(2).await.map(drop)
                } else {
                    client.put(key, value).w(2).await.map(drop)
                };
                let mut window = window.borrow_mut();
                match met {
                    Ok(()) => window.latencies_us.saturating_record(due.elapsed().as_micros() as u64),
                    Err(error) => window.failed(error.to_string()),
                }
                drop(under_way);
            });
        }
    }
}
