//! Writes: here if this store may mint the dot, else forwarded once to somebody who may.

use std::time::Duration;

use bytes::Bytes;

use super::failing::failure;
use super::reading::millis_left;
use super::table::{Head, Operation, OperationKind};
use super::{Coordinator, Turn};
use crate::core::bucket::Bucket;
use crate::core::id::StoreId;
use crate::core::quorum::Shortfall;
use crate::core::quorum::size::{QuorumSizes, write_sizes};
use crate::core::quorum::write::{WriteAction, WriteMachine};
use crate::core::request::{self, Answer, Failure, Kind, Request};
use crate::core::version::mint::Write;
use crate::core::version::{Context, Payload};
use crate::node::connection_pool::messages::Origin;
use crate::node::lease::Term;
use crate::node::replica::messages::ReplicaCall;
use crate::node::stats::Counter;
use crate::node::view::RingView;
use crate::wire::message::{ReplicaError, ToReplica};

impl Coordinator {
    pub(super) fn write(
        &mut self,
        turn: &mut Turn,
        view: &RingView,
        term: Term,
        head: Head,
        request: Request,
        forwarded: bool,
    ) -> Result<u64, Failure> {
        self.parts.stats.count(Counter::Writes);
        let bucket = view.buckets.get(&head.key.bucket);
        let sizes = write_sizes(&request.options, bucket, view.ring.replication)?;
        let write = self.write_of(&request, bucket)?;
        let order = view.order(view.ring.partition_of(&head.key));
        let others = self.other_coordinators(&order, sizes);
        if !forwarded && self.must_forward(&order, sizes, &others) {
            // Whoever coordinates it looks at a lease of its own.
            return self.forward(turn, head, request, others);
        }
        self.check_lease(view, term, sizes, Kind::Write)?;
        let live = self.live();
        let (machine, actions) = WriteMachine::start(sizes, order, self.parts.store, &live)
            .map_err(|short| failure(view, Kind::Write, short, Duration::ZERO))?;
        let hint = actions.iter().find_map(|action| match action {
            WriteAction::Mint { hint } => *hint,
            _ => None,
        });
        let id = self.table.number();
        let (key, arbiter) = (head.key.clone(), self.arbiter_of(view.ring.partition_of(&head.key)));
        turn.local(arbiter, ReplicaCall::Mint { id, key, write: Box::new(write), hint, expires: head.deadline });
        let kind = OperationKind::Write { machine, minted: None, object: Bytes::new() };
        self.table.insert(id, Operation { head, kind });
        Ok(id)
    }

    fn write_of(&self, request: &Request, bucket: &Bucket) -> Result<Write, Failure> {
        let now_ms = self.parts.env.wall_ms();
        let key = request.operation.key();
        let decode = |context: &Option<Bytes>| {
            let context = context.as_ref().map(|bytes| Context::decode(bytes, key));
            context.transpose().map_err(|bad| Failure::BadContext(bad.to_string()))
        };
        let write = |payload, context, blind, expires_ms| Write {
            payload,
            context,
            blind,
            conflict: bucket.conflict,
            expires_ms,
            now_ms,
        };
        match &request.operation {
            request::Operation::Put { value, context, ttl_ms, blind, .. } => {
                self.parts.config.node.limits.object.check_value(value)?;
                let expires_ms = ttl_ms.map(|ttl| now_ms.saturating_add(ttl));
                let blind = blind.unwrap_or(bucket.blind_write);
                Ok(write(Payload::Value(value.clone()), decode(context)?, blind, expires_ms))
            }
            request::Operation::Delete { context, .. } => {
                // A delete that covers nothing would delete nothing.
                let blind = crate::core::bucket::BlindWrite::Supersede;
                Ok(write(Payload::Tombstone, decode(context)?, blind, None))
            }
            request::Operation::Get { .. } => Err(Failure::Invalid("a read is no write".into())),
        }
    }

    /// Who else could mint: live owners, the quickest first; if there is none and the write is sloppy, live fallbacks.
    fn other_coordinators(&self, order: &[StoreId], sizes: QuorumSizes) -> Vec<StoreId> {
        let (own, live) = (self.parts.store, self.live());
        let (owners, rest) = order.split_at((sizes.n as usize).min(order.len()));
        let reachable = |stores: &[StoreId]| -> Vec<StoreId> {
            stores.iter().copied().filter(|&store| store != own && live(store)).collect()
        };
        let mut others = reachable(owners);
        others.sort_by_key(|&store| self.latencies.p50_us(store));
        if others.is_empty() && sizes.sloppy && !owners.contains(&own) {
            // This node is a fallback itself and may be the first of them: it only yields if it takes no writes.
            others = if self.parts.gate.is_open() { vec![] } else { reachable(rest) };
        }
        others
    }

    fn must_forward(&self, order: &[StoreId], sizes: QuorumSizes, others: &[StoreId]) -> bool {
        let owns = order.iter().take(sizes.n as usize).any(|&store| store == self.parts.store);
        let may_mint = owns && self.parts.gate.is_open();
        !may_mint && !others.is_empty()
    }

    fn forward(
        &mut self,
        turn: &mut Turn,
        head: Head,
        request: Request,
        mut others: Vec<StoreId>,
    ) -> Result<u64, Failure> {
        self.parts.stats.count(Counter::Forwards);
        let id = self.table.number();
        let to = others.remove(0);
        let kind = OperationKind::Forward { to, others, request: Box::new(request) };
        self.table.insert(id, Operation { head, kind });
        self.send_forward(turn, id);
        Ok(id)
    }

    fn send_forward(&mut self, turn: &mut Turn, id: u64) {
        let epoch = self.parts.ring.load().ring.epoch;
        let Some(Operation { head, kind: OperationKind::Forward { to, request, .. } }) = self.table.get(id) else {
            return;
        };
        let (id, deadline_ms) = (Origin::Coordinator.number(id), millis_left(head.deadline));
        turn.remote(*to, ToReplica::Forward { id, epoch, deadline_ms, request: (**request).clone() });
    }

    pub(super) fn forward_timed_out(&mut self, id: u64) {
        let view = self.parts.ring.load_full();
        let Some(Operation { head, kind: OperationKind::Forward { to, .. } }) = self.table.get(id) else { return };
        let short = Shortfall {
            needed: 1,
            got: 0,
            primaries_needed: 0,
            primaries_got: 0,
            missing: vec![*to],
            unleased: vec![],
            applied: true,
            timed_out: true,
        };
        let waited = head.arrived.elapsed();
        self.finish(id, Err(failure(&view, Kind::Write, short, waited)));
    }

    /// A message for operation `id` never left this node.
    pub(super) fn on_refused(&mut self, turn: &mut Turn, id: u64, from: StoreId, error: ReplicaError) {
        let Some(operation) = self.table.get(id) else { return };
        let OperationKind::Forward { to, others, .. } = &mut operation.kind else {
            return self.on_failed(turn, id, from, error);
        };
        if others.is_empty() {
            let node = self.parts.ring.load().ring.node_of(from);
            return self.finish(id, Err(Failure::Unavailable { node, reason: error.to_string() }));
        }
        *to = others.remove(0);
        self.send_forward(turn, id);
    }

    pub(super) fn on_minted(&mut self, turn: &mut Turn, id: u64, encoded: Bytes, context: Bytes, siblings: u32) {
        let Some(Operation { kind: OperationKind::Write { machine, minted, object }, .. }) = self.table.get(id) else {
            return;
        };
        (*minted, *object) = (Some((context, siblings)), encoded);
        let actions = machine.on_minted();
        self.act_write(turn, id, actions);
    }

    pub(super) fn on_stored(
        &mut self,
        turn: &mut Turn,
        id: u64,
        by: StoreId,
        result: Result<(), ReplicaError>,
        leased: bool,
    ) {
        if let Err(error) = result {
            return self.on_failed(turn, id, by, error);
        }
        let Some(Operation { kind: OperationKind::Write { machine, .. }, .. }) = self.table.get(id) else { return };
        let actions = machine.on_stored(by, leased);
        self.act_write(turn, id, actions);
    }

    /// `by` does not hold the write and will not.
    pub(super) fn on_not_stored(&mut self, turn: &mut Turn, id: u64, by: StoreId, error: &ReplicaError) {
        let live = self.live();
        let own = self.parts.store;
        let Some(Operation { kind: OperationKind::Write { machine, .. }, .. }) = self.table.get(id) else { return };
        if by == own && !machine.is_minted() {
            return self.not_minted(id, error);
        }
        let actions = machine.on_failed(by, &live);
        self.act_write(turn, id, actions);
    }

    /// This replica could not mint; there is no dot, so whoever asked may safely ask another node.
    fn not_minted(&mut self, id: u64, error: &ReplicaError) {
        let reason = error.to_string();
        let node = self.parts.ring.load().ring.node_of(self.parts.store);
        self.finish(id, Err(Failure::Unavailable { node, reason }));
    }

    pub(super) fn act_write(&mut self, turn: &mut Turn, id: u64, actions: Vec<WriteAction>) {
        let view = self.parts.ring.load_full();
        for action in actions {
            let Some(Operation { head, kind: OperationKind::Write { machine, minted, object } }) = self.table.get(id)
            else {
                return;
            };
            match action {
                WriteAction::Mint { .. } => {}
                WriteAction::Send { to, hint } => {
                    let message = ToReplica::Store {
                        id: Origin::Coordinator.number(id),
                        epoch: view.ring.epoch,
                        deadline_ms: millis_left(head.deadline),
                        key: head.key.clone(),
                        object: object.clone(),
                        hint,
                    };
                    turn.remote(to, message);
                }
                WriteAction::Answer(Ok(())) => {
                    let replicas = machine.holders().map(|store| view.ring.node_of(store)).collect();
                    let written = minted.as_ref().map(|(context, siblings)| Answer::Written {
                        context: context.clone(),
                        siblings: *siblings,
                        replicas,
                    });
                    let result = written.ok_or(Failure::OutcomeUnknown("counted before it was minted".into()));
                    let result = self.check_lease_again(id, Kind::Write).and(result);
                    self.answer(id, result);
                }
                WriteAction::Answer(Err(short)) => {
                    let waited = head.arrived.elapsed();
                    self.answer(id, Err(failure(&view, Kind::Write, short, waited)));
                }
            }
        }
        if let Some(Operation { kind: OperationKind::Write { machine, .. }, .. }) = self.table.get(id)
            && machine.is_done()
        {
            self.table.remove(id);
        }
    }
}
