//! One link: dial, greet, carry, notice when it is dead, dial again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::Recipient;
use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio::sync::oneshot;

use super::messages::{LinkEvent, Origin, PeerEvent};
use super::{PoolParts, Routes};
use crate::core::reap::Question;
use crate::core::ring::Member;
use crate::node::env::Moment;
use crate::node::outbox::{Outbox, Weigh};
use crate::wire::dial::dial;
use crate::wire::frame::{self, FrameLimits, FrameReader};
use crate::wire::handshake::{Hello, Role, Welcome};
use crate::wire::message::{ToCoordinator, ToReplica};
use crate::wire::net::Stream;

/// When the other side was last heard, in microseconds since the pool began plus one; zero for never.
#[derive(Debug, Default)]
pub(super) struct Heard(AtomicU64);

impl Heard {
    fn touch(&self, since: Moment) {
        self.0.store(since.elapsed().as_micros() as u64 + 1, Ordering::Relaxed);
    }

    /// How long ago; `None` if never.
    pub(super) fn ago(&self, since: Moment) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            at => Some(since.elapsed().saturating_sub(Duration::from_micros(at - 1))),
        }
    }
}

/// Keeps one link.
pub(super) struct Dialer {
    pub callee: Member,
    pub parts: PoolParts,
    pub routes: Arc<Routes>,
    pub pool: Recipient<LinkEvent>,
    pub heard: Arc<Heard>,
    pub started: Moment,
    pub rng: StdRng,
}

type Wire = (FrameReader<ReadHalf<Stream>>, WriteHalf<Stream>, u32);

impl Dialer {
    pub(super) async fn run(mut self) {
        let timing = self.parts.config.node.timing.clone();
        let mut pause_ms = timing.reconnect_min_ms;
        loop {
            let error = match self.dial().await {
                Ok(wire) => {
                    pause_ms = timing.reconnect_min_ms;
                    self.carry(wire).await
                }
                Err(error) => error,
            };
            self.pool.do_send(LinkEvent::Down { store: self.callee.store, reason: error.to_string() });
            let jittered = self.rng.random_range(pause_ms / 2..=pause_ms);
            tokio::time::sleep(Duration::from_millis(jittered)).await;
            pause_ms = (pause_ms * 2).min(timing.reconnect_max_ms);
        }
    }

    async fn dial(&self) -> io::Result<Wire> {
        let patience = Duration::from_millis(self.parts.config.node.timing.connect_timeout_ms);
        let role = Role::Peer {
            node: self.parts.config.node.id,
            cluster: self.parts.cluster,
            start: self.parts.start,
            callee: self.callee.store,
            arbiter: self.parts.arbiter as u16,
        };
        let hello = Hello::new(Some(self.parts.config.cluster.name.clone()), role);
        let (Welcome::Accepted { frame_bytes_max, .. }, stream) = dial(&self.callee.address, &hello, patience).await?
        else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it answers as to a coordination link"));
        };
        let (read, write) = split(stream);
        Ok((FrameReader::new(read, self.limits()), write, frame_bytes_max))
    }

    fn limits(&self) -> FrameLimits {
        let limits = &self.parts.config.node.limits;
        FrameLimits { frame_bytes_max: limits.frame_bytes_max, message_bytes_max: limits.message_bytes_max }
    }

    /// Carries calls and replies until something breaks; returns what.
    async fn carry(&self, (mut reader, mut write, frame_bytes_max): Wire) -> io::Error {
        let (attach, attached) = oneshot::channel();
        self.heard.touch(self.started);
        self.pool.do_send(LinkEvent::Up { store: self.callee.store, attach });
        let Ok(outbox) = attached.await else { return io::ErrorKind::ConnectionAborted.into() };
        let stall = Duration::from_millis(self.parts.config.node.timing.peer_timeout_ms);
        let result = tokio::select! {
            biased;
            result = self.receive(&mut reader) => result,
            result = outbox.write_to(&mut write, frame_bytes_max, stall) => result,
            error = self.heartbeat(&outbox) => Err(error),
        };
        outbox.close();
        result.err().unwrap_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the other node"))
    }

    async fn receive(&self, reader: &mut FrameReader<ReadHalf<Stream>>) -> io::Result<()> {
        let mut messages: Vec<Bytes> = vec![];
        while reader.read(&mut messages).await? {
            self.heard.touch(self.started);
            let mut replies: Vec<ToCoordinator> = vec![];
            for message in messages.drain(..) {
                replies.append(&mut frame::decode(&message)?);
            }
            replies.retain(|reply| !matches!(reply, ToCoordinator::Pong(_)));
            let from = self.callee.store;
            route(&self.routes, replies, ToCoordinator::id, |replies| PeerEvent::Replies { from, replies });
        }
        Ok(())
    }

    async fn heartbeat(&self, outbox: &Outbox<ToReplica>) -> io::Error {
        let timing = &self.parts.config.node.timing;
        let mut beats = tokio::time::interval(Duration::from_millis(timing.ping_interval_ms));
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut beat = 0;
        // Silence is counted in our own beats: a node that was stopped for a while must not blame the others for it.
        let patience = timing.peer_timeout_ms.div_ceil(timing.ping_interval_ms.max(1));
        let (mut silent, mut last_heard) = (0, None);
        loop {
            beats.tick().await;
            let heard = Some(self.heard.0.load(Ordering::Relaxed));
            silent = if heard == last_heard { silent + 1 } else { 0 };
            last_heard = heard;
            if silent >= patience {
                let message = format!("silent for {} ms", timing.peer_timeout_ms);
                return io::Error::new(io::ErrorKind::TimedOut, message);
            }
            beat += 1;
            // A full outbox needs no heartbeat: there is enough to answer.
            let _ = outbox.push(ToReplica::Ping(beat));
        }
    }
}

/// Sends what came back to whoever asked, in one message each.
pub(super) fn route<T>(routes: &Routes, items: Vec<T>, id: impl Fn(&T) -> u64, event: impl Fn(Vec<T>) -> PeerEvent) {
    let mut by_origin: std::collections::BTreeMap<Origin, Vec<T>> = Default::default();
    for item in items {
        if let Some(origin) = Origin::of(id(&item)) {
            by_origin.entry(origin).or_default().push(item);
        }
    }
    for (origin, items) in by_origin {
        if let Some(route) = routes.get(&origin) {
            route.do_send(event(items));
        }
    }
}

impl Weigh for ToReplica {
    fn weight(&self) -> usize {
        const OVERHEAD: usize = 64;
        OVERHEAD
            + match self {
                ToReplica::Store { key, object, .. } => key.name.len() + object.len(),
                ToReplica::Fetch { key, .. } | ToReplica::Examine { key, .. } => key.name.len(),
                ToReplica::Forward { request, .. } => request.weight(),
                ToReplica::Scan { scan, .. } => scan.prefix.len() + scan.after.as_ref().map_or(0, Bytes::len),
                ToReplica::Clocks { leaves, after, .. } => 4 * leaves.len() + after.as_ref().map_or(0, Bytes::len),
                ToReplica::Sums { nodes, .. } => size_of_val(&nodes[..]),
                ToReplica::Pull { after, .. } => after.as_ref().map_or(0, Bytes::len),
                ToReplica::Objects { keys, .. } => keys.iter().map(|key| size_of::<Bytes>() + key.len()).sum(),
                ToReplica::Reap { question, .. } => reap_weight(question),
                ToReplica::Leaves { .. } | ToReplica::Missed { .. } | ToReplica::Ping(_) => 0,
            }
    }

    /// Its receiver counts from the arrival. A version must not become older than it may by waiting here.
    fn waited(&mut self, waited: Duration) {
        let waited_ms = u32::try_from(waited.as_millis()).unwrap_or(u32::MAX);
        if let ToReplica::Store { deadline_ms, .. }
        | ToReplica::Fetch { deadline_ms, .. }
        | ToReplica::Forward { deadline_ms, .. }
        | ToReplica::Scan { deadline_ms, .. } = self
        {
            *deadline_ms = deadline_ms.saturating_sub(waited_ms);
        }
    }
}

fn reap_weight(question: &Question) -> usize {
    match question {
        Question::Look => 0,
        Question::Held(keys) => keys.iter().map(|key| size_of_val(key) + key.0.len()).sum(),
        Question::Remove(removals) => removals.iter().map(|removal| size_of_val(removal) + removal.stored.len()).sum(),
    }
}
