//! Copies held for others.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use super::messages::{HeldHint, ReplicaReply};
use super::storing::{Place, decode, malformed, unreadable};
use super::{Replica, Turn};
use crate::core::hint::{self, Backlogs, Budget, Entry, Full};
use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::version::{Clock, Object, Record};
use crate::mutant;
use crate::node::disk::Ticket;
use crate::node::stats::Counter;
use crate::storage::{Engine, Space, StorageError};
use crate::wire::message::ReplicaError;

/// What a store holds for others, and how much of that it may. Shared by its replicas.
#[derive(Debug)]
pub struct HintGauge {
    backlogs: Mutex<Backlogs>,
    budget: Budget,
}

/// What a hint's copy is.
enum Held {
    /// Durable, and to be delivered.
    Ready(HeldHint),
    /// On its way to the disk.
    InFlight,
    /// Another arbiter's.
    Elsewhere,
    /// No more: nothing is kept under it.
    Gone,
}

/// How many hints are read at once when they are counted.
const SCAN: usize = 1024;

impl HintGauge {
    /// Counts what a store holds.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn count(engine: &dyn Engine, budget: Budget) -> Result<HintGauge, StorageError> {
        let (mut backlogs, mut after) = (Backlogs::default(), None);
        loop {
            let hints = engine.scan(Space::Hints, &[], after.as_deref(), SCAN)?;
            for (key, entry) in &hints {
                if let Some((target, _)) = hint::from_stored(key) {
                    backlogs.change(target, None, Some(Entry::decode(entry)));
                }
            }
            match hints.last() {
                Some((last, _)) if hints.len() == SCAN => after = Some(last.clone()),
                _ => return Ok(HintGauge { backlogs: Mutex::new(backlogs), budget }),
            }
        }
    }

    /// The targets for which something waits.
    pub fn targets(&self) -> Vec<StoreId> {
        self.lock().targets().map(|(target, _)| target).collect()
    }

    /// What waits for whom.
    pub fn backlogs(&self) -> Backlogs {
        self.lock().clone()
    }

    /// What may be kept.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    fn check(&self, target: StoreId) -> Result<(), Full> {
        self.lock().check(target, &self.budget)
    }

    fn change(&self, target: StoreId, before: Option<Entry>, after: Option<Entry>) {
        self.lock().change(target, before, after);
    }

    fn lock(&self) -> MutexGuard<'_, Backlogs> {
        self.backlogs.lock().expect("no panic while hints are counted")
    }
}

impl Replica {
    /// Whether a copy for `target` may be kept: there is a hint for it, or room for one. A store that owns a further place may stand
    /// in as well, where a request or a bucket asks for fewer owners than there are.
    ///
    /// # Errors
    /// Names the limit that a new hint would pass. Nothing was done but to note that the target misses something.
    pub(super) fn check_hint(
        &mut self,
        turn: &mut Turn,
        target: Option<StoreId>,
        place: &Place,
    ) -> Result<(), ReplicaError> {
        let Some(target) = target else { return Ok(()) };
        let Err(full) = self.parts.hints.check(target) else { return Ok(()) };
        if self.hint(&hint::stored(target, &place.stored))?.is_some() {
            return Ok(());
        }
        self.count(Counter::HintsRefused);
        self.note_missed(turn, target, place.partition);
        let limit = match full {
            Full::Target => "hints.target_bytes_max",
            Full::All => "hints.bytes_max",
        };
        Err(ReplicaError::Overloaded(limit.into()))
    }

    /// For whom this key is kept.
    pub(super) fn hinted_targets(&self, stored: &Bytes) -> Result<Vec<StoreId>, ReplicaError> {
        let mut targets = vec![];
        // Not the members alone: a target may be none any more.
        for target in self.parts.hints.targets() {
            if self.hint(&hint::stored(target, stored))?.is_some() {
                targets.push(target);
            }
        }
        Ok(targets)
    }

    /// A hint that is there, or on its way to the disk and not on its way off it.
    pub(super) fn hint(&self, stored_hint: &Bytes) -> Result<Option<Entry>, ReplicaError> {
        let entry = match self.pending_hints.newest(stored_hint) {
            Some((_, in_flight)) => in_flight.clone(),
            None => self.parts.engine.get(Space::Hints, stored_hint).map_err(unreadable)?,
        };
        Ok(entry.map(|entry| Entry::decode(&entry)))
    }

    /// Whether a copy for `target` needs a hint that is not there yet.
    pub(super) fn lacks_hint(&self, target: StoreId, place: &Place) -> Result<bool, ReplicaError> {
        Ok(self.hint(&hint::stored(target, &place.stored))?.is_none())
    }

    /// Keeps a copy of so many bytes for `target`: adds its hint to the batch of this turn, or what has changed of it.
    pub(super) fn keep_for(
        &mut self,
        turn: &mut Turn,
        target: StoreId,
        place: &Place,
        record_bytes: usize,
    ) -> Result<(), ReplicaError> {
        let stored_hint = hint::stored(target, &place.stored);
        let before = self.hint(&stored_hint)?;
        let kept_ms = before.map_or_else(|| self.parts.env.wall_ms(), |entry| entry.kept_ms);
        let after = Entry { kept_ms, bytes: (place.stored.len() + record_bytes) as u64 };
        if before != Some(after) {
            self.set_hint(turn, target, stored_hint, before, Some(after));
        }
        Ok(())
    }

    /// Adds the change of a hint to the batch of this turn.
    fn set_hint(
        &mut self,
        turn: &mut Turn,
        target: StoreId,
        stored_hint: Bytes,
        before: Option<Entry>,
        after: Option<Entry>,
    ) {
        let value = after.map(Entry::encode);
        turn.batch.changes.push((Space::Hints, stored_hint.clone(), value.clone()));
        // What is durable of a hint is never asked.
        self.pending_hints.push(turn.ticket, stored_hint, value, || None);
        self.parts.hints.change(target, before, after);
        if before.is_none() && after.is_some() {
            self.count(Counter::HintsStored);
        }
    }

    /// Nothing of what this ticket changed of hints is durable, so it must not be counted: what is not there would wait for ever, and
    /// what still is there would never be looked for. Where the engine shows the change all the same, so does every later question.
    pub(super) fn hints_failed(&mut self, ticket: Ticket, engine_shows_it: bool) {
        let Replica { pending_hints, parts, .. } = self;
        pending_hints.failed(ticket, engine_shows_it, |stored_hint, lost| {
            let Some((target, _)) = hint::from_stored(stored_hint).filter(|_| !engine_shows_it) else { return };
            let entry = |entry: &Bytes| Entry::decode(entry);
            match parts.engine.get(Space::Hints, stored_hint) {
                Ok(kept) => parts.hints.change(target, lost.as_ref().map(entry), kept.as_ref().map(entry)),
                Err(error) => log::error!("cannot read whether a hint for store {target} is kept: {error}"),
            }
        });
    }

    pub(super) fn scan_hints(
        &mut self,
        turn: &mut Turn,
        id: u64,
        target: StoreId,
        after: Option<Bytes>,
        limit: usize,
    ) -> Result<(), ReplicaError> {
        let prefix = hint::prefix(target);
        let found = self.parts.engine.scan(Space::Hints, &prefix, after.as_deref(), limit).map_err(unreadable)?;
        let next = found.last().filter(|_| found.len() == limit).map(|(key, _)| key.clone());
        let mut hints = vec![];
        for (stored_hint, _) in found {
            let Some((_, stored)) = hint::from_stored(&stored_hint) else { continue };
            match self.held(&stored) {
                Ok(Held::Ready(held)) => hints.push(held),
                Ok(Held::InFlight | Held::Elsewhere) => {}
                Ok(Held::Gone) => {
                    if let Some(before) = self.hint(&stored_hint)? {
                        self.set_hint(turn, target, stored_hint, Some(before), None);
                    }
                }
                Err(error) => log::error!("hint for store {target}: {error}"),
            }
        }
        turn.now.push(ReplicaReply::Hints { id, hints, next });
        Ok(())
    }

    fn held(&mut self, stored: &Bytes) -> Result<Held, ReplicaError> {
        let Some((partition, key)) = Key::from_stored(stored) else { return Ok(Held::Gone) };
        if partition.0 as usize % self.parts.env.arbiters() != self.arbiter {
            return Ok(Held::Elsewhere);
        }
        match (self.durable_object(stored)?, self.pending.newest(stored)) {
            (Some(object), _) => {
                let clock = Object::decode(&object).map_err(malformed)?.clock();
                Ok(Held::Ready(HeldHint { key, object, clock }))
            }
            (None, Some(_)) => Ok(Held::InFlight),
            (None, None) => Ok(Held::Gone),
        }
    }

    /// Drops the hint, and the copy if it waits for nobody else, provided that the copy is still the version delivered. What is drained
    /// stays: it may count for an owner that it was, so it is dropped when all owners have it.
    pub(super) fn handed_off(
        &mut self,
        turn: &mut Turn,
        key: Key,
        target: StoreId,
        clock: Clock,
    ) -> Result<(), ReplicaError> {
        let place = self.place(&key);
        let (newest, _) = self.newest(&place.stored)?;
        let record = decode(&newest)?;
        if newest.is_some() && record.object.clock() != clock {
            return Ok(());
        }
        let stored_hint = hint::stored(target, &place.stored);
        if let Some(before) = self.hint(&stored_hint)? {
            self.set_hint(turn, target, stored_hint, Some(before), None);
            self.count(Counter::HintsDelivered);
        }
        let waits_for_others = self.hinted_targets(&place.stored)?.iter().any(|&other| other != target);
        if newest.is_some() && !waits_for_others && !self.owns(&place, &key) && !self.drains(&place) {
            let rest =
                mutant!(ContinueAfterHandoff).then(|| Record { mark: record.mark, ..Record::default() }.encode().0);
            self.write(turn, place, rest, newest, None)?;
        }
        Ok(())
    }

    /// Whether this store lost its place, or never came to it, and has to deliver what it holds.
    fn drains(&self, place: &Place) -> bool {
        self.parts.ring.load().ring.slice(place.partition).draining.contains(&self.parts.store)
    }

    /// Whether this store has a place among the owners that the key's bucket keeps.
    pub(super) fn owns(&self, place: &Place, key: &Key) -> bool {
        let view = self.parts.ring.load();
        let n = view.buckets.get(&key.bucket).n.unwrap_or(view.ring.replication);
        view.ring.owns(self.parts.store, place.partition, n)
    }
}
