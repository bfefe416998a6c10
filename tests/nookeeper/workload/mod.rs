//! Clients of the service, each from a seed.
//!
//! They share few nodes, so that they meet: [`writing`] clients change them in all ways and read them back, [`electing`] clients
//! compete for the lead by the recipe, [`watching`] clients wait to be told. Each holds a session, renews it, opens another
//! when it has ended, and now and then drops a call half-way or leaves a session to die.

mod electing;
mod watching;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv::coordination::api::{Answer, Error, Service, Session};
use kv::coordination::tree::{CreateMode, Path, Refusal};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep, timeout};

use crate::history::Micros;
use crate::recorded::Recorded;
use crate::recorder::Recorder;

/// Below this are the nodes that are written.
const WRITTEN: &str = "/written";
/// Below this are the candidates.
const ELECTION: &str = "/election";
/// Names of nodes that are written.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// How clients behave.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Until when they write.
    pub until: Micros,
    /// The longest pause between two calls.
    pub pause_max: Duration,
    /// How long they wait for an answer.
    pub patience: Duration,
    /// The timeout of their sessions.
    pub session: Duration,
}

/// What a client does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Writing,
    Electing,
    Watching,
}

/// A client.
pub struct Client {
    service: Recorded,
    recorder: Arc<Recorder>,
    rng: StdRng,
    habits: Habits,
}

impl Client {
    pub fn new(service: Arc<dyn Service>, recorder: Arc<Recorder>, habits: Habits, seed: u64) -> Client {
        let id = recorder.next_client();
        let rng = StdRng::seed_from_u64(seed ^ (u64::from(id.0) << 32));
        Client { service: Recorded::new(service, recorder.clone(), id), recorder, rng, habits }
    }

    /// Lives until its time is over; who watches lives for ever, so that it can be told of the last change.
    pub async fn run(mut self, role: Role) {
        self.prepare().await;
        while role == Role::Watching || self.has_time() {
            let wanted = self.habits.session;
            if let Some(Ok(session)) = patiently(self.habits.patience, self.service.open(wanted)).await {
                let mut held = Held { session, renewed: Instant::now() };
                match role {
                    Role::Writing => self.write(&mut held).await,
                    Role::Electing => self.elect(&mut held).await,
                    Role::Watching => self.watch(&mut held).await,
                }
            }
            self.pause().await;
        }
    }

    /// Reads every node that was written, for the checks; tries until each has been read.
    pub async fn look_at_all(mut self) {
        self.prepare().await;
        for name in NAMES {
            while !self.looked_at(&below(WRITTEN, name)).await {
                self.pause().await;
            }
        }
    }

    async fn looked_at(&self, path: &Path) -> bool {
        let (patience, wanted) = (self.habits.patience, self.habits.session);
        let Some(Ok(session)) = patiently(patience, self.service.open(wanted)).await else { return false };
        let synced = patiently(patience, session.sync()).await.is_some_and(|synced| synced.is_ok());
        let read = synced && patiently(patience, session.exists(path)).await.is_some_and(|read| read.is_ok());
        // Whether it is closed or left to die is the same to the checks.
        let _ = patiently(patience, session.close()).await;
        read
    }

    /// Makes the nodes that others stand below.
    async fn prepare(&mut self) {
        while !self.prepared().await {
            self.pause().await;
        }
    }

    async fn prepared(&self) -> bool {
        let (patience, wanted) = (self.habits.patience, self.habits.session);
        let Some(Ok(session)) = patiently(patience, self.service.open(wanted)).await else { return false };
        for parent in [WRITTEN, ELECTION] {
            let created = session.create(&path(parent), self.recorder.next_data(), CreateMode::Persistent);
            match patiently(patience, created).await {
                Some(Ok(_) | Err(Error::Refused(Refusal::NodeExists { .. }))) => {}
                _ => return false,
            }
        }
        true
    }

    fn has_time(&self) -> bool {
        self.recorder.now() < self.habits.until
    }

    async fn pause(&mut self) {
        let millis = self.rng.random_range(0..=self.habits.pause_max.as_millis() as u64);
        sleep(Duration::from_millis(millis)).await;
    }

    fn data(&self) -> Bytes {
        self.recorder.next_data()
    }

    /// Mostly as long as usual; sometimes so short that the call is dropped half-way.
    fn patience(&mut self) -> Duration {
        match self.rng.random_bool(0.05) {
            true => Duration::from_millis(self.rng.random_range(0..20)),
            false => self.habits.patience,
        }
    }

    /// Renews a session if it is time to; false if it has ended.
    async fn keep(&self, held: &mut Held) -> bool {
        if held.renewed.elapsed() < held.session.timeout() / 3 {
            return true;
        }
        held.renewed = Instant::now();
        !has_expired(&patiently(self.habits.patience, held.session.renew()).await)
    }
}

/// A session, and when it was renewed.
struct Held {
    session: Box<dyn Session>,
    renewed: Instant,
}

/// An answer, if it comes in time.
async fn patiently<T>(patience: Duration, answer: Answer<'_, T>) -> Option<Result<T, Error>> {
    timeout(patience, answer).await.ok()
}

fn has_expired<T>(answer: &Option<Result<T, Error>>) -> bool {
    matches!(answer, Some(Err(Error::SessionExpired)))
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

fn below(parent: &str, name: &str) -> Path {
    path(parent).child(name).expect("a name")
}
