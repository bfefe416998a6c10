//! Minting, merging, reading.

use bytes::Bytes;

use super::damage::Newest;
use super::messages::ReplicaReply;
use super::pending::Stored;
use super::{Replica, Turn};
use crate::core::bucket::Conflict;
use crate::core::id::{Partition, StoreId};
use crate::core::key::Key;
use crate::core::version::mint::{Doubt, Write};
use crate::core::version::{Malformed, Merged, Object, Record};
use crate::mutant;
use crate::node::disk::Ticket;
use crate::node::env::{Moment, now};
use crate::node::stats::Counter;
use crate::storage::{Space, StorageError};
use crate::wire::message::{self, Examined, ReplicaError};

type Outcome = Result<(), ReplicaError>;

impl Replica {
    pub(super) fn mint(
        &mut self,
        turn: &mut Turn,
        id: u64,
        key: Key,
        write: Write,
        hint: Option<StoreId>,
        expires: Moment,
    ) -> Outcome {
        self.check_time(expires)?;
        self.check_gate()?;
        let place = self.place(&key);
        self.check_hint(turn, hint, &place)?;
        let (newest, _) = self.newest(&place.stored)?;
        let record = decode(&newest).inspect_err(|_| self.damaged(&place.stored))?;
        let mut minted = match record.mint(write, &mut self.life, &self.parts.limits.object) {
            Ok(minted) => minted,
            Err(failure) => {
                turn.now.push(ReplicaReply::Refused { id, failure });
                return Ok(());
            }
        };
        self.alarm(&key, minted.doubt);
        minted.record.renew(self.parts.env.wall_ms());
        if let Some(observer) = self.parts.env.observer() {
            observer.minted(self.parts.store, &key, minted.dot, &minted.record.object);
        }
        let (record, mut object) = minted.record.encode();
        if mutant!(SendOnlyNewSibling) {
            let mut alone = minted.record.object.clone();
            alone.siblings.retain(|s| s.dot == minted.dot);
            object = alone.encode();
        }
        let siblings = minted.record.object.siblings.len() as u32;
        turn.now.push(ReplicaReply::Minted { id, object, context: minted.context.encode(&key), siblings });
        let stored = self.stored_reply(id, &place);
        if mutant!(CountWithoutStoring) {
            turn.now.push(stored);
            return Ok(());
        }
        self.write(turn, place, Some(record), newest, hint)?;
        turn.later.push((turn.ticket, stored));
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        turn: &mut Turn,
        id: u64,
        key: Key,
        object: Bytes,
        hint: Option<StoreId>,
        expires: Moment,
    ) -> Outcome {
        self.check_time(expires)?;
        self.check_gate()?;
        self.count(Counter::ReplicaStores);
        let place = self.place(&key);
        self.check_hint(turn, hint, &place)?;
        let stored = self.stored_reply(id, &place);
        let theirs = Object::decode(&object).map_err(malformed)?;
        let Newest { mut record, before, in_flight, is_damaged } = self.newest_for_merge(&place.stored)?;
        if is_damaged {
            self.damaged(&place.stored);
        }
        let (merged, doubt) = record.merge(&theirs, self.conflict(&key), &self.life);
        self.alarm(&key, doubt);
        let lacks_hint = match hint {
            Some(target) => self.lacks_hint(target, &place)?,
            None => false,
        };
        if merged == Merged::Changed {
            record.renew(self.parts.env.wall_ms());
        }
        if merged == Merged::Changed || lacks_hint || is_damaged {
            if is_damaged {
                self.mended(&place.stored);
            }
            self.write(turn, place, Some(record.encode().0), before, hint)?;
            turn.later.push((turn.ticket, stored));
        } else if let Some(ticket) = in_flight {
            turn.later.push((ticket, stored));
        } else {
            turn.now.push(stored);
        }
        Ok(())
    }

    pub(super) fn fetch(&mut self, turn: &mut Turn, id: u64, key: Key, expires: Moment) -> Outcome {
        self.check_time(expires)?;
        self.count(Counter::ReplicaFetches);
        let place = self.place(&key);
        let object = self.durable_object(&place.stored)?.map(message::Object);
        let leased = !self.parts.needs_sync.contains(place.partition);
        turn.now.push(ReplicaReply::Fetched { id, leased, result: Ok(object) });
        Ok(())
    }

    pub(super) fn examine(&mut self, turn: &mut Turn, id: u64, key: Key) -> Outcome {
        let place = self.place(&key);
        let object = self.durable_object(&place.stored)?.map(message::Object);
        let hints = self.hinted_targets(&place.stored)?;
        turn.now.push(ReplicaReply::Examined { id, result: Ok(Examined { object, hints }) });
        Ok(())
    }

    /// For when it is durable.
    fn stored_reply(&self, id: u64, place: &Place) -> ReplicaReply {
        let leased = !self.parts.needs_sync.contains(place.partition);
        ReplicaReply::Stored { id, leased, result: Ok(()) }
    }

    /// Adds a record, and with it a hint, to the batch of this turn.
    pub(super) fn write(
        &mut self,
        turn: &mut Turn,
        place: Place,
        record: Stored,
        before: Stored,
        hint: Option<StoreId>,
    ) -> Outcome {
        if let (Some(target), Some(record)) = (hint, &record) {
            self.keep_for(turn, target, &place, record.len())?;
            self.past.takes(place.partition);
        }
        self.enqueue(turn, &place.stored, record.as_ref(), before.as_ref());
        turn.batch.changes.push((Space::Objects, place.stored.clone(), record.clone()));
        self.pending.push(turn.ticket, place.stored, record, || before);
        Ok(())
    }

    pub(super) fn place(&self, key: &Key) -> Place {
        let partition = self.parts.ring.load().ring.partition_of(key);
        Place { partition, stored: key.stored(partition) }
    }

    /// The newest record of a key, and the ticket that makes it durable if it is not yet.
    pub(super) fn newest(&mut self, stored: &Bytes) -> Result<(Stored, Option<Ticket>), ReplicaError> {
        match self.pending.newest(stored) {
            Some((ticket, record)) => Ok((record.clone(), Some(ticket))),
            None => Ok((self.stored(stored)?, None)),
        }
    }

    pub(super) fn durable_object(&mut self, stored: &Bytes) -> Result<Option<Bytes>, ReplicaError> {
        let record = match self.pending.durable(stored) {
            Some(durable) => durable.clone(),
            None => self.stored(stored)?,
        };
        record.map(|record| Record::split(&record).map(|(_, object)| object)).transpose().map_err(malformed)
    }

    /// The record of a key that is not in flight.
    fn stored(&mut self, stored: &Bytes) -> Result<Stored, ReplicaError> {
        let engine = &self.parts.engine;
        let record = self.recent.get(stored, || engine.get(Space::Objects, stored));
        self.sound(stored, record)
    }

    fn conflict(&self, key: &Key) -> Conflict {
        self.parts.ring.load().buckets.get(&key.bucket).conflict
    }

    pub(super) fn check_gate(&self) -> Outcome {
        if self.parts.disk.waiting_bytes() as u64 >= self.parts.limits.disk_queue_bytes_max {
            return Err(ReplicaError::Overloaded("limits.disk_queue_bytes_max".into()));
        }
        self.parts.gate.closed().map_or(Ok(()), |reason| Err(ReplicaError::ReadOnly(reason)))
    }

    pub(super) fn check_time(&self, expires: Moment) -> Outcome {
        if now() > expires {
            self.count(Counter::Late);
            return Err(ReplicaError::Late);
        }
        Ok(())
    }

    fn alarm(&self, key: &Key, doubt: Option<Doubt>) {
        let Some(Doubt { actor, remembered, claimed }) = doubt else { return };
        self.count(Counter::Doubts);
        log::error!(
            "key {key}: {claimed} events of this store's own actor {actor} are known elsewhere, {remembered} here. This store \
             has lost writes, or a context was forged. It goes on under a new actor."
        );
    }
}

/// Where a key is kept.
pub(super) struct Place {
    pub partition: Partition,
    pub stored: Bytes,
}

pub(super) fn decode(stored: &Stored) -> Result<Record, ReplicaError> {
    stored.as_ref().map_or(Ok(Record::default()), |bytes| Record::decode(bytes).map_err(malformed))
}

pub(super) fn unreadable(error: StorageError) -> ReplicaError {
    log::error!("cannot read: {error}");
    ReplicaError::Unreadable(error.to_string())
}

pub(super) fn malformed(error: Malformed) -> ReplicaError {
    ReplicaError::Malformed(error.to_string())
}
