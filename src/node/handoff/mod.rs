//! Handoff: delivers to returned owners what fallbacks kept for them.
//!
//! At an interval it looks for targets that are reachable and have hints waiting here. For each it reads a page of hints from each
//! Replica in turn, sends the copies, and has the Replica drop each one that the target acknowledged as durable, provided
//! that it is still the same version. Whatever goes wrong, the hint stays and the next round tries again.
//!
//! How many bytes a second leave for all targets together is limited ([`Pace`]), so that what was kept over days does not crowd out
//! requests. A target that does not take what it is sent is left alone for a while that grows (`retry`). What could not be kept for
//! a target it is told when it is back (`telling`).
//!
//! A target may have lost its place of a key to others meanwhile, or be no member any more. Then the copy goes to all who have a
//! place of it now, and is dropped when all of them have acknowledged it. To find such hints, those of a target that is not
//! reachable are looked through once for each ring, and again when there are more than were seen to wait for their target alone.

mod delivery;
mod report;
mod retry;
mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;

use self::delivery::{Delivery, Look, Waiting, recipients};
use self::retry::Retry;
use self::telling::Telling;
use super::connection_pool::ConnectionPool;
use super::connection_pool::messages::{Origin, PeerEvent, PeerSend};
use super::env::{Env, Moment, now};
use super::replica::messages::{HeldHint, ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink};
use super::replica::{HintGauge, Missed, Replica};
use super::stats::{Counter, Stats};
use super::view::{SharedHealth, SharedRing};
use crate::config::Config;
use crate::core::id::StoreId;
use crate::core::transfer::Pace;
use crate::wire::message::{ToCoordinator, ToReplica};

pub use report::ReportHints;

/// Hints delivered at once to one target.
const PAGE: usize = 64;

/// Answers of local Replicas.
#[derive(Message)]
#[rtype(result = "()")]
struct Scanned(Vec<ReplicaReply>);

/// What a Handoff is made of.
pub struct HandoffParts {
    /// This store.
    pub own: StoreId,
    /// Timing.
    pub config: Arc<Config>,
    /// The ring.
    pub ring: SharedRing,
    /// Who is reachable.
    pub health: SharedHealth,
    /// What waits here.
    pub hints: Arc<HintGauge>,
    /// What could not be kept.
    pub missed: Arc<Missed>,
    /// Who holds it.
    pub replicas: Arc<Vec<Addr<Replica>>>,
    /// What it counts.
    pub stats: Arc<Stats>,
    /// Its surroundings.
    pub env: Env,
}

/// The actor.
pub struct Handoff {
    parts: HandoffParts,
    /// Known once the pools are there.
    pool: Option<Addr<ConnectionPool>>,
    deliveries: BTreeMap<StoreId, Delivery>,
    /// When all hints of a target were last looked through without leaving any that goes to others.
    looked_through: BTreeMap<StoreId, Look>,
    /// The targets of the pages that are being read.
    scans: BTreeMap<u64, StoreId>,
    /// Targets that did not take what they were sent last.
    retries: BTreeMap<StoreId, Retry>,
    telling: Telling,
    /// How fast all of them are served, by the time since this began.
    pace: Pace,
    began: Moment,
    last: u64,
}

/// Through this pool.
#[derive(Message)]
#[rtype(result = "()")]
pub struct DeliverThrough(pub Addr<ConnectionPool>);

struct ScanSink(Addr<Handoff>);

impl ReplicaSink for ScanSink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        self.0.do_send(Scanned(replies));
    }
}

impl Handoff {
    /// Delivers nothing until it knows a pool.
    pub fn new(parts: HandoffParts) -> Handoff {
        let pace = Pace::new(parts.config.node.hints.bytes_per_s_max, Duration::ZERO);
        Handoff {
            parts,
            pool: None,
            deliveries: BTreeMap::new(),
            looked_through: BTreeMap::new(),
            scans: BTreeMap::new(),
            retries: BTreeMap::new(),
            telling: Telling::new(),
            pace,
            began: now(),
            last: 0,
        }
    }

    fn round(&mut self, ctx: &mut Context<Self>) {
        let late = self.deliveries.iter().filter(|(_, delivery)| delivery.patience <= now());
        let late: Vec<StoreId> = late.map(|(target, _)| *target).collect();
        late.into_iter().for_each(|target| self.give_up(target, "it does not answer".into()));
        let deliveries = &self.deliveries;
        self.scans.retain(|_, target| deliveries.contains_key(target));
        let (reachable, epoch) = (self.parts.health.load_full(), self.parts.ring.load().ring.epoch);
        let backlogs = self.parts.hints.backlogs();
        let targets: BTreeSet<StoreId> = backlogs.targets().map(|(target, _)| target).collect();
        self.looked_through.retain(|target, _| targets.contains(target));
        self.retries.retain(|target, _| targets.contains(target));
        for (target, backlog) in backlogs.targets() {
            let look = self.looked_through.get(&target);
            let is_due = reachable.binary_search(&target).is_ok()
                || look.is_none_or(|look| look.is_due_again(epoch, backlog.keys, now()));
            let may_be_tried = self.retries.get(&target).is_none_or(|retry| retry.at <= now());
            if is_due && may_be_tried && !self.deliveries.contains_key(&target) {
                self.deliveries.insert(target, Delivery::new(epoch, now(), self.patience()));
                self.scan(target, ctx);
            }
        }
        self.tell_missed(&reachable, ctx);
    }

    /// A target does not take what it is sent: it is left alone for a while.
    fn give_up(&mut self, target: StoreId, reason: String) {
        self.deliveries.remove(&target);
        let longest = Duration::from_millis(self.parts.config.node.hints.retry_max_ms);
        let retry = Retry::after(self.retries.get(&target), reason, now(), longest);
        self.retries.insert(target, retry);
    }

    /// Reads the next page for a target as soon as the pace allows it.
    fn go_on(&mut self, target: StoreId, ctx: &mut Context<Self>) {
        let wait = self.pace.wait(self.began.elapsed());
        if wait.is_zero() {
            return self.scan(target, ctx);
        }
        let patience = self.patience() + wait;
        if let Some(delivery) = self.deliveries.get_mut(&target) {
            delivery.patience = patience;
            ctx.run_later(wait, move |this, ctx| this.go_on(target, ctx));
        }
    }

    fn patience(&self) -> Moment {
        now() + Duration::from_millis(self.parts.config.node.timing.request_timeout_ms)
    }

    fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Reads the next page for a target.
    fn scan(&mut self, target: StoreId, ctx: &mut Context<Self>) {
        let (patience, id) = (self.patience(), self.next_number());
        let Some(delivery) = self.deliveries.get_mut(&target) else { return };
        let Some(replica) = self.parts.replicas.get(delivery.arbiter) else {
            if let Some(look) = delivery.ended(now()) {
                self.looked_through.insert(target, look);
            }
            self.deliveries.remove(&target);
            return;
        };
        delivery.patience = patience;
        self.scans.insert(id, target);
        let call = ReplicaCall::ScanHints { id, target, after: delivery.after.clone(), limit: PAGE };
        replica.do_send(ReplicaBatch { calls: vec![call], sink: Arc::new(ScanSink(ctx.address())) });
    }

    fn deliver(&mut self, target: StoreId, hints: Vec<HeldHint>, next: Option<Bytes>, ctx: &mut Context<Self>) {
        let node = &self.parts.config.node;
        let deadline_ms = node.reap.cut(node.timing.request_timeout()).as_millis() as u32;
        let (view, reachable) = (self.parts.ring.load_full(), self.parts.health.load_full());
        let (Some(delivery), Some(pool)) = (self.deliveries.get_mut(&target), &self.pool) else { return };
        if next.is_none() {
            delivery.arbiter += 1;
        }
        delivery.after = next;
        let mut messages: BTreeMap<StoreId, Vec<ToReplica>> = BTreeMap::new();
        let mut settled = vec![];
        for HeldHint { key, object, clock } in hints {
            let (to, is_redirected) = recipients(&view, self.parts.own, target, &key);
            if to.iter().any(|store| reachable.binary_search(store).is_err()) {
                // One whose target is merely down waits for that; one that goes to others is to be looked for again.
                delivery.leaves_some |= is_redirected;
                delivery.kept += u64::from(!is_redirected);
                continue;
            }
            let epoch = view.ring.since(view.ring.partition_of(&key));
            self.last += 1;
            let bytes = (key.name.len() + object.len()) as u64;
            self.pace.spend(bytes * to.len() as u64);
            let (id, waiting) = (self.last, Waiting { key, clock, bytes, to, is_redirected });
            if waiting.to.is_empty() {
                settled.push(waiting);
                continue;
            }
            for store in &waiting.to {
                let (id, key, object) = (Origin::Handoff.number(id), waiting.key.clone(), object.clone());
                let message = ToReplica::Store { id, epoch, deadline_ms, key, object, hint: None };
                messages.entry(*store).or_default().push(message);
            }
            delivery.waiting.insert(id, waiting);
        }
        let is_empty = messages.is_empty();
        for (to, messages) in messages {
            pool.do_send(PeerSend { to, messages });
        }
        self.settle(target, settled, ctx);
        if is_empty {
            self.go_on(target, ctx);
        }
    }

    /// These are durable wherever they belong.
    fn settle(&self, target: StoreId, settled: Vec<Waiting>, ctx: &mut Context<Self>) {
        let ring = self.parts.ring.load_full();
        let mut calls: BTreeMap<usize, Vec<ReplicaCall>> = BTreeMap::new();
        for Waiting { key, clock, is_redirected, .. } in settled {
            if is_redirected {
                self.parts.stats.count(Counter::HintsRedirected);
            }
            let arbiter = ring.ring.partition_of(&key).0 as usize % self.parts.replicas.len();
            calls.entry(arbiter).or_default().push(ReplicaCall::HandedOff { id: 0, key, target, clock });
        }
        for (arbiter, calls) in calls {
            self.parts.replicas[arbiter].do_send(ReplicaBatch { calls, sink: Arc::new(ScanSink(ctx.address())) });
        }
    }

    fn acknowledged(&mut self, from: StoreId, replies: Vec<ToCoordinator>, ctx: &mut Context<Self>) {
        let node = self.parts.ring.load().ring.node_of(from);
        let mut settled: BTreeMap<StoreId, Vec<Waiting>> = BTreeMap::new();
        let mut refused: BTreeMap<StoreId, String> = BTreeMap::new();
        for reply in replies {
            let (id, result) = match reply {
                ToCoordinator::Stored { id, result, .. } => (Origin::sequence(id), result),
                ToCoordinator::Failed { id, error } => (Origin::sequence(id), Err(error)),
                _ => continue,
            };
            if result.is_ok() && self.was_told(id, ctx) {
                continue;
            }
            let Some((target, delivery)) = self.deliveries.iter_mut().find(|(_, d)| d.waiting.contains_key(&id)) else {
                continue;
            };
            let settled = settled.entry(*target).or_default();
            match result {
                Ok(()) => {
                    self.retries.remove(target);
                    settled.extend(delivery.acknowledged(id, from));
                }
                Err(error) => {
                    delivery.waiting.remove(&id);
                    delivery.leaves_some = true;
                    refused.insert(*target, format!("node {node} did not take a hint: {error}"));
                }
            }
        }
        for (target, settled) in settled {
            self.settle(target, settled, ctx);
            if let Some(reason) = refused.remove(&target) {
                log::info!("{reason}");
                self.give_up(target, reason);
            } else if self.deliveries.get(&target).is_some_and(|delivery| delivery.waiting.is_empty()) {
                self.go_on(target, ctx);
            }
        }
    }
}

impl Actor for Handoff {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let interval = Duration::from_millis(self.parts.config.node.timing.handoff_interval_ms);
        ctx.run_interval(interval, |this, ctx| this.round(ctx));
    }
}

impl Handler<DeliverThrough> for Handoff {
    type Result = ();

    fn handle(&mut self, through: DeliverThrough, _: &mut Context<Self>) {
        self.pool = Some(through.0);
    }
}

impl Handler<Scanned> for Handoff {
    type Result = ();

    fn handle(&mut self, scanned: Scanned, ctx: &mut Context<Self>) {
        for reply in scanned.0 {
            if let ReplicaReply::Hints { id, hints, next } = reply
                && let Some(target) = self.scans.remove(&id)
            {
                self.deliver(target, hints, next, ctx);
            }
        }
    }
}

impl Handler<PeerEvent> for Handoff {
    type Result = ();

    fn handle(&mut self, event: PeerEvent, ctx: &mut Context<Self>) {
        match event {
            PeerEvent::Replies { from, replies } => self.acknowledged(from, replies, ctx),
            PeerEvent::Refused { from, .. } | PeerEvent::Lost { from } => {
                let node = self.parts.ring.load().ring.node_of(from);
                let cut = self.deliveries.iter().filter(|(_, delivery)| delivery.waits_for(from));
                let cut: Vec<StoreId> = cut.map(|(target, _)| *target).collect();
                cut.into_iter().for_each(|target| self.give_up(target, format!("the link to node {node} broke")));
            }
        }
    }
}
