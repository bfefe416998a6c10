//! Telling owners that are back what could not be kept for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::prelude::*;

use super::{Handoff, ScanSink};
use crate::core::id::{Partition, StoreId};
use crate::node::connection_pool::messages::{Origin, PeerSend};
use crate::node::replica::messages::{ReplicaBatch, ReplicaCall};
use crate::wire::message::ToReplica;

/// Partitions of which a target is told at once.
const TOLD_AT_ONCE: usize = 64;

/// What was said and is not acknowledged.
pub(super) struct Told {
    target: StoreId,
    partition: Partition,
    count: u64,
}

/// By the number of the message.
pub(super) type Telling = BTreeMap<u64, Told>;

impl Handoff {
    /// Tells the targets that are reachable of the next partitions. Who owns one no more need not be told: who does has copied it.
    pub(super) fn tell_missed(&mut self, reachable: &[StoreId], ctx: &mut Context<Self>) {
        // What was not acknowledged by now is said again.
        self.telling.clear();
        let ring = self.parts.ring.load_full();
        for target in self.parts.missed.targets().into_keys() {
            let is_reachable = reachable.binary_search(&target).is_ok();
            let mut messages = vec![];
            for (partition, count) in self.parts.missed.of(target).into_iter().take(TOLD_AT_ONCE) {
                let told = Told { target, partition, count };
                if !ring.ring.owns(target, partition, u8::MAX) {
                    self.forget(told, ctx);
                } else if is_reachable {
                    self.last += 1;
                    messages.push(ToReplica::Missed { id: Origin::Handoff.number(self.last), partition });
                    self.telling.insert(self.last, told);
                }
            }
            if let (Some(pool), false) = (&self.pool, messages.is_empty()) {
                pool.do_send(PeerSend { to: target, messages });
            }
        }
    }

    /// A message was acknowledged; false if it was another's.
    pub(super) fn was_told(&mut self, id: u64, ctx: &mut Context<Self>) -> bool {
        let told = self.telling.remove(&id);
        let is_one = told.is_some();
        if let Some(told) = told {
            self.forget(told, ctx);
        }
        is_one
    }

    fn forget(&self, told: Told, ctx: &mut Context<Self>) {
        let Told { target, partition, count } = told;
        let replica = &self.parts.replicas[partition.0 as usize % self.parts.replicas.len()];
        let calls = vec![ReplicaCall::Told { id: 0, target, partition, count }];
        replica.do_send(ReplicaBatch { calls, sink: Arc::new(ScanSink(ctx.address())) });
    }
}
