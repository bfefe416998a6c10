//! The queue before the disk.
//!
//! Storage may block for as long as a disk likes, so no arbiter calls it to write: replicas submit batches, one thread applies all
//! that gathered as one, syncs once for everybody who waits (group commit), and tells each replica how far it got. Under
//! `sync = "interval"` it tells them after applying, and syncs at the interval; under `"never"` it leaves syncing to the operating
//! system. In a simulation a task with random virtual latencies takes the thread's place.
//!
//! The [`Gate`] tells everybody whether this store takes writes. It closes for good at the first failed write or sync (what
//! the disk then holds is not known until it is read again, at a restart), and for as long as the disk is nearly full.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use actix::Recipient;
use bytes::Bytes;
use tokio::sync::Notify;

use super::env::{Env, Purpose, now};
use super::replica::messages::{Flushed, Unwritten};
use super::stats::{Counter, Latency, Stats};
use crate::config::{StorageConfig, SyncPolicy};
use crate::mutant;
use crate::storage::{Batch, Engine, Space, StorageError};

/// Numbers the batches of one replica, in order.
pub type Ticket = u64;

/// How often free space is looked at.
const SPACE_CHECK: Duration = Duration::from_secs(1);

/// Whether a store takes writes.
#[derive(Debug, Default)]
pub struct Gate {
    failed: OnceLock<String>,
    full: AtomicBool,
}

impl Gate {
    /// Why no writes are taken, if none are.
    pub fn closed(&self) -> Option<String> {
        let full = || "its disk is nearly full (storage.disk_free_bytes_min)".to_string();
        self.failed.get().cloned().or_else(|| self.full.load(Ordering::Relaxed).then(full))
    }

    /// Whether writes are taken.
    pub fn is_open(&self) -> bool {
        self.failed.get().is_none() && !self.full.load(Ordering::Relaxed)
    }

    fn fail(&self, reason: String) {
        if self.failed.set(reason).is_ok() {
            log::error!(
                "this replica takes no writes until the node is restarted: {}",
                self.failed.get().map_or("", String::as_str)
            );
        }
    }

    fn set_full(&self, full: bool) {
        if self.full.swap(full, Ordering::Relaxed) != full {
            let change =
                if full { "is nearly full: no writes are taken until there is space" } else { "has space again" };
            log::warn!("the disk {change}");
        }
    }
}

/// What reaches the thread.
enum ToThread {
    Write(Job),
    /// Sync what is there and end.
    Finish,
}

/// A batch on its way to the disk.
struct Job {
    replica: Recipient<Flushed>,
    ticket: Ticket,
    batch: Batch,
    since: super::env::Moment,
}

/// A replica's end of the queue. What waits in it is bounded: a replica that finds too much of it waiting refuses.
#[derive(Clone)]
pub struct Disk {
    queue: Queue,
    /// Bytes submitted and not told of yet.
    waiting: Arc<AtomicUsize>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

#[derive(Clone)]
enum Queue {
    Thread(Sender<ToThread>),
    Task(Arc<(Mutex<Vec<Job>>, Notify)>),
}

impl Job {
    fn bytes(&self) -> usize {
        let bytes = |(_, key, value): &(Space, Bytes, Option<Bytes>)| key.len() + value.as_ref().map_or(0, Bytes::len);
        self.batch.changes.iter().map(bytes).sum()
    }
}

/// How a disk's free bytes are found out; `None` where there is no disk.
pub type FreeSpace = Box<dyn Fn() -> Option<u64> + Send>;

impl Disk {
    /// Starts the thread, or the simulated task, that writes to `engine`. It ends when all ends of the queue are dropped.
    pub fn start(
        env: &Env,
        engine: Arc<dyn Engine>,
        config: &StorageConfig,
        free_space: FreeSpace,
        stats: Arc<Stats>,
    ) -> (Disk, Arc<Gate>) {
        let (gate, waiting) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
        let writer = Writer {
            waiting: waiting.clone(),
            engine,
            policy: config.sync,
            interval: Duration::from_millis(config.sync_interval_ms),
            space: (free_space, config.disk_free_bytes_min),
            gate: gate.clone(),
            stats,
        };
        if env.has_threads() {
            let (sender, receiver) = channel();
            let thread = std::thread::Builder::new()
                .name("kv-disk".into())
                .spawn(move || writer.run(receiver))
                .expect("the operating system gives a thread");
            let thread = Arc::new(Mutex::new(Some(thread)));
            return (Disk { queue: Queue::Thread(sender), waiting, thread }, gate);
        }
        let queue = Arc::new((Mutex::new(vec![]), Notify::new()));
        actix_rt::spawn(writer.run_simulated(queue.clone(), env.clone()));
        (Disk { queue: Queue::Task(queue), waiting, thread: Arc::default() }, gate)
    }

    /// Submits a batch. `replica` is told once everything up to `ticket` is as durable as the policy makes it.
    pub fn submit(&self, replica: Recipient<Flushed>, ticket: Ticket, batch: Batch) {
        let job = Job { replica, ticket, batch, since: now() };
        self.waiting.fetch_add(job.bytes(), Ordering::Relaxed);
        match &self.queue {
            // After the end nobody waits for an answer.
            Queue::Thread(sender) => drop(sender.send(ToThread::Write(job))),
            Queue::Task(queue) => {
                queue.0.lock().expect("no panic while the queue is locked").push(job);
                queue.1.notify_one();
            }
        }
    }

    /// Bytes submitted and not told of yet.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits until everything submitted is written, and synced unless the policy is never to. Blocks; the last thing a node does.
    pub fn finish(&self) {
        if let Queue::Thread(sender) = &self.queue {
            drop(sender.send(ToThread::Finish));
        }
        let thread = self.thread.lock().expect("no panic while a thread is joined").take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            log::error!("the disk thread panicked");
        }
    }
}

struct Writer {
    engine: Arc<dyn Engine>,
    waiting: Arc<AtomicUsize>,
    policy: SyncPolicy,
    interval: Duration,
    space: (FreeSpace, u64),
    gate: Arc<Gate>,
    stats: Arc<Stats>,
}

impl Writer {
    fn run(self, queue: Receiver<ToThread>) {
        let (mut synced, mut looked, mut dirty, mut finished) = (now(), now(), false, false);
        self.look_at_space();
        while !finished {
            let wait = if dirty { self.interval.saturating_sub(synced.elapsed()) } else { SPACE_CHECK };
            let received: Vec<ToThread> = match queue.recv_timeout(wait) {
                Ok(first) => std::iter::once(first).chain(queue.try_iter()).collect(),
                Err(RecvTimeoutError::Timeout) => vec![],
                Err(RecvTimeoutError::Disconnected) => vec![ToThread::Finish],
            };
            let mut batch = vec![];
            for item in received {
                match item {
                    ToThread::Write(job) => batch.push(job),
                    ToThread::Finish => finished = true,
                }
            }
            dirty |= self.policy == SyncPolicy::Interval && !batch.is_empty();
            if !batch.is_empty() {
                self.tell(&batch, self.apply(&batch).and_then(|()| self.sync_if_always()));
            }
            if dirty && synced.elapsed() >= self.interval {
                self.sync_for_all();
                (dirty, synced) = (false, now());
            }
            if looked.elapsed() >= SPACE_CHECK {
                self.look_at_space();
                looked = now();
            }
        }
        if self.policy != SyncPolicy::Never {
            self.sync_for_all();
        }
    }

    async fn run_simulated(self, queue: Arc<(Mutex<Vec<Job>>, Notify)>, env: Env) {
        let mut rng = env.rng(0, Purpose::Disk);
        loop {
            queue.1.notified().await;
            let jobs = std::mem::take(&mut *queue.0.lock().expect("no panic while the queue is locked"));
            if jobs.is_empty() {
                continue;
            }
            let result = self.apply(&jobs);
            if mutant!(AnswerBeforeDurable) {
                self.tell(&jobs, result);
                tokio::time::sleep(self.interval).await;
                self.sync_for_all();
                continue;
            }
            tokio::time::sleep(env.sync_latency(&mut rng)).await;
            self.tell(&jobs, result.and_then(|()| self.sync_if_always()));
        }
    }

    fn apply(&self, jobs: &[Job]) -> Result<(), StorageError> {
        let changes = jobs.iter().flat_map(|job| job.batch.changes.iter().cloned()).collect();
        self.engine.apply(Batch { changes })
    }

    fn sync_if_always(&self) -> Result<(), StorageError> {
        if self.policy != SyncPolicy::Always {
            return Ok(());
        }
        self.stats.count(Counter::Syncs);
        self.engine.sync()
    }

    /// Nobody waits for this one, but its failure is everybody's.
    fn sync_for_all(&self) {
        self.stats.count(Counter::Syncs);
        if let Err(error) = self.engine.sync() {
            self.failed(error);
        }
    }

    /// A batch that was surely not applied fails alone; after any other failure nothing is certain, so all that comes later
    /// fails with it.
    fn tell(&self, jobs: &[Job], result: Result<(), StorageError>) {
        let unwritten = match result {
            Err(error) if error.is_surely_unapplied() => {
                self.stats.count(Counter::StorageErrors);
                log::warn!("a batch was refused: {error}");
                Some(Unwritten { reason: error.to_string(), engine_shows_it: false })
            }
            Err(error) => {
                self.failed(error);
                None
            }
            Ok(()) => None,
        };
        let lasting = |reason: &String| Unwritten { reason: reason.clone(), engine_shows_it: true };
        let unwritten = self.gate.failed.get().map(lasting).or(unwritten);
        for job in jobs {
            self.stats.measure(Latency::Disk, job.since.elapsed());
            self.waiting.fetch_sub(job.bytes(), Ordering::Relaxed);
            let result = unwritten.clone().map_or(Ok(()), Err);
            job.replica.do_send(Flushed { ticket: job.ticket, result });
        }
    }

    fn failed(&self, error: StorageError) {
        self.stats.count(Counter::StorageErrors);
        self.gate.fail(error.to_string());
    }

    fn look_at_space(&self) {
        let (free, least) = &self.space;
        if let Some(free) = free() {
            self.gate.set_full(free < *least);
        }
    }
}
