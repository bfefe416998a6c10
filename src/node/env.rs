//! What a node takes from its surroundings: the seam for clock, randomness and placement.
//!
//! In production an actor goes to one of several arbiters and time is the machine's. In a simulation everything runs on the
//! simulated host's own loop, time is virtual, and every random stream comes from one seed. Sockets have
//! their own seam, [`crate::wire::net`]; storage is handed in.

use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng, TryRngCore};

use crate::coordination::clock;
use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::ring::Ring;
use crate::core::version::{Dot, Object};

/// Monotonic time: real, or virtual in a simulation.
pub type Moment = tokio::time::Instant;

/// Now, by the monotonic clock.
pub fn now() -> Moment {
    Moment::now()
}

/// A moment by a monotonic clock that goes on while the machine is suspended, unlike that of [`Moment`]. Others go on meanwhile, so
/// promises to them are timed by this one. Comparable within one start of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BootTime {
    nanos: u64,
}

impl BootTime {
    /// So long after the clock began.
    pub fn after_boot(elapsed: Duration) -> BootTime {
        BootTime { nanos: elapsed.as_nanos().try_into().unwrap_or(u64::MAX) }
    }

    /// Nanoseconds since the clock began; five centuries fit.
    pub fn nanos(self) -> u64 {
        self.nanos
    }
}

impl Add<Duration> for BootTime {
    type Output = BootTime;

    fn add(self, later: Duration) -> BootTime {
        BootTime::after_boot(Duration::from_nanos(self.nanos).saturating_add(later))
    }
}

/// Told of what happens inside a node; a simulation records it.
pub trait Observer: Send + Sync {
    /// `store` gave a write its dot.
    fn minted(&self, store: StoreId, key: &Key, dot: Dot, object: &Object);

    /// `store` relied on its lease: its replica replied as leased, or its coordinator answered a strict request with success.
    /// Nothing of that kind may happen after the coordination service has ended the session that the lease is of.
    fn strict_counted(&self, _store: StoreId) {}

    /// The node of `store` works by this ring from now on. Within one start of it epochs rise.
    fn published(&self, _store: StoreId, _ring: &Ring) {}
}

/// For which purpose a random stream is drawn: a draw for one does not shift the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Incarnations of a replica.
    Incarnation = 1,
    /// Jitter of reconnects.
    Reconnect = 2,
    /// Latencies of a simulated disk.
    Disk = 3,
    /// What is drawn in becoming a member of a cluster.
    Bootstrap = 4,
    /// Where the slow round of verifying what is stored begins.
    Verify = 5,
}

#[derive(Clone)]
enum Placement {
    /// Everything on the loop that is running.
    Here,
    /// One event loop on a thread of its own each.
    Arbiters(Arc<Vec<ArbiterHandle>>),
}

/// A node's surroundings. Cheap to clone and to send.
#[derive(Clone)]
pub struct Env {
    placement: Placement,
    seed: [u8; 32],
    arbiters: usize,
    simulated: Option<Simulated>,
    /// When this was made: where a simulated node's [`BootTime`] begins.
    made: Moment,
}

/// What a simulation decides for a node.
#[derive(Clone)]
pub struct Simulated {
    /// The seed of all its randomness. Different at each start of a node: that is the caller's duty.
    pub seed: u64,
    /// How far its wall clock is off.
    pub skew_ms: i64,
    /// How long its disk takes to sync, at most, in microseconds. May change while it runs.
    pub sync_us_max: Arc<AtomicU64>,
    /// Who is told of what happens inside.
    pub observer: Arc<dyn Observer>,
}

impl Env {
    /// Real threads, the machine's clock, randomness from the operating system. Must be called inside an actix system.
    pub fn real(arbiters: usize) -> Env {
        let mut seed = [0; 32];
        rand::rngs::OsRng.unwrap_err().fill_bytes(&mut seed);
        // The first arbiter is the one that runs already.
        let handles = std::iter::once(Arbiter::current())
            .chain((1..arbiters).map(|_| Arbiter::new().handle()))
            .collect::<Vec<_>>();
        Env { placement: Placement::Arbiters(Arc::new(handles)), seed, arbiters, simulated: None, made: now() }
    }

    /// One loop, `arbiters` logical ones on it, and whatever the simulation decides.
    pub fn simulated(arbiters: usize, simulated: Simulated) -> Env {
        let mut seed = [0; 32];
        rand::rngs::SmallRng::seed_from_u64(simulated.seed).fill_bytes(&mut seed);
        Env { placement: Placement::Here, seed, arbiters, simulated: Some(simulated), made: now() }
    }

    /// How many arbiters there are.
    pub fn arbiters(&self) -> usize {
        self.arbiters
    }

    /// Whether there are threads beside the loop: disks may then block one.
    pub fn has_threads(&self) -> bool {
        matches!(self.placement, Placement::Arbiters(_))
    }

    /// A random stream, the same for the same seed, place and purpose.
    pub fn rng(&self, place: u64, purpose: Purpose) -> StdRng {
        let mut seed = self.seed;
        seed.iter_mut().zip(place.to_le_bytes()).for_each(|(s, p)| *s ^= p);
        seed[31] ^= purpose as u8;
        StdRng::from_seed(seed)
    }

    /// Milliseconds since 1970 by this node's wall clock, right or wrong.
    pub fn wall_ms(&self) -> u64 {
        let skew_ms = self.simulated.as_ref().map_or(0, |s| s.skew_ms);
        (wall().as_millis() as i64).saturating_add(skew_ms).max(0) as u64
    }

    /// Now, by the clock that counts suspend. A simulated node is never suspended.
    pub fn boot_time(&self) -> BootTime {
        if self.simulated.is_some() {
            return BootTime::after_boot(self.made.elapsed());
        }
        BootTime::after_boot(clock::since_boot())
    }

    /// Who is told of what happens inside.
    pub fn observer(&self) -> Option<&dyn Observer> {
        self.simulated.as_ref().map(|s| &*s.observer)
    }

    /// How long a simulated sync takes this time.
    pub fn sync_latency(&self, rng: &mut impl rand::Rng) -> Duration {
        let most = self.simulated.as_ref().map_or(0, |s| s.sync_us_max.load(Ordering::Relaxed));
        Duration::from_micros(rng.random_range(0..=most))
    }

    /// Starts an actor on an arbiter, counted from zero and around.
    pub fn start<A, F>(&self, arbiter: usize, make: F) -> Addr<A>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce(&mut Context<A>) -> A + Send + 'static,
    {
        match &self.placement {
            Placement::Here => A::create(make),
            Placement::Arbiters(handles) => A::start_in_arbiter(&handles[arbiter % handles.len()], make),
        }
    }

    /// Runs a task on an arbiter.
    pub fn spawn<F, T>(&self, arbiter: usize, make: F)
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future<Output = ()> + 'static,
    {
        match &self.placement {
            Placement::Here => {
                actix_rt::spawn(make());
            }
            Placement::Arbiters(handles) => {
                handles[arbiter % handles.len()].spawn_fn(move || {
                    actix_rt::spawn(make());
                });
            }
        }
    }

    /// Ends the arbiters that this environment started.
    pub fn stop_arbiters(&self) {
        if let Placement::Arbiters(handles) = &self.placement {
            handles[1..].iter().for_each(|handle| {
                handle.stop();
            });
        }
    }
}

fn wall() -> Duration {
    #[cfg(feature = "sim")]
    if let Some(simulated) = turmoil::since_epoch() {
        return simulated;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
