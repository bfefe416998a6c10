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
    connection: Connection,
    slow_until: Option<Instant>,
}

#[derive(Default, PartialEq)]
enum Connection {
    #[default]
    Untried,
    Up,
    Down,
}

impl Health {
    pub fn rank(&self) -> Rank {
        let state = self.lock();
        match state.slow_until {
            _ if state.connection == Connection::Down => Rank::Down,
            Some(until) if Instant::now() < until => Rank::Slow,
            _ => Rank::Ready,
        }
    }

    pub fn is_up(&self) -> bool {
        self.lock().connection == Connection::Up
    }

    pub fn up(&self) {
        self.lock().connection = Connection::Up;
    }

    pub fn down(&self) {
        self.lock().connection = Connection::Down;
    }

    pub fn slow(&self) {
        self.lock().slow_until = Some(Instant::now() + SLOW_FOR);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
