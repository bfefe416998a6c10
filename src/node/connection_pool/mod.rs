//! The ConnectionPool: one multiplexed link to each other node, per arbiter.
//!
//! A link is a task of its own (`link`): it dials, greets, writes what its outbox holds, passes replies on in the batches in which
//! they came, sends heartbeats, and dials again with growing, jittered pauses. The pool keeps the outboxes, follows the ring,
//! and publishes who is reachable. What cannot be sent is refused at once, so that a coordinator turns to somebody
//! else without waiting.

mod link;
pub mod messages;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::prelude::*;

use self::messages::{LinkEvent, Origin, PeerEvent, PeerSend, PeersReported, ReportPeers};
use super::env::{Env, Moment, Purpose, now};
use super::outbox::{NotTaken, Outbox, OutboxLimits};
use super::ring_manager::RingChanged;
use super::stats::{Counter, Stats};
use super::view::{SharedHealth, SharedRing};
use crate::config::Config;
use crate::core::id::{ClusterId, NodeId, Start, StoreId};
use crate::core::ring::Member;
use crate::wire::message::{ReplicaError, ToReplica};
use crate::wire::report::PeerReport;

/// Who is told what comes back, by the origin in a call's number.
pub type Routes = BTreeMap<Origin, Recipient<PeerEvent>>;

/// What a ConnectionPool is made of.
#[derive(Clone)]
pub struct PoolParts {
    /// The cluster.
    pub cluster: ClusterId,
    /// This store, and which start of it.
    pub start: Start,
    /// Limits and timing.
    pub config: Arc<Config>,
    /// The ring.
    pub ring: SharedRing,
    /// Where to publish who is reachable.
    pub health: SharedHealth,
    /// What it counts.
    pub stats: Arc<Stats>,
    /// Its surroundings.
    pub env: Env,
    /// Which arbiter it serves.
    pub arbiter: usize,
}

struct Peer {
    outbox: Option<Arc<Outbox<ToReplica>>>,
    link: tokio::task::JoinHandle<()>,
    address: String,
    heard: Arc<link::Heard>,
    trouble: Option<String>,
}

/// The actor.
pub struct ConnectionPool {
    parts: PoolParts,
    routes: Arc<Routes>,
    peers: BTreeMap<StoreId, Peer>,
    started: Moment,
}

impl ConnectionPool {
    /// A pool; its links start with it.
    pub fn new(parts: PoolParts, routes: Routes) -> ConnectionPool {
        ConnectionPool { parts, routes: Arc::new(routes), peers: BTreeMap::new(), started: now() }
    }

    /// Links to whoever is in the ring, and to nobody else.
    fn follow_ring(&mut self, ctx: &mut Context<Self>) {
        let view = self.parts.ring.load_full();
        // A store that was replaced is served by nobody: at its address another one answers.
        let served = |member: &&Member| member.node != NodeId(0);
        let is_there = |store: StoreId, peer: &Peer| {
            view.ring.member(store).filter(served).is_some_and(|m| m.address == peer.address)
        };
        let gone: Vec<StoreId> =
            self.peers.iter().filter(|(store, peer)| !is_there(**store, peer)).map(|(store, _)| *store).collect();
        for store in gone {
            if let Some(peer) = self.peers.remove(&store) {
                peer.link.abort();
                self.lost(store);
            }
        }
        for member in view.ring.members().iter().filter(served) {
            if member.store == self.parts.start.store || self.peers.contains_key(&member.store) {
                continue;
            }
            let heard = Arc::new(link::Heard::default());
            let dialer = link::Dialer {
                callee: member.clone(),
                parts: self.parts.clone(),
                routes: self.routes.clone(),
                pool: ctx.address().recipient(),
                heard: heard.clone(),
                started: self.started,
                rng: self.parts.env.rng(member.store.0 as u64 ^ self.parts.arbiter as u64, Purpose::Reconnect),
            };
            let link = actix_rt::spawn(dialer.run());
            let peer = Peer { outbox: None, link, address: member.address.clone(), heard, trouble: None };
            self.peers.insert(member.store, peer);
        }
    }

    fn publish_health(&self) {
        let reachable = self.peers.iter().filter(|(_, peer)| peer.outbox.is_some()).map(|(store, _)| *store).collect();
        self.parts.health.store(Arc::new(reachable));
    }

    fn limits(&self) -> OutboxLimits {
        let limits = &self.parts.config.node.limits;
        OutboxLimits { messages: limits.link_queue_max as usize, bytes: limits.link_queue_bytes_max as usize }
    }

    /// Tells everybody who waits for this store that it will not answer.
    fn lost(&self, store: StoreId) {
        self.publish_health();
        self.routes.values().for_each(|route| route.do_send(PeerEvent::Lost { from: store }));
    }

    fn send(&self, to: StoreId, messages: Vec<ToReplica>) {
        let outbox = self.peers.get(&to).and_then(|peer| peer.outbox.as_deref());
        let mut refused = vec![];
        for message in messages {
            let sent = match outbox {
                Some(outbox) => outbox.push(message),
                None => Err((message, NotTaken::Closed)),
            };
            if let Err((message, reason)) = sent {
                let error = match reason {
                    NotTaken::Closed => ReplicaError::Unreachable,
                    NotTaken::Full => ReplicaError::Overloaded("limits.link_queue_max".into()),
                };
                refused.push((message.id(), error));
            }
        }
        link::route(&self.routes, refused, |(id, _)| *id, |refused| PeerEvent::Refused { from: to, refused });
    }

    fn report(&self) -> Vec<PeerReport> {
        let view = self.parts.ring.load();
        let report = |(store, peer): (&StoreId, &Peer)| PeerReport {
            node: view.ring.node_of(*store),
            address: peer.address.clone(),
            up: peer.outbox.is_some(),
            last_heard_ms: peer.heard.ago(self.started).map(|ago| ago.as_millis() as u64),
            latency_us: None,
            in_flight: peer.outbox.as_ref().map_or(0, |outbox| outbox.len() as u64),
            trouble: peer.trouble.clone(),
        };
        self.peers.iter().map(report).collect()
    }
}

impl Actor for ConnectionPool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.follow_ring(ctx);
    }
}

/// An actor may be stopped while its links go on: they end with it.
impl Drop for ConnectionPool {
    fn drop(&mut self) {
        self.peers.values().for_each(|peer| peer.link.abort());
    }
}

impl Handler<RingChanged> for ConnectionPool {
    type Result = ();

    fn handle(&mut self, _: RingChanged, ctx: &mut Context<Self>) {
        self.follow_ring(ctx);
    }
}

impl Handler<PeerSend> for ConnectionPool {
    type Result = ();

    fn handle(&mut self, send: PeerSend, _: &mut Context<Self>) {
        self.send(send.to, send.messages);
    }
}

impl Handler<LinkEvent> for ConnectionPool {
    type Result = ();

    fn handle(&mut self, event: LinkEvent, _: &mut Context<Self>) {
        let (limits, node) = (self.limits(), self.parts.config.node.id);
        match event {
            LinkEvent::Up { store, attach } => {
                let Some(peer) = self.peers.get_mut(&store) else { return };
                let outbox = Arc::new(Outbox::new(limits));
                log::info!("link to {} is up", peer.address);
                (peer.outbox, peer.trouble) = (Some(outbox.clone()), None);
                self.publish_health();
                // The link's task may be gone already; then the outbox goes with it.
                drop(attach.send(outbox));
            }
            LinkEvent::Down { store, reason } => {
                let Some(peer) = self.peers.get_mut(&store) else { return };
                if peer.trouble.as_ref() != Some(&reason) {
                    log::warn!("node {node}: no link to {}: {reason}", peer.address);
                }
                peer.trouble = Some(reason);
                if peer.outbox.take().is_some() {
                    self.parts.stats.count(Counter::LinksLost);
                    self.lost(store);
                }
            }
        }
    }
}

impl Handler<ReportPeers> for ConnectionPool {
    type Result = MessageResult<ReportPeers>;

    fn handle(&mut self, _: ReportPeers, _: &mut Context<Self>) -> Self::Result {
        MessageResult(PeersReported(self.report()))
    }
}
