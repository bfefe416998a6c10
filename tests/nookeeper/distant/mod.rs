//! A service as a network makes it look, from the one in this process: calls take time, are lost on the way there or back, and
//! reads are answered by a copy that is behind, where the session and its syncs allow that.
//!
//! It keeps all promises; or it breaks the one that a [`Lie`] names, now and then. The checks must notice.

mod session;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv::coordination::api::{self, Error, Service, Session};
use kv::coordination::local::Local;
use kv::coordination::state::State;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::lock::lock;
use session::DistantSession;

/// The longest that a call takes one way.
const DELAY_MAX: Duration = Duration::from_millis(20);
/// The longest that the copy is behind.
const BEHIND_MAX: Duration = Duration::from_millis(300);
/// How often a call is lost.
const LOSS: f64 = 0.03;
/// How often a lie is told where one can be.
const LYING: f64 = 0.05;

/// A promise that is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// A set is acknowledged and forgotten.
    LoseWrite,
    /// A set is applied twice.
    ApplyTwice,
    /// A set whose caller gave up is applied long after, though later writes were answered.
    ApplyLate,
    /// The expected version is not looked at.
    IgnoreVersion,
    /// After a sync a read may be old all the same.
    ReadOldAfterSync,
    /// Reads of a session go back.
    ReadBack,
    /// Sessions end before their time.
    ExpireEarly,
    /// A watcher is not told.
    SkipWatch,
}

impl Lie {
    /// All of them.
    pub const ALL: [Lie; 8] = [
        Lie::LoseWrite,
        Lie::ApplyTwice,
        Lie::ApplyLate,
        Lie::IgnoreVersion,
        Lie::ReadOldAfterSync,
        Lie::ReadBack,
        Lie::ExpireEarly,
        Lie::SkipWatch,
    ];
}

/// The service. Clones are the same.
#[derive(Clone)]
pub struct Distant(Arc<Shared>);

struct Shared {
    local: Local,
    lie: Option<Lie>,
    rng: Mutex<StdRng>,
    /// What reads may be answered from.
    copy: Mutex<State>,
}

impl Distant {
    /// Over a new service in this process.
    pub fn new(seed: u64, lie: Option<Lie>) -> Distant {
        let (local, rng) = (Local::new(), Mutex::new(StdRng::seed_from_u64(seed)));
        let copy = Mutex::new(local.state());
        Distant(Arc::new(Shared { local, lie, rng, copy }))
    }

    /// Keeps its clock and its copy, for ever.
    pub async fn run(self) {
        let start = Instant::now();
        let mut ahead_ms = 0;
        loop {
            for _ in 0..self.0.random(BEHIND_MAX).as_millis() {
                sleep(Duration::from_millis(1)).await;
                self.0.local.tick(start.elapsed().as_millis() as u64 + ahead_ms);
            }
            *lock(&self.0.copy) = self.0.local.state();
            if self.0.lies(Lie::ExpireEarly) {
                ahead_ms += 1_000;
            }
        }
    }
}

impl Shared {
    /// Whether this lie is told now.
    fn lies(&self, lie: Lie) -> bool {
        self.lie == Some(lie) && lock(&self.rng).random_bool(LYING)
    }

    /// One way to the service or back; false if it leads nowhere.
    async fn travel(&self) -> bool {
        let delay = self.random(DELAY_MAX);
        sleep(delay).await;
        !lock(&self.rng).random_bool(LOSS)
    }

    fn random(&self, most: Duration) -> Duration {
        Duration::from_micros(lock(&self.rng).random_range(0..most.as_micros() as u64))
    }
}

impl Service for Distant {
    fn open(&self, timeout: Duration) -> api::Answer<'_, Box<dyn Session>> {
        Box::pin(async move {
            if !self.0.travel().await {
                return Err(lost());
            }
            let session = Arc::from(self.0.local.open(timeout).await?);
            self.0.travel().await;
            Ok(Box::new(DistantSession::new(self.0.clone(), session)) as Box<dyn Session>)
        })
    }
}

fn lost() -> Error {
    Error::ConnectionLoss { cause: "lost on the way there".into() }
}

fn unknown() -> Error {
    Error::OutcomeUnknown { cause: "lost on the way back".into() }
}
