//! An exchange that is carried out.

use std::time::Duration;

use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::repair::{Cause, Due, Ended, Exchange};
use crate::core::transfer::{Whom, Work};
use crate::node::work::{AsWork, Id, Task};
use crate::wire::report::ExchangeReport;

/// An exchange that failed so often in a row is put off, for others to have its place.
const FAILURES_MAX: u32 = 4;

/// Which exchange.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ExchangeId {
    pub partition: Partition,
    pub peer: StoreId,
    pub since: Epoch,
}

impl ExchangeId {
    pub fn of(due: &Due) -> ExchangeId {
        ExchangeId { partition: due.id.0, peer: due.id.1, since: due.pair.since }
    }
}

impl Id for ExchangeId {
    fn partition(&self) -> Partition {
        self.partition
    }

    fn since(&self) -> Epoch {
        self.since
    }

    fn burdens(&self) -> Whom {
        Whom::Peer(self.peer)
    }
}

/// The exchange, and why.
#[derive(Debug)]
pub(super) struct Job {
    pub exchange: Box<Exchange>,
    pub due: Due,
    /// Whether it looks at some keys only.
    pub is_in_part: bool,
}

impl Job {
    /// What a completed one comes to.
    pub fn ended(&self) -> Ended {
        match self.exchange.is_whole() {
            _ if self.is_in_part => Ended::InPart,
            true => Ended::Whole,
            false => Ended::Skipping,
        }
    }
}

impl AsWork for Job {
    fn work(&mut self) -> &mut dyn Work {
        &mut *self.exchange
    }
}

/// What operators call a cause.
pub(super) fn cause_in_words(cause: Cause) -> &'static str {
    match cause {
        Cause::Asked => "asked for",
        Cause::Marked => "needs sync",
        Cause::Started => "unclean start",
        Cause::Returned => "node is back",
        Cause::Round => "round",
    }
}

impl Task<ExchangeId, Job> {
    /// Whether another one should have its place.
    pub(super) fn is_hopeless(&self) -> bool {
        self.failures >= FAILURES_MAX
    }

    /// Whether it holds what may be too old to be stored when its next step ends.
    pub(super) fn is_stale(&self, clock: Duration, session_max: Duration, patience: Duration) -> bool {
        self.begun.is_some_and(|begun| clock.saturating_sub(begun) + patience > session_max)
    }

    /// As operators see it.
    pub(super) fn report(&self, with: NodeId) -> ExchangeReport {
        let exchanged = self.job.exchange.exchanged();
        ExchangeReport {
            partition: self.id.partition,
            with,
            cause: cause_in_words(self.job.due.cause).into(),
            keys: exchanged.keys,
            received: exchanged.received,
            sent: exchanged.sent,
            waiting: self.waits_for(None),
        }
    }
}
