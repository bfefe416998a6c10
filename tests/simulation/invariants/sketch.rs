//! Small histories made by hand: one key, owned by stores 1, 2 and 3 of nine, time that steps by one microsecond, strict quorums unless
//! told otherwise.

use std::sync::Arc;

use kv::core::id::{Epoch, NodeId, StoreId};
use kv::core::key::Key;
use kv::core::ring::{Member, Ring, Slice};

use super::{INVARIANTS, timeline::Timeline};
use crate::history::{Call, ClientId, Covering, Fault, History, Micros, OperationId, Outcome, Quorums, What, WriteId};

/// n=3 and majorities of owners.
pub const STRICT: Quorums = Quorums { n: 3, r: 2, w: 2, pr: 2, pw: 2, sloppy: false };
/// n=3 and majorities of anybody.
pub const SLOPPY: Quorums = Quorums { pr: 0, pw: 0, sloppy: true, ..STRICT };

/// A store by its number.
pub fn store(number: u128) -> StoreId {
    StoreId(number << 96)
}

/// A ring of one partition; its slice names stores by their numbers.
pub fn ring(counter: u64, slice: Slice<u16>) -> Arc<Ring> {
    let member = |number: u128| Member {
        store: store(number),
        node: NodeId(number as u32),
        address: format!("n{number}:8000"),
        zone: "default".into(),
        weight: 100,
    };
    let epoch = Epoch { generation: 0, counter };
    let members = (0..10).map(member).collect();
    Arc::new(Ring::of(epoch, 3, members, &[slice]).expect("a ring"))
}

/// A history in the making.
pub struct Sketch {
    pub history: History,
    /// Of the operations that follow.
    pub client: u32,
    pub key: Key,
    pub quorums: Quorums,
    pub now: Micros,
}

impl Sketch {
    pub fn new() -> Sketch {
        let key = Key::bare("k");
        let mut sketch = Sketch { history: History::default(), client: 1, key, quorums: STRICT, now: 0 };
        sketch.history.record(0, What::Published { store: store(1), ring: ring(0, Slice::at_rest(vec![1, 2, 3])) });
        sketch
    }

    /// A store's node works by this ring from now on.
    pub fn published(&mut self, of: u128, counter: u64, slice: Slice<u16>) {
        self.record(What::Published { store: store(of), ring: ring(counter, slice) });
    }

    fn tick(&mut self) -> Micros {
        self.now += 1;
        self.now
    }

    fn begin(&mut self, call: Call) -> OperationId {
        let now = self.tick();
        self.history.invoke(now, ClientId(self.client), &self.key, self.quorums, call)
    }

    fn end(&mut self, operation: OperationId, outcome: Outcome) -> OperationId {
        let now = self.tick();
        self.history.answer(now, operation, outcome);
        operation
    }

    pub fn begin_put(&mut self, write: u64, covering: Covering) -> OperationId {
        self.begin(Call::Put { write: WriteId(write), covering })
    }

    pub fn begin_delete(&mut self, write: u64, covering: Covering) -> OperationId {
        self.begin(Call::Delete { write: WriteId(write), covering })
    }

    pub fn begin_get(&mut self) -> OperationId {
        self.begin(Call::Get)
    }

    pub fn read(&mut self, operation: OperationId, values: &[u64]) -> OperationId {
        self.end(operation, Outcome::Read(values.iter().copied().map(WriteId).collect()))
    }

    pub fn written(&mut self, operation: OperationId) -> OperationId {
        self.end(operation, Outcome::Written)
    }

    pub fn unknown(&mut self, operation: OperationId) {
        self.end(operation, Outcome::Unknown("timed out".into()));
    }

    pub fn failed(&mut self, operation: OperationId) {
        self.end(operation, Outcome::Failed("overloaded".into()));
    }

    /// A put that is acknowledged.
    pub fn put(&mut self, write: u64, covering: Covering) -> OperationId {
        let put = self.begin_put(write, covering);
        self.written(put)
    }

    /// A delete that is acknowledged.
    pub fn delete(&mut self, write: u64, covering: Covering) -> OperationId {
        let delete = self.begin_delete(write, covering);
        self.written(delete)
    }

    /// A read that is answered.
    pub fn get(&mut self, values: &[u64]) -> OperationId {
        let get = self.begin_get();
        self.read(get, values)
    }

    pub fn settle(&mut self) {
        self.record(What::Settled);
    }

    pub fn minted(&mut self, store: u128, dot: &str, write: u64) {
        let (store, key, dot) = (StoreId(store << 96), self.key.clone(), dot.into());
        self.record(What::Minted { store, key, dot, write: WriteId(write) });
    }

    pub fn durable(&mut self, store: u128, dot: &str) {
        let (store, key, dot) = (StoreId(store << 96), self.key.clone(), dot.into());
        self.record(What::Durable { store, key, dot });
    }

    pub fn fault(&mut self, store: u128, fault: Fault) {
        self.record(What::Faulted { store: StoreId(store << 96), fault });
    }

    pub fn holds(&mut self, store: u128, owner: bool, object: Option<&str>) {
        let (store, key, object) = (StoreId(store << 96), self.key.clone(), object.map(String::from));
        self.record(What::Holds { store, key, owner, object });
    }

    pub fn record(&mut self, what: What) {
        let now = self.tick();
        self.history.record(now, what);
    }

    /// What one invariant finds wrong.
    pub fn findings(&self, invariant: &str) -> Vec<String> {
        let (_, check) = INVARIANTS.iter().find(|(name, _)| *name == invariant).expect("an invariant of that name");
        check(&Timeline::new(&self.history)).into_iter().map(|finding| finding.what).collect()
    }
}
