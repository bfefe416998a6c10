//! Copies held for others.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;

use super::messages::{HeldHint, ReplicaReply};
use super::storing::{Place, decode, malformed, unreadable};
use super::{Replica, Turn};
use crate::core::hint;
use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::version::{Clock, Object, Record};
use crate::mutant;
use crate::node::stats::Counter;
use crate::storage::{Engine, Space, StorageError};
use crate::wire::message::ReplicaError;

/// How many hints a store holds, by target. Shared by its replicas.
#[derive(Debug, Default)]
pub struct HintGauge(Mutex<BTreeMap<StoreId, u64>>);

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
    pub fn count(engine: &dyn Engine) -> Result<HintGauge, StorageError> {
        let gauge = HintGauge::default();
        let mut after = None;
        loop {
            let hints = engine.scan(Space::Hints, &[], after.as_deref(), SCAN)?;
            hints.iter().filter_map(|(key, _)| hint::from_stored(key)).for_each(|(target, _)| gauge.added(target));
            match hints.last() {
                Some((last, _)) if hints.len() == SCAN => after = Some(last.clone()),
                _ => return Ok(gauge),
            }
        }
    }

    /// The targets and how many hints wait for each.
    pub fn targets(&self) -> Vec<(StoreId, u64)> {
        self.lock().iter().map(|(target, count)| (*target, *count)).collect()
    }

    pub(super) fn added(&self, target: StoreId) {
        *self.lock().entry(target).or_default() += 1;
    }

    fn dropped(&self, target: StoreId) {
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(&target) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&target);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<StoreId, u64>> {
        self.0.lock().expect("no panic while hints are counted")
    }
}

impl Replica {
    /// Whether a copy for `target` needs a hint that is not there yet. A store that owns a further place may stand in as well, where
    /// a request or a bucket asks for fewer owners than there are.
    pub(super) fn lacks_hint(&self, target: StoreId, place: &Place) -> Result<bool, ReplicaError> {
        Ok(!self.has_hint(&hint::stored(target, &place.stored))?)
    }

    /// For whom this key is kept.
    pub(super) fn hinted_targets(&self, stored: &Bytes) -> Result<Vec<StoreId>, ReplicaError> {
        let mut targets = vec![];
        // Not the members alone: a target may be none any more.
        for (target, _) in self.parts.hints.targets() {
            if self.has_hint(&hint::stored(target, stored))? {
                targets.push(target);
            }
        }
        Ok(targets)
    }

    /// Whether a hint is there, or on its way to the disk and not on its way off it.
    pub(super) fn has_hint(&self, stored_hint: &Bytes) -> Result<bool, ReplicaError> {
        match self.pending_hints.newest(stored_hint) {
            Some((_, in_flight)) => Ok(in_flight.is_some()),
            None => Ok(self.parts.engine.get(Space::Hints, stored_hint).map_err(unreadable)?.is_some()),
        }
    }

    /// Adds a hint to the batch of this turn, or its removal.
    pub(super) fn set_hint(&mut self, turn: &mut Turn, target: StoreId, stored_hint: Bytes, present: bool) {
        let value = present.then(Bytes::new);
        turn.batch.changes.push((Space::Hints, stored_hint.clone(), value.clone()));
        // What is durable of a hint is never asked.
        self.pending_hints.push(turn.ticket, stored_hint, value, || None);
        if present {
            self.parts.hints.added(target);
            self.count(Counter::HintsStored);
        } else {
            self.parts.hints.dropped(target);
        }
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
                Ok(Held::Gone) if self.has_hint(&stored_hint)? => self.set_hint(turn, target, stored_hint, false),
                Ok(Held::Gone) => {}
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
        if self.has_hint(&stored_hint)? {
            self.set_hint(turn, target, stored_hint, false);
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
