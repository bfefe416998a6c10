//! Answering what is asked before something is reaped, and reaping it: see [`crate::core::reap`].

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::messages::ReplicaReply;
use super::storing::{Place, decode, malformed, unreadable};
use super::{Replica, Turn};
use crate::core::hint;
use crate::core::id::{Epoch, Partition};
use crate::core::reap::queue;
use crate::core::reap::{Answer, Question, Removal, Standing, Stray, Vouched};
use crate::core::ring::Ring;
use crate::core::version::{Clock, Record};
use crate::mutant;
use crate::node::env::{Moment, now};
use crate::node::stats::{Counter, Gauge, Stats};
use crate::storage::{Engine, Space, StorageError};
use crate::wire::message::ReplicaError;

/// Entries of the queue read at once when they are counted.
const SCAN: usize = 1024;

/// What a Replica must be able to say of its past.
#[derive(Debug)]
pub(super) struct Past {
    /// Drawn at random at this start.
    life: u64,
    begun: Moment,
    /// Copies taken in place of an owner since then.
    taken: BTreeMap<Partition, u64>,
}

impl Past {
    /// Nothing has happened yet.
    pub fn begin(life: u64) -> Past {
        Past { life, begun: now(), taken: BTreeMap::new() }
    }

    /// A copy was taken in place of an owner.
    pub fn takes(&mut self, partition: Partition) {
        *self.taken.entry(partition).or_default() += 1;
    }
}

/// Counts what fades of what a store holds.
pub fn count_fading(engine: &dyn Engine, stats: &Stats) -> Result<(), StorageError> {
    let mut after = None;
    loop {
        let entries = engine.scan(Space::Meta, queue::all(), after.as_deref(), SCAN)?;
        for (key, value) in &entries {
            if let Some(entry) = queue::Entry::decode(key, value) {
                stats.shift(gauge(entry.expires), 1);
            }
        }
        match entries.last() {
            Some((last, _)) if entries.len() == SCAN => after = Some(last.clone()),
            _ => return Ok(()),
        }
    }
}

fn gauge(expires: bool) -> Gauge {
    if expires { Gauge::ExpiringValues } else { Gauge::Tombstones }
}

impl Replica {
    /// Answers one question.
    pub(super) fn reap(
        &mut self,
        turn: &mut Turn,
        id: u64,
        epoch: Epoch,
        partition: Partition,
        question: Question,
    ) -> Result<(), ReplicaError> {
        self.check_partition(partition)?;
        let view = self.parts.ring.load_full();
        if view.ring.epoch != epoch || view.ring.slice(partition).motion.is_some() {
            return Err(ReplicaError::Moved(view.ring.epoch));
        }
        let result = match question {
            Question::Look => Answer::Looked(self.vouch(&view.ring, partition)?),
            Question::Held(keys) => {
                self.check_owner(partition)?;
                Answer::Held(keys.iter().map(|(stored, clock)| self.standing(partition, stored, *clock)).collect())
            }
            Question::Remove(removals) => return self.remove(turn, id, partition, &removals),
        };
        turn.now.push(ReplicaReply::Reap { id, result: Ok(result) });
        Ok(())
    }

    fn vouch(&self, ring: &Ring, partition: Partition) -> Result<Vouched, ReplicaError> {
        let reap = &self.parts.reap;
        Ok(Vouched {
            life: self.past.life,
            ran: self.past.begun.elapsed(),
            taken: self.past.taken.get(&partition).copied().unwrap_or_default(),
            lasting: reap.version_lasts,
            grace: reap.grace.0,
            stray: self.stray(ring, partition)?,
        })
    }

    /// What keeps this store from vouching for a partition.
    fn stray(&self, ring: &Ring, partition: Partition) -> Result<Option<Stray>, ReplicaError> {
        if self.parts.needs_sync.contains(partition) {
            return Ok(Some(Stray::NeedsSync));
        }
        let (engine, prefix) = (&self.parts.engine, partition.0.to_be_bytes());
        for target in self.parts.hints.targets() {
            let prefix = hint::stored(target, &prefix);
            if !engine.scan(Space::Hints, &prefix, None, 1).map_err(unreadable)?.is_empty() {
                return Ok(Some(Stray::Hint(target)));
            }
        }
        // One whose removal is not durable may be there again after a power loss.
        let mut changing = self.pending_hints.keys().filter_map(hint::from_stored);
        if let Some((target, _)) = changing.find(|(_, stored)| stored.starts_with(&prefix)) {
            return Ok(Some(Stray::Hint(target)));
        }
        if ring.owns(self.parts.store, partition, u8::MAX) {
            return Ok(None);
        }
        let stored = engine.scan(Space::Objects, &prefix, None, 1).map_err(unreadable)?;
        Ok((!stored.is_empty() || self.pending.any(&prefix)).then_some(Stray::Copy))
    }

    /// How this store stands to a version of a key. What is on its way to the disk is not held yet.
    fn standing(&mut self, partition: Partition, stored: &Bytes, clock: Clock) -> Standing {
        if !stored.starts_with(&partition.0.to_be_bytes()) || self.pending.newest(stored).is_some() {
            return Standing::Other;
        }
        match self
            .newest(stored)
            .and_then(|(newest, _)| newest.as_ref().map(|bytes| Record::decode(bytes).map_err(malformed)).transpose())
        {
            Ok(None) => Standing::Nothing,
            Ok(Some(record)) if record.object.clock() == clock => {
                Standing::Held(Duration::from_millis(self.parts.env.wall_ms().saturating_sub(record.since_ms)))
            }
            Ok(Some(_)) | Err(_) => Standing::Other,
        }
    }

    fn remove(
        &mut self,
        turn: &mut Turn,
        id: u64,
        partition: Partition,
        removals: &[Removal],
    ) -> Result<(), ReplicaError> {
        self.check_owner(partition)?;
        self.check_gate()?;
        let mut removed = vec![];
        for removal in removals {
            removed.push(self.remove_one(turn, partition, removal)?);
        }
        let reply = ReplicaReply::Reap { id, result: Ok(Answer::Removed(removed)) };
        if turn.batch.changes.is_empty() {
            // Nothing goes to the disk that would bring the answer.
            turn.now.push(reply);
        } else {
            turn.later.push((turn.ticket, reply));
        }
        Ok(())
    }

    /// Whether the key is as it is to be, once this turn is durable. The version may be another one by now, and so may its age: the
    /// clock may have been set back.
    fn remove_one(&mut self, turn: &mut Turn, partition: Partition, removal: &Removal) -> Result<bool, ReplicaError> {
        let Removal { stored, clock, prunes } = removal;
        let (newest, _) = self.newest(stored)?;
        if newest.is_none() {
            return Ok(true);
        }
        let mut record = decode(&newest)?;
        let is_right = {
            let now_ms = self.parts.env.wall_ms();
            self.pending.newest(stored).is_none()
                && record.object.clock() == *clock
                && (*prunes || record.object.is_deleted(now_ms))
                && record.since_ms <= self.parts.reap.grace.since_ms(0, now_ms)
                && self.hinted_targets(stored)?.is_empty()
        };
        if !is_right && !mutant!(ReapUnconditionally) {
            return Ok(false);
        }
        let place = Place { partition, stored: stored.clone() };
        if *prunes {
            let before = record.object.context.entries();
            record.object.prune();
            record.mark = None;
            record.renew(self.parts.env.wall_ms());
            self.parts.stats.add(Counter::ContextEntriesPruned, (before - record.object.context.entries()) as u64);
            self.write(turn, place, Some(record.encode().0), newest, None)?;
        } else {
            self.count(Counter::TombstonesReaped);
            self.write(turn, place, None, newest, None)?;
        }
        Ok(true)
    }

    /// Enters a record that is written in the queue of what fades, and takes the one out that it replaces. `before` may never have been
    /// written itself: that there is an entry is never relied on.
    pub(super) fn enqueue(&self, turn: &mut Turn, stored: &Bytes, record: Option<&Bytes>, before: Option<&Bytes>) {
        let stats = &self.parts.stats;
        let entry = record.and_then(|record| queue::entry_of(stored, record));
        let old = before.and_then(|before| queue::entry_of(stored, before));
        if let Some(old) = old {
            stats.shift(gauge(old.expires), -1);
            turn.batch.remove(Space::Meta, old.encode().0);
        }
        if let Some(entry) = entry {
            stats.shift(gauge(entry.expires), 1);
            let (key, value) = entry.encode();
            turn.batch.put(Space::Meta, key, value);
        }
    }
}

#[cfg(test)]
#[path = "reaping_tests.rs"]
mod tests;
