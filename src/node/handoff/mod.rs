//! Handoff: delivers to returned owners what fallbacks kept for them.
//!
//! At an interval it looks for targets that are reachable and have hints waiting here. For each it reads a page of hints from each
//! Replica in turn, sends the copies, and has the Replica drop each one that the target acknowledged as durable, provided
//! that it is still the same version. Whatever goes wrong, the hint stays and the next round tries again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;

use super::connection_pool::ConnectionPool;
use super::connection_pool::messages::{Origin, PeerEvent, PeerSend};
use super::env::{Moment, now};
use super::replica::messages::{HeldHint, ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink};
use super::replica::{HintGauge, Replica};
use super::view::{SharedHealth, SharedRing};
use crate::config::Config;
use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::version::Clock;
use crate::wire::message::{ToCoordinator, ToReplica};

/// Hints delivered at once to one target.
const PAGE: usize = 64;

/// Answers of local Replicas.
#[derive(Message)]
#[rtype(result = "()")]
struct Scanned(Vec<ReplicaReply>);

/// What a Handoff is made of.
pub struct HandoffParts {
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
}

/// One target's delivery.
struct Delivery {
    /// The Replica whose hints are being delivered, and where in them.
    arbiter: usize,
    after: Option<Bytes>,
    /// Sent and not acknowledged.
    waiting: BTreeMap<u64, (Key, Clock)>,
    /// When to give this round up.
    patience: Moment,
}

/// The actor.
pub struct Handoff {
    parts: HandoffParts,
    /// Known once the pools are there.
    pool: Option<Addr<ConnectionPool>>,
    deliveries: BTreeMap<StoreId, Delivery>,
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
        Handoff { parts, pool: None, deliveries: BTreeMap::new(), last: 0 }
    }

    fn round(&mut self, ctx: &mut Context<Self>) {
        self.deliveries.retain(|_, delivery| delivery.patience > now());
        let reachable = self.parts.health.load_full();
        for (target, _) in self.parts.hints.targets() {
            if reachable.binary_search(&target).is_ok() && !self.deliveries.contains_key(&target) {
                let delivery =
                    Delivery { arbiter: 0, after: None, waiting: BTreeMap::new(), patience: self.patience() };
                self.deliveries.insert(target, delivery);
                self.scan(target, ctx);
            }
        }
    }

    fn patience(&self) -> Moment {
        now() + Duration::from_millis(self.parts.config.node.timing.request_timeout_ms)
    }

    /// Reads the next page for a target. The scan's number is the target's place in the ring.
    fn scan(&mut self, target: StoreId, ctx: &mut Context<Self>) {
        let patience = self.patience();
        let Some(delivery) = self.deliveries.get_mut(&target) else { return };
        let Some(replica) = self.parts.replicas.get(delivery.arbiter) else {
            self.deliveries.remove(&target);
            return;
        };
        delivery.patience = patience;
        let members = &self.parts.ring.load().ring;
        let Some(id) = members.members().iter().position(|m| m.store == target) else { return };
        let call = ReplicaCall::ScanHints { id: id as u64, target, after: delivery.after.clone(), limit: PAGE };
        replica.do_send(ReplicaBatch { calls: vec![call], sink: Arc::new(ScanSink(ctx.address())) });
    }

    fn deliver(&mut self, target: StoreId, hints: Vec<HeldHint>, next: Option<Bytes>, ctx: &mut Context<Self>) {
        let deadline_ms = self.parts.config.node.timing.request_timeout_ms as u32;
        let view = self.parts.ring.load_full();
        let (Some(delivery), Some(pool)) = (self.deliveries.get_mut(&target), &self.pool) else { return };
        if next.is_none() {
            delivery.arbiter += 1;
        }
        delivery.after = next;
        let mut messages = vec![];
        for HeldHint { key, object, clock } in hints {
            self.last += 1;
            delivery.waiting.insert(self.last, (key.clone(), clock));
            let epoch = view.ring.since(view.ring.partition_of(&key));
            let id = Origin::Handoff.number(self.last);
            messages.push(ToReplica::Store { id, epoch, deadline_ms, key, object, hint: None });
        }
        if messages.is_empty() {
            self.scan(target, ctx);
        } else {
            pool.do_send(PeerSend { to: target, messages });
        }
    }

    fn acknowledged(&mut self, target: StoreId, replies: Vec<ToCoordinator>, ctx: &mut Context<Self>) {
        let ring = self.parts.ring.load_full();
        let Some(delivery) = self.deliveries.get_mut(&target) else { return };
        let mut calls: BTreeMap<usize, Vec<ReplicaCall>> = BTreeMap::new();
        for reply in replies {
            let (id, result) = match reply {
                ToCoordinator::Stored { id, result, .. } => (id, result),
                ToCoordinator::Failed { id, error } => (id, Err(error)),
                _ => continue,
            };
            let Some((key, clock)) = delivery.waiting.remove(&Origin::sequence(id)) else { continue };
            match result {
                Ok(()) => {
                    let arbiter = ring.ring.partition_of(&key).0 as usize % self.parts.replicas.len();
                    calls.entry(arbiter).or_default().push(ReplicaCall::HandedOff { id: 0, key, target, clock });
                }
                Err(error) => log::info!("hint for node {} is kept: {error}", ring.ring.node_of(target)),
            }
        }
        let done = delivery.waiting.is_empty();
        for (arbiter, calls) in calls {
            self.parts.replicas[arbiter].do_send(ReplicaBatch { calls, sink: Arc::new(ScanSink(ctx.address())) });
        }
        if done {
            self.scan(target, ctx);
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
            if let ReplicaReply::Hints { id, hints, next } = reply {
                let target = self.parts.ring.load().ring.members().get(id as usize).map(|m| m.store);
                if let Some(target) = target {
                    self.deliver(target, hints, next, ctx);
                }
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
                self.deliveries.remove(&from);
            }
        }
    }
}
