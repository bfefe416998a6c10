//! What an operator asked for, and how far it is.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::core::repair::{Exchanged, PairId, Schedule};
use crate::wire::report::RepairReport;

/// One demand. The next one takes its place.
#[derive(Debug)]
pub(super) struct Run {
    number: u64,
    /// Only keys of this bucket.
    pub bucket: Option<Bytes>,
    begun: Duration,
    /// What came before the restart of the count is not here.
    all: u64,
    left: BTreeSet<PairId>,
    exchanged: Exchanged,
    ended: Option<Duration>,
}

impl Run {
    pub fn new(number: u64, bucket: Option<Bytes>, pairs: Vec<PairId>, now: Duration) -> Run {
        let (all, left): (u64, BTreeSet<PairId>) = (pairs.len() as u64, pairs.into_iter().collect());
        let ended = left.is_empty().then_some(now);
        Run { number, bucket, begun: now, all, left, exchanged: Exchanged::default(), ended }
    }

    /// A pair was compared, whatever for. Counted if it was asked for.
    pub fn compared(&mut self, id: &PairId, exchanged: Exchanged, now: Duration) {
        if self.left.remove(id) {
            let sum = &mut self.exchanged;
            sum.keys += exchanged.keys;
            sum.received += exchanged.received;
            sum.received_bytes += exchanged.received_bytes;
            sum.sent += exchanged.sent;
            sum.sent_bytes += exchanged.sent_bytes;
            sum.mended += exchanged.mended;
            sum.unreadable += exchanged.unreadable;
        }
        self.end(now);
    }

    /// Pairs that there are no more need not be compared.
    pub fn look(&mut self, schedule: &Schedule, now: Duration) {
        self.left.retain(|id| schedule.is_asked(id));
        self.end(now);
    }

    fn end(&mut self, now: Duration) {
        if self.left.is_empty() {
            self.ended.get_or_insert(now);
        }
    }

    pub fn report(&self, schedule: &Schedule, now: Duration) -> RepairReport {
        let Exchanged { keys, received, received_bytes, sent, sent_bytes, mended, unreadable, .. } = self.exchanged;
        RepairReport {
            number: self.number,
            pairs: self.all,
            done: self.all - self.left.len() as u64,
            unreachable: self.left.iter().filter(|id| !schedule.is_live(id)).count() as u64,
            keys,
            received,
            sent,
            bytes: received_bytes + sent_bytes,
            mended,
            unreadable,
            took_ms: self.ended.unwrap_or(now).saturating_sub(self.begun).as_millis() as u64,
            is_over: self.ended.is_some(),
        }
    }
}
