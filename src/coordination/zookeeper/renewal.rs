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
//! session's timeout ([`Touch::has_come`]). With `minSessionTimeout` at its default, two ticks, that is at least two thirds of a tick,
//! and the leader pings after half of one. Kept is a moment, `since`, from which the session is known to live for its timeout. At first
//! it is the call that opened the session: the leader counts from when it made it. A renewal called at `t` writes and is
//! answered at `a`; its touch is with the leader by `a` plus the delay.
//!
//! - If that is before `since` plus the timeout, the session has not ended by then, the touch counts, and it lives until `t` plus
//!   the timeout. This is so for whoever renews each third of the timeout.
//! - If not (the holder was late, slept, or had no server for a while), the touch is *unproven*: the renewal waits until it must have
//!   come, and writes once more. The leader handled that write after the touch had come, and the session lived: the touch counted.
//!
//! A renewal may be given up while it waits, for its holder does not wait as long for an answer. So an unproven touch is remembered: the
//! next renewal, which is another one, first proves the old touch and need not wait again for its own.
//!
//! A change of leaders breaks neither: a leader that lost its majority commits no write, so the next one, which gives the full
//! timeout, began after `t`. Nor does a change of the server: the new one asks the leader whether the session lives, which touches it.
//!
//! Moments are those of a clock that goes on while the machine is suspended, as the leader's does ([`clock`](super::super::clock)).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A moment: the time since the machine started, suspended or not.
pub(super) type Moment = Duration;

/// A write that a server has answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Touch {
    pub(super) called: Moment,
    pub(super) answered: Moment,
}

impl Touch {
    /// When the leader has surely heard of it, in a session with this timeout.
    pub(super) fn has_come(&self, timeout: Duration) -> Moment {
        self.answered + timeout / 3
    }
}

/// What is known of a session's life.
pub(super) struct Life {
    timeout: Duration,
    known: Mutex<Known>,
}

struct Known {
    since: Moment,
    /// The oldest touch that may have come too late.
    unproven: Option<Touch>,
}

impl Life {
    /// A session that was opened by a call at this moment.
    pub(super) fn new(timeout: Duration, opened: Moment) -> Life {
        Life { timeout, known: Mutex::new(Known { since: opened, unproven: None }) }
    }

    /// The touch that a write is to prove next, made when it [has come](Touch::has_come), before this one is known to count; `None` if it is.
    pub(super) fn to_prove(&self, touch: Touch) -> Option<Touch> {
        let mut known = self.known();
        if touch.has_come(self.timeout) < known.since + self.timeout {
            known.lives_from(touch.called);
        }
        (known.since < touch.called).then(|| *known.unproven.get_or_insert(touch))
    }

    /// A write that was sent after this touch had come was answered.
    pub(super) fn proven(&self, touch: Touch) {
        self.known().lives_from(touch.called);
    }

    /// What is known is whole, whatever panicked.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn lives_from(&mut self, called: Moment) {
        self.since = self.since.max(called);
        self.unproven = self.unproven.filter(|touch| touch.called > self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(1_000 + seconds)
    }

    fn touch(called: u64, answered: u64) -> Touch {
        Touch { called: at(called), answered: at(answered) }
    }

    #[test]
    fn renewals_in_time_need_no_second_write_and_late_ones_do() {
        let late = touch(10, 20);
        assert_eq!(Life::new(TIMEOUT, at(0)).to_prove(touch(10, 19)), None);
        assert_eq!(Life::new(TIMEOUT, at(0)).to_prove(late), Some(late), "it may come when the session has just ended");
        let life = Life::new(TIMEOUT, at(0));
        assert_eq!((life.to_prove(touch(10, 10)), life.to_prove(touch(20, 29))), (None, None), "counted from the last");
    }

    #[test]
    fn a_renewal_that_was_overtaken_takes_nothing_back() {
        let life = Life::new(TIMEOUT, at(0));
        assert_eq!((life.to_prove(touch(10, 10)), life.to_prove(touch(5, 28))), (None, None));
        assert_eq!(life.to_prove(touch(29, 29)), None);
    }

    /// The holder gives each renewal up after a quarter of the timeout, which is less than a touch may take.
    #[test]
    fn a_late_renewal_that_was_given_up_is_proven_by_the_next_one() {
        let life = Life::new(TIMEOUT, at(0));
        let (first, second) = (touch(25, 26), touch(34, 35));
        assert_eq!(life.to_prove(first), Some(first));
        assert_eq!(life.to_prove(second), Some(first), "which has come at 36");
        life.proven(first);
        assert_eq!(life.to_prove(second), None, "it came while the session lived from 25");
    }

    #[test]
    fn what_proves_nothing_for_the_next_one_is_forgotten() {
        let life = Life::new(TIMEOUT, at(0));
        let (first, second) = (touch(25, 26), touch(90, 91));
        assert_eq!(life.to_prove(first), Some(first));
        assert_eq!(life.to_prove(second), Some(first));
        life.proven(first);
        assert_eq!(life.to_prove(second), Some(second), "from 25 it may have ended at 55");
        life.proven(second);
        assert_eq!(life.to_prove(second), None);
    }
}
