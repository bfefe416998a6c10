//! Writes the history down, for clients, stores and nemesis alike.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use kv::core::id::StoreId;
use kv::core::key::Key;
use kv::core::ring::Ring;
use kv::core::version::{Dot, Object, Payload};
use kv::node::env::Observer;

use crate::history::{Call, ClientId, Fault, History, Micros, OperationId, Outcome, Quorums, What, WriteId};

impl State {
    fn tell(&mut self, store: StoreId, key: &Key, dot: Dot) {
        if self.told.insert((store, key.clone(), dot)) {
            let what = What::Durable { store, key: key.clone(), dot: dot.to_string() };
            let at = now(&self.history);
            self.history.record(at, what);
        }
    }
}

/// The history in the making.
pub struct Recorder {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    history: History,
    /// The newest that any node has worked by.
    ring: Option<Arc<Ring>>,
    writes: u64,
    /// What each store has told to be durable.
    told: BTreeSet<(StoreId, Key, Dot)>,
    /// A tombstone carries no number, so a key has at most one delete that may still be minted.
    deletes: BTreeMap<Key, WriteId>,
}

impl Recorder {
    /// For a cluster that has not formed yet.
    pub fn new(lww_bucket: &'static str, clock_skew_max: Micros) -> Arc<Recorder> {
        let mut history = History::default();
        history.clock_skew_max = clock_skew_max;
        history.declare_lww(lww_bucket);
        Arc::new(Recorder { state: Mutex::new(State { history, ..State::default() }) })
    }

    /// The newest ring that any node has worked by. There is one as soon as there are clients.
    pub fn ring(&self) -> Arc<Ring> {
        self.state().ring.clone().expect("the cluster has formed")
    }

    /// A number for a write.
    pub fn next_write(&self) -> WriteId {
        let mut state = self.state();
        state.writes += 1;
        WriteId(state.writes)
    }

    /// Claims the key for a delete; false while another one may still be minted.
    pub fn claim_delete(&self, key: &Key, write: WriteId) -> bool {
        let mut state = self.state();
        let free = !state.deletes.contains_key(key);
        if free {
            state.deletes.insert(key.clone(), write);
        }
        free
    }

    /// The delete was acknowledged, or surely not applied.
    pub fn release_delete(&self, key: &Key) {
        self.state().deletes.remove(key);
    }

    /// A client asks.
    pub fn invoke(&self, client: ClientId, key: &Key, quorums: Quorums, call: Call) -> OperationId {
        let mut state = self.state();
        let at = now(&state.history);
        state.history.invoke(at, client, key, quorums, call)
    }

    /// A client is told.
    pub fn answer(&self, operation: OperationId, outcome: Outcome) {
        let mut state = self.state();
        let at = now(&state.history);
        state.history.answer(at, operation, outcome);
    }

    /// The nemesis struck.
    pub fn fault(&self, store: StoreId, fault: Fault) {
        let mut state = self.state();
        if fault.loses_durable() {
            state.told.retain(|(of, ..)| *of != store);
        }
        let at = now(&state.history);
        state.history.record(at, What::Faulted { store, fault });
    }

    /// Anything else.
    pub fn record(&self, what: What) {
        let mut state = self.state();
        let at = now(&state.history);
        state.history.record(at, what);
    }

    /// A store has this object on its disk for good.
    pub fn durable(&self, store: StoreId, key: &Key, object: &Object) {
        let mut state = self.state();
        for (actor, counter) in object.context.vector.iter() {
            for counter in 1..=counter {
                state.tell(store, key, Dot { actor, counter });
            }
        }
        for dot in &object.context.dots {
            state.tell(store, key, *dot);
        }
    }

    /// All keys that anybody wrote.
    pub fn written_keys(&self) -> BTreeSet<Key> {
        let state = self.state();
        let keys = state.history.events().iter().filter_map(|event| match &event.what {
            What::Invoked { key, call, .. } if call.write().is_some() => Some(key.clone()),
            _ => None,
        });
        keys.collect()
    }

    /// The history so far.
    pub fn history(&self) -> History {
        self.state().history.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Observer for Recorder {
    fn minted(&self, store: StoreId, key: &Key, dot: Dot, object: &Object) {
        let mut state = self.state();
        let payload = object.siblings.iter().find(|sibling| sibling.dot == dot).map(|sibling| &sibling.payload);
        let write = match payload {
            Some(Payload::Value(value)) => WriteId::of_value(value),
            // A tombstone beside a live sibling is dropped at once.
            Some(Payload::Tombstone) | None => state.deletes.get(key).copied().unwrap_or(WriteId::GARBAGE),
        };
        let at = now(&state.history);
        state.history.record(at, What::Minted { store, key: key.clone(), dot: dot.to_string(), write });
    }

    fn strict_counted(&self, store: StoreId) {
        self.record(What::StrictCounted { store });
    }

    fn published(&self, store: StoreId, ring: &Ring) {
        let mut state = self.state();
        let is_newer = state.ring.as_ref().is_none_or(|newest| newest.epoch < ring.epoch);
        // Many nodes work by one ring, which is kept once; one that differs from it is evidence.
        let same = state.ring.as_ref().filter(|newest| ***newest == *ring);
        let ring = same.cloned().unwrap_or_else(|| Arc::new(ring.clone()));
        if is_newer {
            state.ring = Some(ring.clone());
        }
        let at = now(&state.history);
        state.history.record(at, What::Published { store, ring });
    }
}

/// The virtual time; of what happens to hosts and not in one, that of the last event.
fn now(history: &History) -> Micros {
    let last = || history.events().last().map_or(0, |event| event.at);
    turmoil::sim_elapsed().map_or_else(last, |elapsed| elapsed.as_micros() as Micros)
}
