//! What is known of a node's readiness to answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a node that let a call time out is asked after the others.
const SLOW_FOR: Duration = Duration::from_secs(2);

/// How promising it is to ask a node; the least is asked first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Rank {
    /// Connected, or never tried.
    Ready,
    /// It let a call time out lately.
    Slow,
    /// The last dial failed or the connection broke.
    Down,
}

/// Shared by a link and its task.
#[derive(Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Default)]
struct State {
    down: bool,
    slow_until: Option<Instant>,
}

impl Health {
    pub fn rank(&self) -> Rank {
        let state = self.lock();
        match state.slow_until {
            _ if state.down => Rank::Down,
            Some(until) if Instant::now() < until => Rank::Slow,
            _ => Rank::Ready,
        }
    }

    pub fn up(&self) {
        self.lock().down = false;
    }

    pub fn down(&self) {
        self.lock().down = true;
    }

    pub fn slow(&self) {
        self.lock().slow_until = Some(Instant::now() + SLOW_FOR);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
