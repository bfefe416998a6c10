//! Calls by a ring of another age: refused, or parked until the own ring is as new.
//!
//! What may be served is decided by [`crate::core::quorum::age`]; here it is asked for each call. A parked call waits until the ring is
//! published or its own time is over. How many wait is bounded as calls and bytes are elsewhere: beyond, a call is refused at once.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::prelude::*;

use super::messages::{ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink};
use super::{Replica, Turn};
use crate::core::id::{Epoch, Partition};
use crate::core::key::Key;
use crate::core::quorum::age::{Asked, Judgement, Known, Role};
use crate::core::ring::Ring;
use crate::node::env::{Moment, now};
use crate::node::ring_manager::RingChanged;
use crate::node::stats::Counter;
use crate::wire::message::ReplicaError;

/// Calls that wait for a newer ring.
#[derive(Default)]
pub(super) struct Parking {
    calls: VecDeque<(Arc<dyn ReplicaSink>, ReplicaCall)>,
    bytes: usize,
    /// When it is looked for those whose time is over.
    timer: Option<(Moment, SpawnHandle)>,
}

/// What a call says of the ring by which it was sent.
struct Aged<'a> {
    key: &'a Key,
    epoch: Epoch,
    asked: Asked,
    expires: Moment,
}

/// `None` for calls that are right by any ring.
fn aged(call: &ReplicaCall) -> Option<Aged<'_>> {
    let (key, epoch, asked, expires) = match call {
        ReplicaCall::Mint { key, epoch, expires, .. } => (key, *epoch, Asked::Mint, *expires),
        ReplicaCall::Store { key, epoch, hint: None, expires, .. } => (key, *epoch, Asked::Store, *expires),
        ReplicaCall::Store { key, epoch, hint: Some(_), expires, .. } => (key, *epoch, Asked::Hint, *expires),
        ReplicaCall::Fetch { key, epoch, reading, expires, .. } => (key, *epoch, Asked::Fetch(*reading), *expires),
        _ => return None,
    };
    Some(Aged { key, epoch, asked, expires })
}

fn weight(call: &ReplicaCall) -> usize {
    match call {
        ReplicaCall::Store { object, .. } => object.len(),
        _ => 0,
    }
}

impl Replica {
    /// The call, if it is to be served now.
    pub(super) fn admit(
        &mut self,
        turn: &mut Turn,
        call: ReplicaCall,
        sink: &Arc<dyn ReplicaSink>,
        ctx: &mut Context<Self>,
    ) -> Option<ReplicaCall> {
        let id = call.id();
        let error = match self.judge(&call) {
            Judgement::Serve => return Some(call),
            Judgement::Moved(since) => {
                self.count(Counter::ReplicaMoved);
                ReplicaError::Moved(since)
            }
            Judgement::Park => match self.park(call, sink, ctx) {
                Ok(()) => return None,
                Err(error) => error,
            },
        };
        turn.now.push(ReplicaReply::failed(id, error));
        None
    }

    fn judge(&self, call: &ReplicaCall) -> Judgement {
        let Some(Aged { key, epoch, asked, .. }) = aged(call) else { return Judgement::Serve };
        let view = self.parts.ring.load();
        self.known(&view.ring, view.ring.partition_of(key)).judge(epoch, asked)
    }

    fn known(&self, ring: &Ring, partition: Partition) -> Known {
        let slice = &ring.slices()[partition.0 as usize];
        let number = ring.members().binary_search_by_key(&self.parts.store, |member| member.store);
        let names = |members: &[u16]| number.is_ok_and(|number| members.contains(&(number as u16)));
        let role = if names(&slice.owners) || names(slice.others()) {
            Role::Owner
        } else if names(&slice.draining) {
            Role::Draining
        } else {
            Role::Stranger
        };
        Known { since: slice.since, in_motion: slice.motion.is_some(), role }
    }

    fn park(
        &mut self,
        call: ReplicaCall,
        sink: &Arc<dyn ReplicaSink>,
        ctx: &mut Context<Self>,
    ) -> Result<(), ReplicaError> {
        let limits = &self.parts.limits;
        let bytes = self.parking.bytes + weight(&call);
        if self.parking.calls.len() >= limits.calls_in_flight_max as usize {
            return Err(ReplicaError::Overloaded("limits.calls_in_flight_max".into()));
        }
        if bytes as u64 > limits.disk_queue_bytes_max {
            return Err(ReplicaError::Overloaded("limits.disk_queue_bytes_max".into()));
        }
        let expires = aged(&call).map_or(now(), |aged| aged.expires);
        // In its last moment already: the timer rings then.
        if now() >= expires {
            self.count(Counter::Late);
            return Err(ReplicaError::Late);
        }
        self.count(Counter::ReplicaParked);
        self.parking.bytes = bytes;
        self.parking.calls.push_back((sink.clone(), call));
        self.wind(expires, ctx);
        Ok(())
    }

    /// Sets the timer to when a parked call is late, if it is not set to ring before.
    fn wind(&mut self, expires: Moment, ctx: &mut Context<Self>) {
        if self.parking.timer.as_ref().is_some_and(|(at, _)| *at <= expires) {
            return;
        }
        if let Some((_, later)) = self.parking.timer.take() {
            ctx.cancel_future(later);
        }
        let handle = ctx.run_later(expires.saturating_duration_since(now()), |this, ctx| {
            this.parking.timer = None;
            this.replay(ctx);
        });
        self.parking.timer = Some((expires, handle));
    }

    /// Executes what is parked: what is served by the ring that is there now, or late, leaves; the rest is parked again.
    fn replay(&mut self, ctx: &mut Context<Self>) {
        let mut parked = std::mem::take(&mut self.parking.calls).into_iter().peekable();
        self.parking.bytes = 0;
        while let Some((sink, call)) = parked.next() {
            let mut calls = vec![call];
            while let Some((_, call)) = parked.next_if(|(next, _)| Arc::ptr_eq(next, &sink)) {
                calls.push(call);
            }
            self.execute(ReplicaBatch { calls, sink }, ctx);
        }
    }
}

impl Handler<RingChanged> for Replica {
    type Result = ();

    fn handle(&mut self, _: RingChanged, ctx: &mut Context<Self>) {
        self.replay(ctx);
    }
}

// Virtual time is the simulation's.
#[cfg(all(test, feature = "sim"))]
#[path = "parking_tests.rs"]
mod tests;
