//! A work of this node, and when it is its turn.

use std::fmt::Debug;
use std::time::Duration;

use crate::core::id::{Epoch, Partition};
use crate::core::transfer::{Candidate, Whom, Work};

/// The pause after a first failure,
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// and after many: it doubles with each in a row.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Names a work.
pub trait Id: Copy + Ord + Debug {
    /// The partition that it is about.
    fn partition(&self) -> Partition;

    /// At which age of it.
    fn since(&self) -> Epoch;

    /// Whose disk it burdens most.
    fn burdens(&self) -> Whom;
}

/// Something that holds a work.
pub trait AsWork {
    /// The work.
    fn work(&mut self) -> &mut dyn Work;
}

/// A work and its turn. Times are counted from the actor's start.
#[derive(Debug)]
pub struct Task<I, J> {
    /// Which one.
    pub id: I,
    /// What it does.
    pub job: J,
    /// Whether it may go on at all: its source is one that is to be copied from.
    pub is_wanted: bool,
    /// Why it does not go on.
    pub waiting: Option<String>,
    /// When what it is to store was read, at the earliest.
    pub read_at: Duration,
    is_under_way: bool,
    /// When its first step began.
    pub begun: Option<Duration>,
    not_before: Duration,
    idle_since: Duration,
    /// In a row.
    pub failures: u32,
}

impl<I: Id, J> Task<I, J> {
    /// Wants its first step from now on.
    pub fn new(id: I, job: J, now: Duration) -> Task<I, J> {
        Task {
            id,
            job,
            is_wanted: true,
            waiting: None,
            read_at: now,
            is_under_way: false,
            begun: None,
            not_before: now,
            idle_since: now,
            failures: 0,
        }
    }

    /// As one of those who want their turn.
    pub fn candidate(&self) -> Option<Candidate<I>> {
        (self.is_wanted && !self.is_under_way).then(|| Candidate {
            id: self.id,
            burdens: self.id.burdens(),
            is_begun: self.begun.is_some(),
            not_before: self.not_before,
            idle_since: self.idle_since,
        })
    }

    /// Whom its step burdens, if one is under way.
    pub fn busy(&self) -> Option<Whom> {
        self.is_under_way.then(|| self.id.burdens())
    }

    /// When it may go on, if it waits for that.
    pub fn wakes_at(&self) -> Option<Duration> {
        (self.is_wanted && !self.is_under_way).then_some(self.not_before)
    }

    /// A step is under way.
    pub fn begins_step(&mut self, now: Duration) {
        self.begun.get_or_insert(now);
        self.is_under_way = true;
    }

    /// The step is over, and the next one may follow.
    pub fn ends_step(&mut self, now: Duration) {
        (self.is_under_way, self.idle_since, self.failures, self.waiting) = (false, now, 0, None);
    }

    /// The step is to be done again after a pause.
    pub fn repeats_step(&mut self, now: Duration, reason: String) {
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures += 1;
        (self.is_under_way, self.idle_since, self.not_before) = (false, now, now + pause);
        self.waiting = Some(reason);
    }

    /// It does not fail, but has to wait: asks again soon.
    pub fn asks_again(&mut self, now: Duration, reason: String) {
        (self.is_under_way, self.idle_since, self.not_before) = (false, now, now + PAUSE_MIN);
        self.waiting = Some(reason);
    }

    /// Begins again after a while, with a new job.
    pub fn begins_again(&mut self, job: J, now: Duration, reason: String) {
        self.job = job;
        self.repeats_step(now, reason);
    }

    /// Why it does not go on: `otherwise` if nothing else keeps it.
    pub fn waits_for(&self, otherwise: Option<&str>) -> Option<String> {
        let idles = || otherwise.filter(|_| !self.is_under_way).map(String::from);
        self.waiting.clone().or_else(idles)
    }
}
