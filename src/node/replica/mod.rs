//! The Replica: what this store holds.
//!
//! One per arbiter, for the partitions pinned to it. It reads inline, decides with [`crate::core::version`], and hands what is to
//! be written to the [`super::disk`] as one batch per message. An acknowledgement leaves only when the batch that it speaks of is
//! durable; a read sees only what is durable, so that nothing is ever shown that a power loss could take back. Minting goes on
//! from the newest version, durable or not: `pending` keeps both.
//!
//! Every reply says whether the store holds a [`Lease`] at that moment, after everything that it speaks of was read or made durable.
//!
//! Before it does anything it looks at the age by which it is asked (`parking`): what comes by an older ring may have moved, what
//! comes by a newer one may have to wait for it. A partition of which this store may miss something is marked in [`needs_sync`] and counts in
//! no pr and pw.
//!
//! Of partitions that other stores compare with their own it keeps Merkle leaves (`tree`), and tells what they hold
//! ([`crate::wire::exchange`]). What cannot be read marks its partition and is replaced by what another owner holds (`damage`).
//!
//! What was deleted it keeps in a queue until all stores agree that it may be forgotten (`reaping`).
//!
//! Its memory of a key may break (a failed write, a restart): then a new [`Life`] begins and no earlier mark is continued.

mod damage;
mod exchange;
mod exchange_drop;
mod exchange_walk;
mod hints;
// Virtual time is the simulation's.
#[cfg(all(test, feature = "sim"))]
mod hints_tests;
pub mod messages;
mod missed;
pub mod needs_sync;
mod parking;
mod pending;
pub mod reaping;
mod recent;
mod scanning;
mod settling;
mod stopping;
mod storing;
mod tree;
mod tree_kept;
mod tree_making;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use rand::Rng;
use rand::rngs::StdRng;

use self::damage::Damage;
use self::messages::{Flushed, ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink, Unwritten};
use self::needs_sync::NeedsSync;
use self::parking::Parking;
use self::pending::Pending;
use self::reaping::Past;
use self::recent::Recent;
use self::settling::Settling;
use self::tree::Trees;
use self::tree_making::Size;
use super::disk::{Disk, Gate, Ticket};
use super::env::{Env, Purpose};
use super::lease::Lease;
use super::stats::{Counter, Stats};
use super::view::SharedRing;
use crate::config::{NodeConfig, NodeLimits};
use crate::core::id::StoreId;
use crate::core::merkle::leaf_count;
use crate::core::reap::Grace;
use crate::core::version::mint::Life;
use crate::mutant;
use crate::storage::{Batch, Engine};
use crate::wire::message::ReplicaError;

pub use hints::HintGauge;
pub use missed::Missed;
pub use tree_kept::KeptTrees;

/// What a Replica is made of.
#[derive(Clone)]
pub struct ReplicaParts {
    /// This store.
    pub store: StoreId,
    /// Where it keeps things.
    pub engine: Arc<dyn Engine>,
    /// The way to write to it.
    pub disk: Disk,
    /// Whether it takes writes.
    pub gate: Arc<Gate>,
    /// The ring.
    pub ring: SharedRing,
    /// Limits, of keys and of what waits for the disk.
    pub limits: NodeLimits,
    /// Bytes of records that it remembers.
    pub recent_bytes_max: usize,
    /// How many hints it holds.
    pub hints: Arc<HintGauge>,
    /// What it could not hold for others.
    pub missed: Arc<Missed>,
    /// When what was deleted may be forgotten.
    pub reap: ReapTimes,
    /// The partitions of which it may miss something.
    pub needs_sync: Arc<NeedsSync>,
    /// The Merkle trees that were kept over the last stop.
    pub kept_trees: Arc<KeptTrees>,
    /// Whether this store counts in pr and pw.
    pub lease: Lease,
    /// What it counts.
    pub stats: Arc<Stats>,
    /// Its surroundings.
    pub env: Env,
}

/// What a Replica tells of, and holds to, when something is to be reaped.
#[derive(Clone, Copy, Debug)]
pub struct ReapTimes {
    /// How long a tombstone is kept at least.
    pub grace: Grace,
    /// How long a version that was read here may be under way.
    pub version_lasts: Duration,
}

impl ReapTimes {
    /// As a node is told.
    pub fn of(config: &NodeConfig) -> ReapTimes {
        ReapTimes { grace: config.reap.grace(), version_lasts: config.reap.version_lasts(&config.timing) }
    }
}

/// What is to be said, and to whom, once a ticket is durable.
type Acknowledgements = Vec<(Arc<dyn ReplicaSink>, ReplicaReply)>;

/// The actor.
pub struct Replica {
    parts: ReplicaParts,
    arbiter: usize,
    rng: StdRng,
    life: Life,
    pending: Pending,
    pending_hints: Pending,
    recent: Recent,
    trees: Trees,
    /// Whether a page for a tree was read a moment ago: the next one waits.
    trees_rest: bool,
    ticket: Ticket,
    waiting: BTreeMap<Ticket, Acknowledgements>,
    parking: Parking,
    settling: Settling,
    past: Past,
    damage: Damage,
    /// Whether it stops: nothing is begun any more.
    is_halting: bool,
}

impl Replica {
    /// A replica for one arbiter.
    pub fn new(parts: ReplicaParts, arbiter: usize) -> Replica {
        let mut rng = parts.env.rng(arbiter as u64, Purpose::Incarnation);
        let life = Life::begin(incarnation(&parts, &mut rng));
        let recent = Recent::new(parts.recent_bytes_max);
        let past = Past::begin(life.incarnation());
        let trees = kept(&parts, arbiter);
        Replica {
            parts,
            arbiter,
            rng,
            life,
            pending: Pending::default(),
            pending_hints: Pending::default(),
            recent,
            trees,
            trees_rest: false,
            ticket: 0,
            waiting: BTreeMap::new(),
            parking: Parking::default(),
            settling: Settling::default(),
            past,
            damage: Damage::default(),
            is_halting: false,
        }
    }

    /// Everything that one message asks, as one batch to the disk.
    fn execute(&mut self, batch: ReplicaBatch, ctx: &mut Context<Self>) {
        let mut turn = Turn { ticket: self.ticket + 1, ..Turn::default() };
        if self.is_halting {
            // Whoever asks hears no more than of a node that is gone.
            return;
        }
        for call in batch.calls {
            let id = call.id();
            let Some(call) = self.admit(&mut turn, call, &batch.sink, ctx) else { continue };
            let outcome = match call {
                ReplicaCall::Mint { id, key, write, hint, expires, .. } => {
                    self.mint(&mut turn, id, key, *write, hint, expires)
                }
                ReplicaCall::Store { id, key, object, hint, expires, .. } => {
                    self.store(&mut turn, id, key, object, hint, expires)
                }
                ReplicaCall::Fetch { id, key, expires, .. } => self.fetch(&mut turn, id, key, expires),
                ReplicaCall::Examine { id, key } => self.examine(&mut turn, id, key),
                ReplicaCall::Scan { id, scan, expires } => self.scan(&mut turn, id, &scan, expires),
                ReplicaCall::ScanHints { id, target, after, limit } => {
                    self.scan_hints(&mut turn, id, target, after, limit)
                }
                ReplicaCall::HandedOff { key, target, clock, .. } => self.handed_off(&mut turn, key, target, clock),
                ReplicaCall::Missed { id, partition } => self.missed(&mut turn, id, partition),
                ReplicaCall::Told { target, partition, count, .. } => {
                    self.told_missed(&mut turn, target, partition, count);
                    Ok(())
                }
                ReplicaCall::Leaves { id, partition, .. } => self.leaves(&mut turn, id, partition, ctx),
                ReplicaCall::Sums { id, partition, depth, nodes, .. } => {
                    self.sums(&mut turn, id, (partition, depth, &nodes), ctx)
                }
                ReplicaCall::Verify { partition, .. } => self.verify(partition, ctx),
                ReplicaCall::Clocks { id, partition, leaves, after, limit, .. } => {
                    self.clocks(&mut turn, id, partition, &leaves, after, limit)
                }
                ReplicaCall::Pull { id, partition, after, bytes_max, .. } => {
                    self.pull(&mut turn, id, partition, after, bytes_max)
                }
                ReplicaCall::Objects { id, partition, keys, .. } => self.objects(&mut turn, id, partition, keys),
                ReplicaCall::Reap { id, epoch, partition, question } => {
                    self.reap(&mut turn, id, epoch, partition, question)
                }
                ReplicaCall::Drop { id, key, clock } => self.drop_key(&mut turn, id, key, clock),
            };
            if let Err(error) = outcome {
                turn.now.push(ReplicaReply::failed(id, error));
            }
        }
        self.add_marks(&mut turn);
        if !turn.batch.changes.is_empty() {
            self.ticket = turn.ticket;
            self.parts.disk.submit(ctx.address().recipient(), turn.ticket, turn.batch);
        }
        for (ticket, reply) in turn.later {
            self.waiting.entry(ticket).or_default().push((batch.sink.clone(), reply));
        }
        if !turn.now.is_empty() {
            self.reply(&*batch.sink, turn.now);
        }
    }

    fn flushed(&mut self, flushed: Flushed) {
        self.settling.flushed(flushed.ticket);
        if let Err(Unwritten { reason, engine_shows_it }) = &flushed.result {
            // A dot may have left that nobody here remembers: no actor may be continued.
            self.life = Life::begin(incarnation(&self.parts, &mut self.rng));
            self.pending.failed(flushed.ticket, *engine_shows_it, |_, _| {});
            self.hints_failed(flushed.ticket, *engine_shows_it);
            self.recent.clear();
            self.distrust_trees();
            self.release(flushed.ticket, |reply| {
                ReplicaReply::failed(reply.id(), ReplicaError::ReadOnly(reason.clone()))
            });
            return;
        }
        let (recent, trees) = (&mut self.recent, &mut self.trees);
        self.pending.flushed(flushed.ticket, |key, before, after| {
            trees.flushed(key, before, after);
            recent.put(key.clone(), after.clone());
        });
        self.pending_hints.flushed(flushed.ticket, |_, _, _| {});
        self.release(flushed.ticket, |reply| reply);
    }

    fn release(&mut self, ticket: Ticket, finish: impl Fn(ReplicaReply) -> ReplicaReply) {
        let later = self.waiting.split_off(&(ticket + 1));
        let mut released = std::mem::replace(&mut self.waiting, later).into_values().flatten().peekable();
        // Replies of one batch mostly go to one sink: one message for each run of them.
        while let Some((sink, reply)) = released.next() {
            let mut replies = vec![finish(reply)];
            while let Some((_, reply)) = released.next_if(|(next, _)| Arc::ptr_eq(next, &sink)) {
                replies.push(finish(reply));
            }
            self.reply(&*sink, replies);
        }
    }

    fn reply(&self, sink: &dyn ReplicaSink, replies: Vec<ReplicaReply>) {
        let leased = self.parts.lease.is_held(self.parts.env.boot_time());
        let replies = replies.into_iter().map(|reply| reply.leaving(leased)).collect();
        if leased && let Some(observer) = self.parts.env.observer() {
            observer.strict_counted(self.parts.store);
        }
        sink.reply(replies);
    }
}

/// The trees of the partitions that are pinned to an arbiter, as far as they were kept.
fn kept(parts: &ReplicaParts, arbiter: usize) -> Trees {
    let (mut trees, arbiters) = (Trees::default(), parts.env.arbiters());
    let leaf_count = leaf_count(parts.ring.load().ring.partitions());
    parts.kept_trees.give(&mut trees, leaf_count, |partition| partition.0 as usize % arbiters == arbiter);
    Size::of(&trees).note(&parts.stats, Size::default());
    trees
}

/// A number for a new life.
fn incarnation(parts: &ReplicaParts, rng: &mut StdRng) -> u64 {
    if mutant!(ContinueAfterWipe) {
        return parts.store.0 as u64;
    }
    rng.random()
}

/// What one message leads to.
#[derive(Default)]
struct Turn {
    ticket: Ticket,
    batch: Batch,
    now: Vec<ReplicaReply>,
    later: Vec<(Ticket, ReplicaReply)>,
}

impl Actor for Replica {
    type Context = Context<Self>;
}

impl Handler<ReplicaBatch> for Replica {
    type Result = ();

    fn handle(&mut self, batch: ReplicaBatch, ctx: &mut Context<Self>) {
        self.execute(batch, ctx);
    }
}

impl Handler<Flushed> for Replica {
    type Result = ();

    fn handle(&mut self, flushed: Flushed, _: &mut Context<Self>) {
        self.flushed(flushed);
    }
}

impl Replica {
    fn count(&self, counter: Counter) {
        self.parts.stats.count(counter);
    }
}
