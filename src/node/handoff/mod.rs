//! Handoff: delivers to returned owners what fallbacks kept for them.
//!
//! At an interval it looks for targets that are reachable and have hints waiting here. For each it reads a page of hints from each
//! Replica in turn, sends the copies, and has the Replica drop each one that the target acknowledged as durable, provided
//! that it is still the same version. Whatever goes wrong, the hint stays and the next round tries again.
//!
//! A target may have lost its place of a key to others meanwhile, or be no member any more. Then the copy goes to all who have a
//! place of it now, and is dropped when all of them have acknowledged it. To find such hints, those of a target that is not
//! reachable are looked through once for each ring.

mod delivery;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;

use self::delivery::{Delivery, Waiting, recipients};
use super::connection_pool::ConnectionPool;
use super::connection_pool::messages::{Origin, PeerEvent, PeerSend};
use super::env::{Moment, now};
use super::replica::messages::{HeldHint, ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink};
use super::replica::{HintGauge, Replica};
use super::stats::{Counter, Stats};
use super::view::{SharedHealth, SharedRing};
use crate::config::Config;
use crate::core::id::{Epoch, StoreId};
use crate::wire::message::{ToCoordinator, ToReplica};

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
    /// Who holds it.
    pub replicas: Arc<Vec<Addr<Replica>>>,
    /// What it counts.
    pub stats: Arc<Stats>,
}

/// The actor.
pub struct Handoff {
    parts: HandoffParts,
    /// Known once the pools are there.
    pool: Option<Addr<ConnectionPool>>,
    deliveries: BTreeMap<StoreId, Delivery>,
    /// By which ring all hints of a target were last looked through without leaving any that goes to others.
    looked_through: BTreeMap<StoreId, Epoch>,
    /// The targets of the pages that are being read.
    scans: BTreeMap<u64, StoreId>,
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
        let (deliveries, looked_through, scans) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Handoff { parts, pool: None, deliveries, looked_through, scans, last: 0 }
    }

    fn round(&mut self, ctx: &mut Context<Self>) {
        self.deliveries.retain(|_, delivery| delivery.patience > now());
        let deliveries = &self.deliveries;
        self.scans.retain(|_, target| deliveries.contains_key(target));
        let (reachable, epoch) = (self.parts.health.load_full(), self.parts.ring.load().ring.epoch);
        let targets = self.parts.hints.targets();
        self.looked_through.retain(|target, _| targets.iter().any(|(other, _)| other == target));
        for (target, _) in targets {
            let is_due =
                reachable.binary_search(&target).is_ok() || self.looked_through.get(&target).is_none_or(|e| *e < epoch);
            if is_due && !self.deliveries.contains_key(&target) {
                self.deliveries.insert(target, Delivery::new(self.patience()));
                self.scan(target, ctx);
            }
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
            if !delivery.leaves_some {
                self.looked_through.insert(target, self.parts.ring.load().ring.epoch);
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
        let deadline_ms = self.parts.config.node.timing.request_timeout_ms as u32;
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
                continue;
            }
            let epoch = view.ring.since(view.ring.partition_of(&key));
            self.last += 1;
            let (id, waiting) = (self.last, Waiting { key, clock, to, is_redirected });
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
            self.scan(target, ctx);
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
        for reply in replies {
            let (id, result) = match reply {
                ToCoordinator::Stored { id, result, .. } => (Origin::sequence(id), result),
                ToCoordinator::Failed { id, error } => (Origin::sequence(id), Err(error)),
                _ => continue,
            };
            let Some((target, delivery)) = self.deliveries.iter_mut().find(|(_, d)| d.waiting.contains_key(&id)) else {
                continue;
            };
            let settled = settled.entry(*target).or_default();
            match result {
                Ok(()) => settled.extend(delivery.acknowledged(id, from)),
                Err(error) => {
                    log::info!("a hint that node {node} was to get is kept: {error}");
                    delivery.waiting.remove(&id);
                    delivery.leaves_some = true;
                }
            }
        }
        for (target, settled) in settled {
            self.settle(target, settled, ctx);
            if self.deliveries.get(&target).is_some_and(|delivery| delivery.waiting.is_empty()) {
                self.scan(target, ctx);
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
                self.deliveries.retain(|_, delivery| !delivery.waits_for(from));
            }
        }
    }
}
