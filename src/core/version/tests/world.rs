//! Random histories of one key on three replicas, each beside a model that keeps sets of events instead of vectors.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::core::bucket::{BlindWrite, Conflict};
use crate::core::limits::Limits;
use crate::core::version::mint::{Life, Write};
use crate::core::version::{Context, Dot, Merged, Object, Payload, Record, Timestamp};

const REPLICAS: usize = 3;

type Events = BTreeSet<Dot>;

/// One thing that happens. Replicas, contexts and objects are picked by a number.
#[derive(Clone, Debug)]
pub enum Step {
    /// A write; without a context it is blind.
    Write { at: usize, context: Option<usize>, blind: BlindWrite, delete: bool, now_ms: u64 },
    /// A read whose context is kept.
    Read { at: usize },
    /// A whole object leaves its replica and may arrive at any time, or several times.
    Post { at: usize },
    /// An object arrives.
    Arrive { object: usize, at: usize },
    /// One replica's object is merged into another.
    Sync { from: usize, to: usize },
    /// A copy is handed off and dropped.
    HandOff { from: usize, to: usize },
    /// A replica restarts; its last change may not have reached the disk.
    Restart { at: usize, loses: bool },
}

/// Histories of up to fifty steps.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let replica = 0..REPLICAS;
    let blind = prop_oneof![Just(BlindWrite::Supersede), Just(BlindWrite::Sibling)];
    let write = (replica.clone(), any::<Option<usize>>(), blind, proptest::bool::weighted(0.2), 0u64..20)
        .prop_map(|(at, context, blind, delete, now_ms)| Step::Write { at, context, blind, delete, now_ms });
    let pair = (replica.clone(), replica.clone());
    let step = prop_oneof![
        8 => write,
        2 => replica.clone().prop_map(|at| Step::Read { at }),
        2 => replica.clone().prop_map(|at| Step::Post { at }),
        2 => (any::<usize>(), replica.clone()).prop_map(|(object, at)| Step::Arrive { object, at }),
        4 => pair.clone().prop_map(|(from, to)| Step::Sync { from, to }),
        1 => pair.prop_map(|(from, to)| Step::HandOff { from, to }),
        1 => (replica, any::<bool>()).prop_map(|(at, loses)| Step::Restart { at, loses }),
    ];
    proptest::collection::vec(step, 0..50)
}

/// What is known of a write for ever.
struct Event {
    time: Timestamp,
    deleted: bool,
    /// What its writer had seen.
    covers: Events,
}

/// An object in the words of the model.
#[derive(Clone, PartialEq, Default)]
struct Model {
    seen: Events,
    live: Events,
}

#[derive(Clone)]
struct Replica {
    life: Life,
    record: Record,
    model: Model,
    /// Before the last change.
    previous: (Record, Model),
}

/// All replicas, all that is under way, and all that ever happened.
pub struct World {
    conflict: Conflict,
    replicas: Vec<Replica>,
    contexts: Vec<(Context, Events)>,
    posted: Vec<(Object, Model)>,
    history: BTreeMap<Dot, Event>,
    lives: u64,
    memory_was_lost: bool,
}

impl World {
    /// Runs a history; panics where an object says what the model does not.
    pub fn run(conflict: Conflict, steps: &[Step]) -> World {
        let replica = |life| Replica {
            life: Life::begin(life),
            record: Record::default(),
            model: Model::default(),
            previous: Default::default(),
        };
        let mut world = World {
            conflict,
            replicas: (1..=REPLICAS as u64).map(replica).collect(),
            contexts: vec![],
            posted: vec![],
            history: BTreeMap::new(),
            lives: REPLICAS as u64,
            memory_was_lost: false,
        };
        for step in steps {
            world.step(step);
            world.check();
        }
        world
    }

    /// The objects of the replicas, and all that were ever sent.
    pub fn objects(&self) -> Vec<Object> {
        let held = self.replicas.iter().map(|replica| replica.record.object.clone());
        held.chain(self.posted.iter().map(|(object, _)| object.clone())).collect()
    }

    /// The replicas' records.
    pub fn records(&self) -> Vec<Record> {
        self.replicas.iter().map(|replica| replica.record.clone()).collect()
    }

    /// All contexts that clients were given.
    pub fn contexts(&self) -> Vec<Context> {
        self.contexts.iter().map(|(context, _)| context.clone()).collect()
    }

    /// Everybody tells everybody, and all late objects arrive; then all are equal and nothing is missing.
    pub fn converge(mut self) {
        for object in 0..self.posted.len() {
            self.arrive(self.posted[object].clone(), 0);
        }
        // Once for what was written, and again for tombstones that were dropped on the way.
        for _ in 0..2 {
            for (from, to) in (0..REPLICAS).flat_map(|from| (0..REPLICAS).map(move |to| (from, to))) {
                self.sync(from, to);
            }
        }
        self.check();
        let first = &self.replicas[0];
        for other in &self.replicas {
            assert_eq!(other.record.object, first.record.object, "replicas differ after all were merged");
        }
        self.check_survivors(&first.model);
    }

    /// No value disappears unless something covered it; in an `lww` bucket the newest survives.
    fn check_survivors(&self, model: &Model) {
        let event = |dot: &Dot| &self.history[dot];
        match self.conflict {
            Conflict::Siblings => {
                let covered = |dot: &Dot| self.history.values().any(|event| event.covers.contains(dot));
                let gone = model.seen.iter().filter(|dot| !model.live.contains(dot));
                let lost: Vec<_> = gone.filter(|dot| !event(dot).deleted && !covered(dot)).collect();
                assert!(lost.is_empty(), "disappeared, and nobody covered it: {lost:?}");
            }
            Conflict::Lww => {
                let newest = model.seen.iter().max_by_key(|dot| (event(dot).time, **dot));
                assert_eq!(model.live.iter().collect::<Vec<_>>(), Vec::from_iter(newest), "the newest survives");
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write { at, context, blind, delete, now_ms } => self.write(at, context, blind, delete, now_ms),
            Step::Read { at } => {
                let Replica { record, model, .. } = &self.replicas[at];
                self.contexts.push((record.object.context.clone(), model.seen.clone()));
            }
            Step::Post { at } => {
                let Replica { record, model, .. } = &self.replicas[at];
                self.posted.push((record.object.clone(), model.clone()));
            }
            Step::Arrive { object, at } => {
                if let Some(i) = object.checked_rem(self.posted.len()) {
                    self.arrive(self.posted[i].clone(), at);
                }
            }
            Step::Sync { from, to } => self.sync(from, to),
            Step::HandOff { from, to } if from == to => {}
            Step::HandOff { from, to } => {
                self.sync(from, to);
                self.replicas[from].record = Record::default();
                self.replicas[from].model = Model::default();
            }
            Step::Restart { at, loses } => {
                self.lives += 1;
                let replica = &mut self.replicas[at];
                replica.life = Life::begin(self.lives);
                if loses {
                    (replica.record, replica.model) = replica.previous.clone();
                    self.memory_was_lost = true;
                }
            }
        }
    }

    fn write(&mut self, at: usize, context: Option<usize>, blind: BlindWrite, delete: bool, now_ms: u64) {
        let context = context.and_then(|i| i.checked_rem(self.contexts.len())).map(|i| self.contexts[i].clone());
        let replica = &mut self.replicas[at];
        let mut covers = match (&context, blind) {
            (Some((_, events)), _) => events.clone(),
            (None, BlindWrite::Supersede) => replica.model.seen.clone(),
            (None, BlindWrite::Sibling) => Events::new(),
        };
        let payload = if delete { Payload::Tombstone } else { Payload::Value("value".into()) };
        let context = context.map(|(context, _)| context);
        let write = Write { payload, context, blind, conflict: self.conflict, expires_ms: None, now_ms };
        let minted = replica.record.clone().mint(write, &mut replica.life, &Limits::default()).expect("no limit");
        assert!(minted.doubt.is_none() || self.memory_was_lost, "doubt about a memory that was never lost");

        let (dot, time) = (minted.dot, minted.record.object.context.time);
        let mut model = replica.model.clone();
        model.seen.extend(&covers);
        model.live.retain(|live| !covers.contains(live));
        model.seen.insert(dot);
        model.live.insert(dot);
        let event = Event { time, deleted: delete, covers: covers.clone() };
        assert!(self.history.insert(dot, event).is_none(), "{dot} was minted twice");
        settle(&mut model, self.conflict, &self.history);

        covers.insert(dot);
        if model.live == Events::from([dot]) {
            covers.extend(&model.seen);
        }
        self.contexts.push((minted.context, covers));
        change(replica, minted.record, model);
    }

    fn sync(&mut self, from: usize, to: usize) {
        let Replica { record, model, .. } = self.replicas[from].clone();
        self.arrive((record.object, model), to);
    }

    fn arrive(&mut self, (object, theirs): (Object, Model), at: usize) {
        let replica = &mut self.replicas[at];
        let mut record = replica.record.clone();
        let (merged, doubt) = record.merge(&object, self.conflict, &replica.life);
        assert!(doubt.is_none() || self.memory_was_lost, "doubt about a memory that was never lost");

        let ours = &replica.model;
        let keeps = |live: &Dot, other: &Model| other.live.contains(live) || !other.seen.contains(live);
        let mut model = Model {
            seen: ours.seen.union(&theirs.seen).copied().collect(),
            live: ours.live.iter().filter(|live| keeps(live, &theirs)).copied().collect(),
        };
        model.live.extend(theirs.live.iter().filter(|live| keeps(live, ours)));
        settle(&mut model, self.conflict, &self.history);
        assert_eq!(merged == Merged::Changed, model != replica.model || doubt.is_some());
        if merged == Merged::Changed {
            change(replica, record, model);
        }
    }

    /// Every vector tells the truth, every context covers what its client has seen, and nothing that was covered lives
    /// again.
    fn check(&self) {
        for Replica { record, model, .. } in &self.replicas {
            let Object { context, siblings } = &record.object;
            assert_eq!(&events_of(context), &model.seen, "the context is not what was seen");
            assert_eq!(siblings.iter().map(|s| s.dot).collect::<Events>(), model.live);
            assert_eq!(context.time, model.seen.iter().map(|dot| self.history[dot].time).max().unwrap_or(0));
            for covered in model.seen.iter().map(|dot| &self.history[dot].covers) {
                assert!(covered.is_subset(&model.seen) && covered.is_disjoint(&model.live), "covered, and back again");
            }
        }
        for (context, events) in &self.contexts {
            assert_eq!(&events_of(context), events);
            assert!(events.iter().all(|dot| context.covers(*dot) && context.highest(dot.actor) >= dot.counter));
        }
    }
}

fn change(replica: &mut Replica, record: Record, model: Model) {
    let buried: Events = replica.model.seen.difference(&replica.model.live).copied().collect();
    assert!(model.live.is_disjoint(&buried), "seen and gone, and back again");
    let record = std::mem::replace(&mut replica.record, record);
    replica.previous = (record, std::mem::replace(&mut replica.model, model));
}

fn settle(model: &mut Model, conflict: Conflict, history: &BTreeMap<Dot, Event>) {
    let newest = model.live.iter().max_by_key(|dot| (history[dot].time, **dot)).copied();
    match conflict {
        Conflict::Lww => model.live.retain(|dot| Some(*dot) == newest),
        Conflict::Siblings if model.live.iter().any(|dot| !history[dot].deleted) => {
            model.live.retain(|dot| !history[dot].deleted);
        }
        Conflict::Siblings => {}
    }
}

fn events_of(context: &Context) -> Events {
    let vector = context.vector.iter();
    let events = vector.flat_map(|(actor, last)| (1..=last).map(move |counter| Dot { actor, counter }));
    events.chain(context.dots.iter().copied()).collect()
}
