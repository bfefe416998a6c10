//! A store without its actor: writes go to `pending` and a queue, the disk applies them later, and is heard of later still.

use proptest::prelude::*;

use super::*;
use crate::core::version::{Actor, Context, Dot, Object, Payload, Sibling};
use crate::node::disk::Ticket;
use crate::storage::memory::{MemoryDisk, MemoryEngine};
use crate::storage::{Batch, Space};

const LEAVES: usize = 64;

/// A record of this many events; for zero one that cannot be read.
fn record(events: u64) -> Bytes {
    if events == 0 {
        return Bytes::from_static(b"damaged");
    }
    let dot = Dot { actor: Actor { incarnation: 1, birth: 1 }, counter: events };
    let mut object = Object::default();
    let mut context = Context::default();
    (1..=events).for_each(|counter| context.add(Dot { counter, ..dot }, 0));
    object.context = context;
    let payload = Payload::Value(Bytes::from(vec![7; events as usize]));
    object.siblings.push(Sibling { dot, time: 0, payload, expires_ms: None });
    Record { object, ..Record::default() }.encode().0
}

fn stored(partition: u8, key: u8) -> Bytes {
    Bytes::from(vec![0, partition, 0, 0, key])
}

struct Store {
    engine: MemoryEngine,
    pending: Pending,
    trees: Trees,
    last: Ticket,
    submitted: VecDeque<(Ticket, Batch)>,
    applied: VecDeque<Ticket>,
    /// What each ticket writes, until it is durable.
    writing: VecDeque<(Ticket, Bytes, Stored)>,
    durable: BTreeMap<Bytes, Bytes>,
    broken: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// Batches of one write each, and of two.
    Write(Vec<(u8, u8, Option<u64>)>),
    Apply,
    Flush,
    /// A batch is not applied.
    Refuse,
    /// A sync fails: what was applied and not flushed never is.
    Break,
    Ask(u8),
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let write = (0..2u8, 0..16u8, proptest::option::of(0..4u64));
    prop_oneof![
        12 => proptest::collection::vec(write, 1..3).prop_map(Step::Write),
        8 => Just(Step::Apply),
        8 => Just(Step::Flush),
        1 => Just(Step::Refuse),
        4 => (0..2u8).prop_map(Step::Ask),
        8 => (1..5usize).prop_map(Step::Read),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let endings = prop_oneof![Just(vec![]), Just(vec![Step::Break])];
    (proptest::collection::vec(step(), 0..150), endings, proptest::collection::vec(step(), 0..30))
        .prop_map(|(first, ending, after)| [first, ending, after].concat())
}

impl Store {
    fn new() -> Store {
        Store {
            engine: MemoryDisk::new().open(),
            pending: Pending::default(),
            trees: Trees::default(),
            last: 0,
            submitted: VecDeque::new(),
            applied: VecDeque::new(),
            writing: VecDeque::new(),
            durable: BTreeMap::new(),
            broken: false,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write(writes) if !self.broken => self.write(writes),
            Step::Apply if !self.broken => self.apply(),
            Step::Flush => self.flush(),
            Step::Refuse if !self.broken => self.refuse(),
            Step::Break => self.sync_fails(),
            Step::Ask(partition) => drop(self.ask(partition)),
            Step::Read(keys) => self.read_on(keys),
            Step::Write(_) | Step::Apply | Step::Refuse => {}
        }
    }

    fn write(&mut self, writes: Vec<(u8, u8, Option<u64>)>) {
        self.last += 1;
        let mut batch = Batch::default();
        for (partition, key, events) in writes {
            let (key, record) = (stored(partition, key), events.map(record));
            batch.changes.push((Space::Objects, key.clone(), record.clone()));
            let engine = &self.engine;
            let held = || engine.get(Space::Objects, &key).expect("the engine reads");
            self.pending.push(self.last, key.clone(), record.clone(), held);
            self.writing.push_back((self.last, key, record));
        }
        self.submitted.push_back((self.last, batch));
    }

    fn apply(&mut self) {
        let Some((ticket, batch)) = self.submitted.pop_front() else { return };
        self.engine.apply(batch).expect("the engine applies");
        self.applied.push_back(ticket);
    }

    fn flush(&mut self) {
        let Some(ticket) = self.applied.pop_front() else { return };
        while let Some((_, key, record)) = self.writing.pop_front_if(|(t, ..)| *t <= ticket) {
            match record {
                Some(record) => self.durable.insert(key, record),
                None => self.durable.remove(&key),
            };
        }
        let trees = &mut self.trees;
        self.pending.flushed(ticket, |key, before, after| trees.flushed(key, before, after));
    }

    /// The Replica hears of batches in their order.
    fn refuse(&mut self) {
        while !self.applied.is_empty() {
            self.flush();
        }
        if let Some((ticket, _)) = self.submitted.pop_front() {
            self.fail(ticket, false);
        }
    }

    fn sync_fails(&mut self) {
        self.broken = true;
        self.submitted.clear();
        self.applied.clear();
        self.fail(self.last, true);
    }

    fn fail(&mut self, ticket: Ticket, engine_shows_it: bool) {
        self.writing.retain(|(t, ..)| *t > ticket);
        self.pending.failed(ticket, engine_shows_it, |_, _| {});
        self.trees.distrust();
    }

    fn read_on(&mut self, keys: usize) {
        self.trees.read_on(&self.engine, &self.pending, Budget { keys, bytes: 1 << 20 });
    }

    fn ask(&mut self, partition: u8) -> LeavesAnswer {
        self.trees.ask(Partition(partition.into()), LEAVES).expect("the engine reads")
    }

    /// What a tree must be.
    fn expected(&self, partition: u8) -> LeavesAnswer {
        let (mut leaves, mut keys, mut bytes) = (Leaves::new(LEAVES), 0, 0);
        for (key, record) in self.durable.iter().filter(|(key, _)| key[1] == partition) {
            leaves.add(key, version(record));
            (keys, bytes) = (keys + 1, bytes + (key.len() + record.len()) as u64);
        }
        LeavesAnswer::Whole { leaves, keys, bytes }
    }
}

proptest! {
    #[test]
    fn whole_trees_are_what_is_durable_at_every_step(steps in steps()) {
        let mut store = Store::new();
        for step in steps {
            store.take(step);
            let whole = |(partition, tree): (&Partition, &Tree)| matches!(tree.reach, Reach::Whole).then_some(partition.0 as u8);
            let whole: Vec<u8> = store.trees.trees.iter().filter_map(whole).collect();
            for partition in whole {
                prop_assert_eq!(store.ask(partition), store.expected(partition));
            }
        }
        for partition in 0..2 {
            store.ask(partition);
            while store.trees.is_unfinished() {
                store.read_on(3);
            }
            prop_assert_eq!(store.ask(partition), store.expected(partition));
        }
    }

    #[test]
    fn walking_in_any_pages_shows_what_is_durable_once(steps in steps(), keys in 1..20usize, bytes in 1..200usize) {
        let mut store = Store::new();
        steps.into_iter().for_each(|step| store.take(step));
        let walk = Walk::new(&store.engine, &store.pending, Partition(1));
        let (mut walked, mut after) = (vec![], None);
        loop {
            let (before, weight) = (walked.len(), |(key, record): &(Bytes, Bytes)| key.len() + record.len());
            let visit = |key, record| {
                walked.push((key, record));
                Visited::GoOn
            };
            after = walk.on(after, Budget { keys, bytes }, visit).expect("the engine reads");
            let page = &walked[before..];
            prop_assert!(page.len() <= keys);
            prop_assert!(page.len() <= 1 || page.iter().map(weight).sum::<usize>() <= bytes);
            if after.is_none() {
                break;
            }
        }
        let durable = store.durable.into_iter().filter(|(key, _)| key[1] == 1);
        prop_assert_eq!(walked, durable.collect::<Vec<_>>());
    }
}

#[test]
fn partitions_that_nobody_asked_about_have_no_tree() {
    let mut store = Store::new();
    assert_eq!(store.trees.bytes(), 0);
    assert_eq!(store.ask(1), LeavesAnswer::Building { done_keys: 0 });
    assert_eq!(store.trees.bytes(), LEAVES * 16);
    store.write(vec![(0, 1, Some(1))]);
    store.apply();
    store.flush();
    assert_eq!(store.trees.trees.len(), 1);
}

#[test]
fn a_tree_that_cannot_be_made_says_so_once_and_is_begun_anew() {
    let disk = MemoryDisk::new();
    let mut store = Store::new();
    store.engine = disk.open();
    let reopened = disk.open();
    store.ask(1);
    store.read_on(10);
    assert!(store.trees.ask(Partition(1), LEAVES).is_err());
    store.engine = reopened;
    assert_eq!(store.ask(1), LeavesAnswer::Building { done_keys: 0 });
    store.read_on(10);
    assert_eq!(store.ask(1), store.expected(1));
}
