//! Stores that answer as real ones do, from memory and in small pages.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;

use crate::core::bucket::Conflict;
use crate::core::id::Partition;
use crate::core::key::Key;
use crate::core::merkle::{Leaves, UNREADABLE, leaf_count};
use crate::core::transfer::{Answer, Ask, Holding, Known, Objects, Versions};
use crate::core::version::{Actor, Clock, Dot, Merged, Object, Payload, Sibling};

/// So many partitions that each has the fewest leaves.
pub const PARTITIONS: u32 = 1 << 16;
pub const PARTITION: Partition = Partition(3);

pub fn key(number: u16) -> Key {
    Key::bare(format!("key {number:05}"))
}

pub fn stored(number: u16) -> Bytes {
    key(number).stored(PARTITION)
}

/// Keys have one to three owners by their number; some are kept for others.
#[derive(Default)]
pub struct Rules {
    pub all_have: Option<usize>,
    pub hinted: BTreeSet<Bytes>,
}

impl Known for Rules {
    fn replicas(&self, key: &Key) -> usize {
        self.all_have.unwrap_or(1 + key.name.last().map_or(0, |digit| *digit as usize) % 3)
    }

    fn is_hinted(&self, stored: &Bytes) -> bool {
        self.hinted.contains(stored)
    }
}

/// What a store holds durably.
#[derive(Clone, Default)]
pub struct Store {
    pub held: BTreeMap<Bytes, Object>,
    pub unreadable: BTreeSet<Bytes>,
    pub page: usize,
}

impl Store {
    pub fn new(page: usize) -> Store {
        Store { page, ..Store::default() }
    }

    /// A write that covers what is here, or is concurrent to it. The actor is unique to this store, the value long or short.
    pub fn write(&mut self, number: u16, actor: u64, covers: bool, bytes: usize) {
        let object = self.held.entry(stored(number)).or_default();
        let actor = Actor { incarnation: actor, birth: 1 };
        let dot = Dot { actor, counter: object.context.highest(actor) + 1 };
        if covers {
            object.siblings.clear();
        }
        object.context.add(dot, 1);
        let payload = Payload::Value(Bytes::from(vec![7; bytes]));
        object.siblings.push(Sibling { dot, time: 1, payload, expires_ms: None });
        object.siblings.sort_by_key(|sibling| sibling.dot);
    }

    pub fn merge(&mut self, stored: &Bytes, object: &Object) {
        if self.unreadable.remove(stored) {
            self.held.remove(stored);
        }
        self.held.entry(stored.clone()).or_default().merge(object, Conflict::Siblings);
    }

    /// Makes these durable.
    pub fn store(&mut self, objects: &[(Key, Bytes)]) {
        for (key, object) in objects {
            let object = Object::decode(object).expect("what travels is an object");
            self.merge(&key.stored(PARTITION), &object);
        }
    }

    /// Whether this version is here, or all of it was covered.
    pub fn covers(&self, stored: &Bytes, object: &Object) -> bool {
        let mut here = self.held.get(stored).cloned().unwrap_or_default();
        here.merge(object, Conflict::Siblings) == Merged::Unchanged
    }

    fn clock(&self, stored: &Bytes, object: &Object) -> Option<Clock> {
        (!self.unreadable.contains(stored)).then(|| object.clock())
    }

    fn after(&self, after: Option<Bytes>) -> impl Iterator<Item = (&Bytes, &Object)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.held.range((start, Bound::Unbounded))
    }

    fn put(&self, page: &mut Objects, stored: &Bytes, object: &Object) {
        if self.unreadable.contains(stored) {
            return page.unreadable.push(stored.clone());
        }
        let (_, key) = Key::from_stored(stored).expect("a stored key");
        page.objects.push((key, object.encode()));
    }

    /// What is held, in leaves.
    pub fn leaves(&self) -> Leaves {
        let mut leaves = Leaves::new(leaf_count(PARTITIONS));
        let of = |(stored, object)| self.clock(stored, object).unwrap_or(UNREADABLE);
        self.held.iter().for_each(|entry| leaves.add(entry.0, of(entry)));
        leaves
    }

    pub fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Sums { depth, nodes } => Answer::Sums(self.leaves().sums(*depth, nodes)),
            Ask::Leaves => {
                let leaves = self.leaves();
                let bytes = self.held.values().map(|object| object.encode().len() as u64).sum();
                Answer::Holding(Holding { leaves, keys: self.held.len() as u64, bytes })
            }
            Ask::Clocks { leaves, after } => {
                let shape = Leaves::new(leaf_count(PARTITIONS));
                let mut rest = self.after(after.clone()).peekable();
                let looked: Vec<_> = rest.by_ref().take(self.page).collect();
                let next = rest.peek().and(looked.last()).map(|(stored, _)| (*stored).clone());
                let wanted = looked.into_iter().filter(|(stored, _)| leaves.contains(&shape.leaf_of(stored)));
                let clocks = wanted.map(|(stored, object)| (stored.clone(), self.clock(stored, object))).collect();
                Answer::Versions(Versions { clocks, next })
            }
            Ask::Pull { after } => {
                let mut page = Objects::default();
                let mut rest = self.after(after.clone()).peekable();
                let looked: Vec<_> = rest.by_ref().take(self.page).collect();
                page.next = rest.peek().and(looked.last()).map(|(stored, _)| (*stored).clone());
                looked.into_iter().for_each(|(stored, object)| self.put(&mut page, stored, object));
                Answer::Objects(page)
            }
            Ask::Objects { keys } => {
                let mut page = Objects::default();
                let (now, later) = keys.split_at(keys.len().min(self.page));
                now.iter().for_each(|stored| {
                    if let Some(object) = self.held.get(stored) {
                        self.put(&mut page, stored, object);
                    }
                });
                page.left_over = later.to_vec();
                Answer::Objects(page)
            }
        }
    }
}
