//! One key on a few stores that reap it, beside the same key on the same stores that never do.
//!
//! Whatever happens, happens in both worlds. Reaping is right if it cannot be seen: each store has the same values in both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::core::bucket::{BlindWrite, Conflict};
use crate::core::id::StoreId;
use crate::core::limits::Limits;
use crate::core::reap::{Answer, Block, Candidate, Grace, Question, Removal, Round, Standing, Step, Stray, Vouched};
use crate::core::version::mint::{Life, Write};
use crate::core::version::{Context, Dot, Object, Payload, Record};
use crate::mutant;

/// Stores 0, 1 and 2 own the key.
pub const OWNERS: usize = 3;
/// The others stand in for them.
pub const STORES: usize = 5;
pub const GRACE_MS: u64 = 1000;
/// How old a message may become.
pub const AGE_MS: u64 = 100;

const KEY: Bytes = Bytes::from_static(b"\0\0key");

/// Of each world what it knows: with reaping, and without.
#[derive(Clone, Default)]
pub struct Both<T> {
    pub reaped: T,
    pub kept: T,
}

struct Store {
    record: Both<Option<Record>>,
    life: Both<Life>,
    /// For whom it keeps the key.
    hints: BTreeSet<usize>,
    taken: u64,
    number: u64,
    begun_ms: u64,
    is_up: bool,
}

/// An object under way.
#[derive(Clone)]
struct Message {
    object: Both<Object>,
    to: usize,
    hint: Option<usize>,
    read_ms: u64,
}

/// A round that a store is on.
struct Reaping {
    round: Round,
    until_ms: u64,
    is_filled: bool,
}

/// Everything.
pub struct World {
    stores: Vec<Store>,
    messages: Vec<Message>,
    contexts: Vec<Both<Context>>,
    rounds: BTreeMap<usize, Reaping>,
    /// Removals that were asked for, and may be asked for again by a link that delivers late or twice.
    late: Vec<(usize, Removal)>,
    /// Went out of the ring, and may return.
    absent: BTreeSet<usize>,
    dots: BTreeSet<Dot>,
    now_ms: u64,
    lives: u64,
    written: u64,
    /// Records dropped, and contexts pruned.
    pub reaped: u64,
    pub pruned: u64,
}

impl World {
    pub fn new() -> World {
        let mut world = World {
            stores: vec![],
            messages: vec![],
            contexts: vec![],
            rounds: BTreeMap::new(),
            late: vec![],
            absent: BTreeSet::new(),
            dots: BTreeSet::new(),
            now_ms: 1_000_000,
            lives: 0,
            written: 0,
            reaped: 0,
            pruned: 0,
        };
        for _ in 0..STORES {
            let life = world.life();
            world.stores.push(Store {
                record: Both::default(),
                number: world.lives,
                life,
                hints: BTreeSet::new(),
                taken: 0,
                begun_ms: world.now_ms,
                is_up: true,
            });
        }
        world
    }

    fn life(&mut self) -> Both<Life> {
        self.lives += 2;
        Both { reaped: Life::begin(self.lives), kept: Life::begin(self.lives + 1) }
    }

    fn clock(&self) -> Duration {
        Duration::from_millis(self.now_ms)
    }

    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// A store takes a write; one that is no owner stands in for one. A context is one that a reader was given.
    pub fn write(&mut self, at: usize, context: Option<usize>, payload: Option<u64>) {
        if !self.is_there(at) {
            return;
        }
        self.written += 1;
        let context = context.and_then(|i| i.checked_rem(self.contexts.len())).map(|i| self.contexts[i].clone());
        let expires_ms = payload.filter(|ttl| *ttl > 0).map(|ttl| self.now_ms + ttl);
        let value = self.written.to_be_bytes().to_vec();
        let write = |context| Write {
            payload: payload.map_or(Payload::Tombstone, |_| Payload::Value(value.clone().into())),
            context,
            blind: BlindWrite::Supersede,
            conflict: Conflict::Siblings,
            expires_ms,
            now_ms: self.now_ms,
        };
        let (reaped, kept) = match context {
            Some(Both { reaped, kept }) => (write(Some(reaped)), write(Some(kept))),
            None => (write(None), write(None)),
        };
        let (now_ms, hint) = (self.now_ms, (at >= OWNERS).then_some(at % OWNERS));
        let store = &mut self.stores[at];
        for (record, write, life, notes) in [
            (&mut store.record.reaped, reaped, &mut store.life.reaped, true),
            (&mut store.record.kept, kept, &mut store.life.kept, false),
        ] {
            let before = record.take().unwrap_or_default();
            let mut minted = before.mint(write, life, &Limits::default()).expect("no limit");
            minted.record.renew(now_ms);
            assert!(!notes || self.dots.insert(minted.dot), "{} was minted twice", minted.dot);
            *record = Some(minted.record);
        }
        if let Some(target) = hint {
            store.hints.insert(target);
            store.taken += 1;
        }
    }

    /// A reader is given a context.
    pub fn read(&mut self, at: usize) {
        let context = |record: &Option<Record>| record.as_ref().map(|record| record.object.context.clone());
        let Both { reaped, kept } = &self.stores[at].record;
        let both = Both { reaped: context(reaped).unwrap_or_default(), kept: context(kept).unwrap_or_default() };
        self.contexts.push(both);
    }

    /// What a store holds is sent to another one; as a hint, if that is no owner.
    pub fn post(&mut self, from: usize, to: usize) -> Option<usize> {
        if !self.is_there(from) || from == to {
            return None;
        }
        let object = |record: &Option<Record>| record.as_ref().map(|record| record.object.clone());
        let Both { reaped, kept } = &self.stores[from].record;
        // What is not there is sent in neither world: nobody sends a tombstone to hide nothing.
        let kept = object(kept)?;
        let object = Both { reaped: object(reaped).unwrap_or_default(), kept };
        let hint = (to >= OWNERS).then_some(to % OWNERS);
        self.messages.push(Message { object, to, hint, read_ms: self.now_ms });
        Some(self.messages.len() - 1)
    }

    /// A message arrives although it is too old: what no rule allows.
    pub fn arrive_late(&mut self, message: usize) {
        let Message { object, to, hint, .. } = self.messages[message].clone();
        self.merge(to, &object, hint);
    }

    /// Whether a round has looked twice.
    pub fn has_looked(&self, at: usize) -> bool {
        self.rounds.get(&at).is_some_and(|reaping| reaping.round.next() == Step::Fill)
    }

    /// Whether a round waits for what is under way.
    pub fn rests(&self, at: usize) -> bool {
        self.rounds.get(&at).is_some_and(|reaping| matches!(reaping.round.next(), Step::Rest(_)))
    }

    /// A message arrives, and may do so again, until it is too old.
    pub fn arrive(&mut self, message: usize) {
        let Some(i) = message.checked_rem(self.messages.len()) else { return };
        let Message { object, to, hint, read_ms } = self.messages[i].clone();
        if !self.is_there(to) {
            return;
        }
        if self.now_ms > read_ms + AGE_MS {
            self.messages.remove(i);
            return;
        }
        self.merge(to, &object, hint);
    }

    fn merge(&mut self, to: usize, object: &Both<Object>, hint: Option<usize>) {
        let (now_ms, store) = (self.now_ms, &mut self.stores[to]);
        for (record, object, life) in [
            (&mut store.record.reaped, &object.reaped, &store.life.reaped),
            (&mut store.record.kept, &object.kept, &store.life.kept),
        ] {
            if object.siblings.is_empty() && record.is_none() {
                continue;
            }
            let mut merged = record.clone().unwrap_or_default();
            merged.merge(object, Conflict::Siblings, life);
            if merged.object != record.as_ref().map(|record| record.object.clone()).unwrap_or_default() {
                merged.renew(now_ms);
            }
            *record = Some(merged);
        }
        if let Some(target) = hint {
            store.hints.insert(target);
            store.taken += 1;
        }
    }

    /// A stand-in delivers to an owner what it keeps for it, and drops it when nobody else waits for it. What it sent may come again.
    pub fn hand_off(&mut self, from: usize) {
        let Some(&target) = self.stores[from].hints.first() else { return };
        if !self.is_there(from) || !self.is_there(target) {
            return;
        }
        self.send(from, target);
        self.stores[from].hints.remove(&target);
        if self.stores[from].hints.is_empty() {
            self.stores[from].record = Both::default();
        }
    }

    fn send(&mut self, from: usize, to: usize) {
        if let Some(message) = self.post(from, to) {
            self.arrive(message);
        }
    }

    pub fn turn_off(&mut self, store: usize) {
        self.stores[store].is_up = false;
    }

    /// What a store has in its hands is lost when it is started, not what it has sent.
    pub fn start(&mut self, store: usize) {
        let life = self.life();
        let (number, begun_ms) = (self.lives, self.now_ms);
        let store = &mut self.stores[store];
        (store.life, store.number, store.begun_ms, store.taken, store.is_up) = (life, number, begun_ms, 0, true);
    }

    /// A stand-in goes out of the ring with what it holds, or returns.
    pub fn leave_or_return(&mut self, store: usize) {
        if !self.absent.remove(&store) {
            self.absent.insert(store);
        }
        // Nobody asks or is asked by the ring before.
        self.rounds.clear();
        self.late.clear();
    }

    fn is_there(&self, store: usize) -> bool {
        self.stores[store].is_up && !self.absent.contains(&store)
    }

    /// An owner does the next thing that its round wants; `pick` says whom it hears first. Answers why the round ended, if it did.
    pub fn reap(&mut self, at: usize, pick: usize) -> Option<Result<(), Block>> {
        if !self.is_there(at) {
            return None;
        }
        if !self.rounds.contains_key(&at) {
            let id = |store: usize| StoreId(store as u128);
            let others = (OWNERS..STORES).filter(|store| !self.absent.contains(store)).map(id).collect();
            let absent: Vec<StoreId> = self.absent.iter().copied().map(id).collect();
            let round = match Round::new((0..OWNERS).map(id).collect(), others, &absent, self.clock()) {
                Ok(round) => round,
                Err(block) => return Some(Err(block)),
            };
            let until_ms = Grace(Duration::from_millis(GRACE_MS)).since_ms(0, self.now_ms);
            self.rounds.insert(at, Reaping { round, until_ms, is_filled: false });
        }
        let clock = self.clock();
        let ended = self.round_step(at, pick, clock);
        if ended.is_some() {
            self.rounds.remove(&at);
        }
        ended
    }

    fn round_step(&mut self, at: usize, pick: usize, clock: Duration) -> Option<Result<(), Block>> {
        let Reaping { round, until_ms, is_filled } = self.rounds.get_mut(&at)?;
        round.rested(clock);
        match round.next() {
            Step::Done => return Some(Ok(())),
            Step::Rest(_) => {}
            Step::Fill => {
                let record = self.stores[at].record.reaped.as_ref().filter(|_| !*is_filled);
                let due = record.filter(|record| record.since_ms <= *until_ms);
                let candidate = |record: &Record| Candidate {
                    stored: KEY,
                    clock: record.object.clock(),
                    prunes: !record.object.fades(),
                };
                let due = due.filter(|record| record.object.fades() || record.object.idle_entries() > 0);
                round.fill(due.map(candidate).into_iter().collect());
                *is_filled = true;
            }
            Step::Ask(whom, question) => {
                let asked = whom[pick % whom.len()];
                if !self.is_there(asked.0 as usize) {
                    return Some(Err(Block::Unreachable(asked)));
                }
                let answer = self.answer(asked.0 as usize, &question);
                let Reaping { round, .. } = self.rounds.get_mut(&at)?;
                if let Err(block) = round.answered(asked, answer, clock) {
                    return Some(Err(block));
                }
            }
        }
        None
    }

    fn answer(&mut self, at: usize, question: &Question) -> Answer {
        match question {
            Question::Look => Answer::Looked(self.vouch(at)),
            Question::Held(keys) => Answer::Held(keys.iter().map(|(_, clock)| self.standing(at, *clock)).collect()),
            Question::Remove(removals) => {
                self.late.extend(removals.iter().map(|removal| (at, removal.clone())));
                Answer::Removed(removals.iter().map(|removal| self.remove(at, removal)).collect())
            }
        }
    }

    fn vouch(&self, at: usize) -> Vouched {
        let store = &self.stores[at];
        let copy = (at >= OWNERS && store.record.reaped.is_some()).then_some(Stray::Copy);
        Vouched {
            life: store.number,
            ran: Duration::from_millis(self.now_ms - store.begun_ms),
            taken: store.taken,
            lasting: Duration::from_millis(AGE_MS),
            grace: Duration::from_millis(GRACE_MS),
            stray: store.hints.first().map(|target| Stray::Hint(StoreId(*target as u128))).or(copy),
        }
    }

    fn standing(&self, at: usize, clock: crate::core::version::Clock) -> Standing {
        match &self.stores[at].record.reaped {
            None => Standing::Nothing,
            Some(record) if record.object.clock() == clock => {
                Standing::Held(Duration::from_millis(self.now_ms.saturating_sub(record.since_ms)))
            }
            Some(_) => Standing::Other,
        }
    }

    /// A removal comes late, or once more.
    pub fn remove_late(&mut self, which: usize) {
        if let Some(i) = which.checked_rem(self.late.len()) {
            let (at, removal) = self.late[i].clone();
            if self.is_there(at) {
                self.remove(at, &removal);
            }
        }
    }

    fn remove(&mut self, at: usize, removal: &Removal) -> bool {
        let now_ms = self.now_ms;
        let record = &mut self.stores[at].record.reaped;
        let Some(held) = record else { return true };
        let is_right = held.object.clock() == removal.clock && (removal.prunes || held.object.is_deleted(now_ms));
        if !is_right && !mutant!(ReapUnconditionally) {
            return false;
        }
        if removal.prunes {
            held.object.prune();
            held.mark = None;
            held.renew(now_ms);
            self.pruned += 1;
        } else {
            *record = None;
            self.reaped += 1;
        }
        true
    }

    /// Reaping cannot be seen.
    pub fn check(&self) {
        for (i, store) in self.stores.iter().enumerate() {
            let values = |record: &Option<Record>| {
                let object = record.as_ref().map(|record| record.object.clone()).unwrap_or_default();
                let values = object.values(self.now_ms).into_iter().map(|sibling| format!("{:?}", sibling.payload));
                values.collect::<BTreeSet<_>>()
            };
            assert_eq!(
                values(&store.record.reaped),
                values(&store.record.kept),
                "store {i} shows that there was reaping"
            );
        }
    }

    /// What a store holds, where there is reaping.
    pub fn holds(&self, at: usize) -> Option<&Record> {
        self.stores[at].record.reaped.as_ref()
    }

    /// How many values a reader at a store finds.
    pub fn values(&self, at: usize) -> usize {
        self.holds(at).map_or(0, |record| record.object.values(self.now_ms).len())
    }

    /// Everybody is there, all that is under way arrives or is too old, all hints are delivered, the owners exchange what they hold.
    pub fn heal(&mut self) {
        for store in 0..STORES {
            if self.absent.contains(&store) {
                self.leave_or_return(store);
            }
            if !self.stores[store].is_up {
                self.start(store);
            }
        }
        (0..self.messages.len()).for_each(|message| self.arrive(message));
        self.messages.clear();
        self.deliver();
        self.exchange();
        self.messages.clear();
    }

    /// Stand-ins hand off what they can.
    pub fn deliver(&mut self) {
        for stand_in in OWNERS..STORES {
            for _ in 0..self.stores[stand_in].hints.len() {
                self.hand_off(stand_in);
            }
        }
    }

    /// Each owner sends what it holds to each other one, twice: a tombstone may be dropped on the way.
    pub fn exchange(&mut self) {
        for _ in 0..2 {
            for (from, to) in (0..OWNERS).flat_map(|from| (0..OWNERS).map(move |to| (from, to))) {
                if self.holds(from).is_some() {
                    self.send(from, to);
                }
            }
        }
    }

    /// An owner reaps until its round ends.
    pub fn reap_to_the_end(&mut self, at: usize) -> Result<(), Block> {
        if !self.is_there(at) {
            return Err(Block::Unreachable(StoreId(at as u128)));
        }
        for _ in 0..100 {
            if let Some(ended) = self.reap(at, 0) {
                return ended;
            }
            self.pass(AGE_MS / 4);
        }
        panic!("the round of store {at} does not end");
    }

    /// The actor that a store has of its own.
    pub fn mark(&self, at: usize) -> Option<crate::core::version::Actor> {
        self.holds(at)?.mark
    }
}
