//! A history, sorted for questions: invocations with their answers, by key.

use std::collections::BTreeMap;

use kv::core::id::{Epoch, StoreId};
use kv::core::key::Key;
use kv::core::ring::Ring;

use super::causality::Causality;
use crate::history::{Call, ClientId, Event, Fault, History, OperationId, Outcome, Quorums, What, WriteId};

/// A place in the history: what has the smaller one happened earlier.
pub type Place = usize;

/// An operation with its answer.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'h> {
    pub id: OperationId,
    pub client: ClientId,
    pub key: &'h Key,
    pub quorums: Quorums,
    pub call: &'h Call,
    pub invoked: Place,
    /// When the client knew; `None` if it never did.
    pub answered: Option<(Place, &'h Outcome)>,
}

impl<'h> Operation<'h> {
    /// The write, if it is one.
    pub fn write(&self) -> Option<WriteId> {
        self.call.write()
    }

    /// Whether it is a put, the only thing that leaves a value.
    pub fn is_put(&self) -> bool {
        matches!(self.call, Call::Put { .. })
    }

    /// Whether it is a delete.
    pub fn is_delete(&self) -> bool {
        matches!(self.call, Call::Delete { .. })
    }

    /// When a read was answered, and with which values.
    pub fn read(&self) -> Option<(Place, &'h [WriteId])> {
        match self.answered {
            Some((place, Outcome::Read(values))) => Some((place, values)),
            _ => None,
        }
    }

    /// When a write was acknowledged.
    pub fn acknowledged(&self) -> Option<Place> {
        self.answered.and_then(|(place, outcome)| (*outcome == Outcome::Written).then_some(place))
    }

    /// Whether a write may have taken effect, whatever its client was told.
    pub fn possible(&self) -> bool {
        !matches!(self.answered, Some((_, Outcome::Failed(_))))
    }

    /// The places of its invocation and answer.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        [Some(self.invoked), self.answered.map(|(place, _)| place)].into_iter().flatten()
    }
}

/// A store's trace of a dot.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    pub place: Place,
    pub store: StoreId,
}

/// A history, sorted.
pub struct Timeline<'h> {
    pub history: &'h History,
    /// All, by invocation.
    pub operations: Vec<Operation<'h>>,
    /// What contexts covered.
    pub causality: Causality,
    by_key: BTreeMap<&'h Key, Vec<OperationId>>,
    by_write: BTreeMap<WriteId, OperationId>,
    faults: Vec<(Place, StoreId, Fault)>,
    /// The rings by which stores' nodes worked, from when on.
    published: Vec<(Place, StoreId, &'h Ring)>,
    /// Where each write's dot became durable, first to last.
    durable: BTreeMap<WriteId, Vec<Trace>>,
    settled: Option<Place>,
}

impl<'h> Timeline<'h> {
    /// Sorts a history. One that could not have been recorded (an answer to nothing, a write's number used twice) is a
    /// fault of the recorder and panics.
    pub fn new(history: &'h History) -> Timeline<'h> {
        let mut timeline = Timeline {
            history,
            operations: Vec::new(),
            causality: Causality::default(),
            by_key: BTreeMap::new(),
            by_write: BTreeMap::new(),
            faults: Vec::new(),
            published: Vec::new(),
            durable: BTreeMap::new(),
            settled: None,
        };
        let mut dots: BTreeMap<(&Key, &str), WriteId> = BTreeMap::new();
        for (place, Event { what, .. }) in history.events().iter().enumerate() {
            match what {
                What::Invoked { operation: id, client, key, quorums, call } => {
                    let (id, client, quorums) = (*id, *client, *quorums);
                    let operation = Operation { id, client, key, quorums, call, invoked: place, answered: None };
                    if let Some(write) = operation.write() {
                        let twice = timeline.by_write.insert(write, id);
                        assert!(twice.is_none(), "{write} is the number of two writes");
                    }
                    timeline.by_key.entry(key).or_default().push(id);
                    timeline.operations.push(operation);
                }
                What::Answered { operation, outcome } => {
                    let operation = &mut timeline.operations[operation.0];
                    assert!(operation.answered.is_none(), "{} is answered twice", operation.id);
                    operation.answered = Some((place, outcome));
                }
                What::Minted { key, dot, write, .. } => {
                    dots.insert((key, dot), *write);
                }
                What::Durable { store, key, dot } => {
                    if let Some(write) = dots.get(&(key, dot.as_str())) {
                        let trace = Trace { place, store: *store };
                        timeline.durable.entry(*write).or_default().push(trace);
                    }
                }
                What::Settled => timeline.settled = Some(place),
                What::Faulted { store, fault } => timeline.faults.push((place, *store, *fault)),
                What::Published { store, ring } => timeline.published.push((place, *store, ring)),
                What::Started { .. }
                | What::Operated(_)
                | What::Holds { .. }
                | What::SessionBegan { .. }
                | What::SessionEnded { .. }
                | What::StrictCounted { .. }
                | What::SetAside { .. }
                | What::Replaced { .. }
                | What::MajorityLost
                | What::MajorityBack
                | What::Deleted { .. } => {}
            }
        }
        timeline.causality = Causality::new(&timeline);
        timeline
    }

    /// The keys whose siblings are kept.
    pub fn sibling_keys(&self) -> Vec<&'h Key> {
        self.by_key.keys().copied().filter(|key| !self.history.is_lww(key)).collect()
    }

    /// The operation that made a write.
    pub fn write(&self, write: WriteId) -> Option<&Operation<'h>> {
        self.by_write.get(&write).map(|id| &self.operations[id.0])
    }

    /// The writes of a key, by invocation.
    pub fn writes(&self, key: &'h Key) -> impl Iterator<Item = (WriteId, &Operation<'h>)> {
        self.of(key).filter_map(|operation| operation.write().map(|write| (write, operation)))
    }

    /// The reads of a key that were answered, with their values, by invocation.
    pub fn reads(&self, key: &'h Key) -> impl Iterator<Item = (&Operation<'h>, &'h [WriteId])> {
        self.of(key).filter_map(|operation| operation.read().map(|(_, values)| (operation, values)))
    }

    /// The reads that began after all was settled.
    pub fn final_reads(&self, key: &'h Key) -> impl Iterator<Item = (&Operation<'h>, &'h [WriteId])> {
        self.reads(key).filter(|(read, _)| self.is_final(read))
    }

    /// Whether an operation began after all was settled.
    pub fn is_final(&self, operation: &Operation) -> bool {
        self.settled.is_some_and(|settled| operation.invoked > settled)
    }

    /// The operations on a key, by invocation.
    pub fn of(&self, key: &'h Key) -> impl Iterator<Item = &Operation<'h>> {
        self.by_key.get(key).into_iter().flatten().map(|id| &self.operations[id.0])
    }

    /// Whether a read has a value, or may have had it covered.
    pub fn accounts_for(&self, read: &Operation, write: WriteId) -> bool {
        read.read().is_some_and(|(_, values)| values.contains(&write))
            || self.causality.may_cover(read.id).contains(&write)
    }

    /// Where a write became durable, first to last.
    pub fn durable(&self, write: WriteId) -> &[Trace] {
        self.durable.get(&write).map_or(&[], Vec::as_slice)
    }

    /// The rings by which somebody worked at some time between two places: what was begun and ended there went by one of these.
    pub fn rings(&self, from: Place, to: Place) -> Vec<&'h Ring> {
        let began = self.published.partition_point(|(place, ..)| *place < from);
        let (before, after) = self.published.split_at(began);
        let at_first: BTreeMap<StoreId, &Ring> = before.iter().map(|(_, store, ring)| (*store, *ring)).collect();
        let later = after.iter().take_while(|(place, ..)| *place < to).map(|(_, _, ring)| *ring);
        let rings: BTreeMap<Epoch, &Ring> =
            at_first.into_values().chain(later).map(|ring| (ring.epoch, ring)).collect();
        rings.into_values().collect()
    }

    /// The faults after one place and before another.
    pub fn faults(&self, after: Place, before: Place) -> impl Iterator<Item = (StoreId, Fault)> {
        let between = self.faults.iter().filter(move |(place, ..)| (after..before).contains(place));
        between.map(|(_, store, fault)| (*store, *fault))
    }
}
