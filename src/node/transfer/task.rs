//! A work of this node, and when it is its turn.

use std::time::Duration;

use super::agenda::Aged;
use crate::core::id::{Epoch, NodeId, Partition};
use crate::core::transfer::{Candidate, Drain, Phase, Transfer, TransferId, Whom, Work};
use crate::wire::report::{DrainReport, TransferPhase, TransferReport};

/// The pause after a first failure,
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// and after many: it doubles with each in a row.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Which work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum TaskId {
    /// A partition arrives here from one source.
    Transfer(TransferId),
    /// A partition is delivered from here.
    Drain(Aged),
}

impl TaskId {
    pub fn partition(&self) -> Partition {
        match self {
            TaskId::Transfer(id) => id.partition,
            TaskId::Drain((partition, _)) => *partition,
        }
    }

    pub fn since(&self) -> Epoch {
        match self {
            TaskId::Transfer(id) => id.since,
            TaskId::Drain((_, since)) => *since,
        }
    }

    fn burdens(&self) -> Whom {
        match self {
            TaskId::Transfer(id) => Whom::Peer(id.source),
            TaskId::Drain(_) => Whom::Own,
        }
    }
}

/// What a task does.
#[derive(Debug)]
pub(super) enum Job {
    Transfer(Box<Transfer>),
    Drain(Box<Drain>),
}

/// A work and its turn. Times are counted from the actor's start.
#[derive(Debug)]
pub(super) struct Task {
    pub id: TaskId,
    pub job: Job,
    /// Whether it may go on at all: its source is one that is to be copied from.
    pub is_wanted: bool,
    /// Why it does not go on.
    pub waiting: Option<String>,
    /// When what it is to store was read, at the earliest.
    pub read_at: Duration,
    is_under_way: bool,
    begun: Option<Duration>,
    not_before: Duration,
    idle_since: Duration,
    failures: u32,
}

impl Task {
    pub fn new(id: TaskId, job: Job, now: Duration) -> Task {
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

    pub fn work(&mut self) -> &mut dyn Work {
        match &mut self.job {
            Job::Transfer(transfer) => &mut **transfer,
            Job::Drain(drain) => &mut **drain,
        }
    }

    /// As one of those who want their turn.
    pub fn candidate(&self) -> Option<Candidate<TaskId>> {
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
    pub fn begins_again(&mut self, job: Job, now: Duration, reason: String) {
        self.job = job;
        self.repeats_step(now, reason);
    }

    /// Why it does not go on: `otherwise` if nothing else keeps it.
    fn waits_for(&self, otherwise: Option<&str>) -> Option<String> {
        let idles = || otherwise.filter(|_| !self.is_under_way).map(String::from);
        self.waiting.clone().or_else(idles)
    }

    pub fn report_transfer(&self, from: NodeId, now: Duration, otherwise: Option<&str>) -> Option<TransferReport> {
        let Job::Transfer(transfer) = &self.job else { return None };
        let progress = transfer.progress();
        let took_ms = self.begun.map_or(0, |begun| now.saturating_sub(begun).as_millis() as u64);
        let phase = match transfer.phase() {
            _ if self.begun.is_none() => TransferPhase::Waiting,
            Phase::Freeze => TransferPhase::Freezing,
            Phase::Bulk => TransferPhase::Copying,
            Phase::Compare => TransferPhase::Comparing,
            Phase::Done => TransferPhase::Arrived,
        };
        Some(TransferReport {
            partition: self.id.partition(),
            from: Some(from),
            phase,
            keys: progress.keys,
            keys_expected: progress.keys_expected,
            bytes: progress.bytes,
            bytes_before: progress.bytes_before,
            bytes_expected: progress.bytes_expected,
            bytes_per_s: ((progress.bytes - progress.bytes_before) * 1000).checked_div(took_ms).unwrap_or(0),
            unreadable: progress.unreadable,
            waiting: self.waits_for(otherwise),
        })
    }

    pub fn report_drain(&self, otherwise: Option<&str>) -> Option<DrainReport> {
        let Job::Drain(drain) = &self.job else { return None };
        let drained = drain.drained();
        Some(DrainReport {
            partition: self.id.partition(),
            keys: drained.keys,
            dropped: drained.dropped,
            sent: drained.sent,
            hinted: drained.hinted,
            waiting: self.waits_for(otherwise),
        })
    }
}
