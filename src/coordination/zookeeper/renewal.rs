//! When a session is known to live on.
//!
//! # What ZooKeeper tells
//!
//! The leader alone ends sessions: each at its last *touch*, as the leader saw it, plus the timeout, rounded up to a tick. A new
//! leader begins with the full timeout for all. Any request touches its session, but on the server that the client is
//! connected to: the leader's own clients at once; of a follower's clients the leader hears when it pings the follower next,
//! which it does twice a tick. No reply says that it has heard, and it does not take a request that a follower passes
//! on, not even a write, for a touch (`LearnerSessionTracker`, `Learner.ping`, `LearnerHandler`; 3.8 and later).
//!
//! So the reply to a write proves that the session lived while a leader handled it, and that this leader still had its
//! majority then; it does not prove that the session's time began anew. If the previous touch was long ago, the session
//! may end right after it.
//!
//! # What is assumed and what follows
//!
//! Assumed is that a follower which answers a client has passed its touch on to the leader after at most a third of the
//! session's timeout ([`on_its_way`]). With `minSessionTimeout` at its default, two ticks, that is at least two thirds of a tick,
//! and the leader pings after half of one. Kept is a moment, `since`, from which the session is known to live for its timeout. At first
//! it is the call that opened the session: the leader counts from when it made it. A renewal called at `t` writes and is
//! answered at `a`; its touch is with the leader by `a` plus the delay.
//!
//! - If that is before `since` plus the timeout, the session has not ended by then, the touch counts, and it lives until `t` plus
//!   the timeout. This is so for whoever renews each third of the timeout.
//! - If not (the holder was late, or slept), the renewal waits for the delay and writes once more. The leader handled that write
//!   after the touch had come, and the session lived: the touch counted.
//!
//! A change of leaders breaks neither: a leader that lost its majority commits no write, so the next one, which gives the full
//! timeout, began after `t`.
//!
//! Moments are those of a clock that goes on while the machine is suspended, as the leader's does.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// A moment: the time since the machine started, suspended or not.
pub(super) type Moment = Duration;

/// How long a touch may take to the leader.
pub(super) fn on_its_way(timeout: Duration) -> Duration {
    timeout / 3
}

/// What is known of a session's life.
pub(super) struct Life {
    timeout: Duration,
    since: Mutex<Moment>,
}

impl Life {
    /// A session that was opened by a call at this moment.
    pub(super) fn new(timeout: Duration, opened: Moment) -> Life {
        Life { timeout, since: Mutex::new(opened) }
    }

    /// Whether a touch that a server had at this moment reaches the leader while the session surely lives.
    pub(super) fn covers(&self, answered: Moment) -> bool {
        answered + on_its_way(self.timeout) < *self.since() + self.timeout
    }

    /// The session lives for its timeout from this moment.
    pub(super) fn lives_from(&self, called: Moment) {
        let mut since = self.since();
        *since = called.max(*since);
    }

    /// A moment alone is whole, whatever panicked.
    fn since(&self) -> std::sync::MutexGuard<'_, Moment> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(1_000 + seconds)
    }

    #[test]
    fn renewals_in_time_need_no_second_write_and_late_ones_do() {
        let life = Life::new(Duration::from_secs(30), at(0));
        assert!(life.covers(at(19)));
        assert!(!life.covers(at(20)), "the touch may come when the session has just ended");
        life.lives_from(at(10));
        assert!(life.covers(at(29)) && !life.covers(at(30)));
    }

    #[test]
    fn a_renewal_that_was_overtaken_takes_nothing_back() {
        let life = Life::new(Duration::from_secs(30), at(0));
        life.lives_from(at(10));
        life.lives_from(at(5));
        assert!(life.covers(at(29)));
    }
}
