//! What the Mover does, and how it is shown.

use std::time::Duration;

use super::agenda::Aged;
use crate::core::id::{Epoch, NodeId, Partition};
use crate::core::transfer::{Drain, Phase, Transfer, TransferId, Whom, Work};
use crate::node::work::{AsWork, Id, Task};
use crate::wire::report::{DrainReport, TransferPhase, TransferReport};

/// Which work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum TaskId {
    /// A partition arrives here from one source.
    Transfer(TransferId),
    /// A partition is delivered from here.
    Drain(Aged),
}

impl Id for TaskId {
    fn partition(&self) -> Partition {
        match self {
            TaskId::Transfer(id) => id.partition,
            TaskId::Drain((partition, _)) => *partition,
        }
    }

    fn since(&self) -> Epoch {
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

impl AsWork for Job {
    fn work(&mut self) -> &mut dyn Work {
        match self {
            Job::Transfer(transfer) => &mut **transfer,
            Job::Drain(drain) => &mut **drain,
        }
    }
}

impl Task<TaskId, Job> {
    pub(super) fn report_transfer(
        &self,
        from: NodeId,
        now: Duration,
        otherwise: Option<&str>,
    ) -> Option<TransferReport> {
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

    pub(super) fn report_drain(&self, otherwise: Option<&str>) -> Option<DrainReport> {
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
