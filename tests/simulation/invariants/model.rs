//! The checker against a model of the store: three replicas of one key that keep contexts as plain sets of writes.
//!
//! A sound model under random schedules must pass every invariant, or the checker cries wolf; each fault planted in the
//! model must be caught by the invariant that is there for it.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::check;
use super::sketch::{STRICT, Sketch};
use crate::history::{Covering, OperationId, Quorums};

/// What can be wrong with the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mutant {
    None,
    /// The coordinator answers W without waiting for the other replicas.
    AnswersEarly,
    /// A write with a context covers all that its coordinator holds.
    CoversTooMuch,
    /// A merge keeps what the other side has seen covered.
    MergeForgetsCovers,
    /// A dropped message is sent again as a new write.
    PutTwice,
    /// Reads ask one replica and claim two.
    ReadsOne,
    /// The last replica is never repaired.
    NeverRepaired,
}

/// What a replica holds: live writes (`true` is a tombstone), and all that it has seen.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Object {
    live: BTreeMap<u64, bool>,
    seen: BTreeSet<u64>,
}

impl Object {
    fn merge(&mut self, other: &Object, mutant: Mutant) {
        let stays = |write: &u64, there: &Object| {
            mutant == Mutant::MergeForgetsCovers || there.live.contains_key(write) || !there.seen.contains(write)
        };
        let ours = self.live.iter().filter(|(write, _)| stays(write, other));
        let theirs = other.live.iter().filter(|(write, _)| stays(write, self));
        self.live = ours.chain(theirs).map(|(write, tombstone)| (*write, *tombstone)).collect();
        self.seen.extend(&other.seen);
        if self.live.values().any(|tombstone| !tombstone) {
            self.live.retain(|_, tombstone| !*tombstone);
        }
    }

    fn values(&self) -> Vec<u64> {
        self.live.iter().filter(|(_, tombstone)| !**tombstone).map(|(write, _)| *write).collect()
    }
}

/// How an operation ends, told to its client some time later.
enum Ending {
    Read(Vec<u64>),
    Written,
    Unknown,
}

struct Model {
    mutant: Mutant,
    random: SmallRng,
    sketch: Sketch,
    replicas: [Object; 3],
    writes: u64,
    /// The context that each client had last, and what it truly covers.
    contexts: BTreeMap<u32, (OperationId, BTreeSet<u64>)>,
    /// Whose answers are under way.
    waiting: BTreeMap<u32, (OperationId, Ending, BTreeSet<u64>)>,
}

impl Model {
    fn run(seed: u64, mutant: Mutant) -> Sketch {
        let mut model = Model {
            mutant,
            random: SmallRng::seed_from_u64(seed),
            sketch: Sketch::new(),
            replicas: Default::default(),
            writes: 0,
            contexts: BTreeMap::new(),
            waiting: BTreeMap::new(),
        };
        for _ in 0..40 {
            model.step();
        }
        model.end();
        model.sketch
    }

    fn step(&mut self) {
        let client = self.random.random_range(1..=3);
        self.sketch.client = client;
        if let Some((operation, ending, context)) = self.waiting.remove(&client) {
            match ending {
                Ending::Read(values) => {
                    self.sketch.read(operation, &values);
                    self.contexts.insert(client, (operation, context));
                }
                Ending::Written => {
                    self.sketch.written(operation);
                    self.contexts.insert(client, (operation, context));
                }
                Ending::Unknown => self.sketch.unknown(operation),
            }
        } else if self.random.random_bool(0.5) {
            self.get(client);
        } else {
            self.write(client);
        }
    }

    /// A read of a majority, or of all.
    fn get(&mut self, client: u32) {
        let all = self.random.random_bool(0.3);
        let left_out = self.random.random_range(0..3);
        self.sketch.quorums = if all { Quorums { r: 3, pr: 3, ..STRICT } } else { STRICT };
        let operation = self.sketch.begin_get();
        let mut merged = Object::default();
        for replica in (0..3).filter(|&replica| all || replica != left_out) {
            merged.merge(&self.replicas[replica], self.mutant);
            if self.mutant == Mutant::ReadsOne {
                break;
            }
        }
        self.waiting.insert(client, (operation, Ending::Read(merged.values()), merged.seen));
    }

    /// A write whose copies may or may not arrive.
    fn write(&mut self, client: u32) {
        self.writes += 1;
        let (write, tombstone) = (self.writes, self.random.random_bool(0.1));
        let coordinator = self.random.random_range(0..3);
        let held = self.replicas[coordinator].seen.clone();
        let (covering, mut covered) = match (self.random.random_range(0..10), self.contexts.get(&client)) {
            (0, _) => (Covering::WhatIsHeld, held.clone()),
            (1..8, Some((answer, covered))) => (Covering::Answer(*answer), covered.clone()),
            _ => (Covering::Nothing, BTreeSet::new()),
        };
        if self.mutant == Mutant::CoversTooMuch {
            covered.extend(&held);
        }
        self.sketch.quorums = STRICT;
        let operation = match tombstone {
            true => self.sketch.begin_delete(write, covering),
            false => self.sketch.begin_put(write, covering),
        };
        let mut holders = self.store(coordinator, "a", write, tombstone, &covered);
        if holders < 2 && self.mutant == Mutant::PutTwice {
            holders = self.store((coordinator + 1) % 3, "b", write, tombstone, &covered);
        }
        let acknowledged = holders >= 2 || self.mutant == Mutant::AnswersEarly;
        covered.insert(write);
        self.waiting.insert(client, (operation, if acknowledged { Ending::Written } else { Ending::Unknown }, covered));
    }

    /// Mints, stores and replicates; how many hold the write then.
    fn store(
        &mut self,
        coordinator: usize,
        actor: &str,
        write: u64,
        tombstone: bool,
        covered: &BTreeSet<u64>,
    ) -> usize {
        self.sketch.minted(coordinator as u128 + 1, &format!("{actor}:{write}"), write);
        let mut object = self.replicas[coordinator].clone();
        object.live.retain(|live, _| !covered.contains(live));
        object.live.insert(write, tombstone);
        object.seen.extend(covered.iter().chain([&write]));
        let mut holders = 0;
        for replica in 0..3 {
            if replica == coordinator || self.random.random_bool(0.5) {
                self.receive(replica, &object);
                holders += 1;
            }
        }
        holders
    }

    fn receive(&mut self, replica: usize, object: &Object) {
        let news: Vec<u64> = object.seen.difference(&self.replicas[replica].seen).copied().collect();
        self.replicas[replica].merge(object, self.mutant);
        for write in news {
            self.sketch.durable(replica as u128 + 1, &format!("a:{write}"));
        }
    }

    /// Exchange between all, then a read, and a look at every replica.
    fn end(&mut self) {
        let repaired = if self.mutant == Mutant::NeverRepaired { 2 } else { 3 };
        for (from, to) in (0..repaired).flat_map(|from| (0..repaired).map(move |to| (from, to))).chain([(2, 0), (2, 1)])
        {
            let object = self.replicas[from].clone();
            self.receive(to, &object);
        }
        self.sketch.settle();
        self.sketch.client = 9;
        self.get(9);
        self.sketch.quorums = STRICT;
        if let Some((operation, Ending::Read(values), _)) = self.waiting.remove(&9) {
            self.sketch.read(operation, &values);
        }
        for replica in 0..3 {
            let object = format!("{:?}", self.replicas[replica]);
            self.sketch.holds(replica as u128 + 1, true, Some(&object));
        }
    }
}

#[test]
fn a_sound_store_is_not_accused() {
    for seed in 0..1000 {
        let sketch = Model::run(seed, Mutant::None);
        if let Some(violation) = check(&sketch.history).first() {
            panic!("seed {seed}: {violation}\n{}", sketch.history);
        }
    }
}

#[test]
fn planted_faults_are_caught() {
    for (mutant, invariants) in [
        (Mutant::AnswersEarly, &["quorum honesty", "strict recency", "context monotonicity"][..]),
        (Mutant::CoversTooMuch, &["lost writes", "false supersession", "strict recency"]),
        (Mutant::MergeForgetsCovers, &["resurrection", "strict recency", "context monotonicity"]),
        (Mutant::PutTwice, &["dot uniqueness"]),
        (Mutant::ReadsOne, &["strict recency", "context monotonicity"]),
        (Mutant::NeverRepaired, &["convergence"]),
    ] {
        let histories = (0..200).map(|seed| Model::run(seed, mutant).history);
        let caught: BTreeSet<&str> = histories.flat_map(|history| check(&history)).map(|v| v.invariant).collect();
        for invariant in invariants {
            assert!(caught.contains(invariant), "{mutant:?} is not caught by {invariant}, only by {caught:?}");
        }
    }
}

#[test]
fn the_same_seed_tells_the_same_history() {
    let print = || Model::run(7, Mutant::None).history.to_string();
    assert_eq!(print(), print());
}
