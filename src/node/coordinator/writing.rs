//! Writes that this node coordinates: minting, sending, answering.

use std::time::Duration;

use bytes::Bytes;

use super::failing::failure;
use super::forwarding::Coordinates;
use super::reading::millis_left;
use super::table::{Ask, Head, Operation, OperationKind};
use super::{Coordinator, Turn};
use crate::core::bucket::Bucket;
use crate::core::id::StoreId;
use crate::core::quorum::size::write_sizes;
use crate::core::quorum::write::{WriteAction, WriteMachine};
use crate::core::request::{self, Answer, Failure, Kind, Request};
use crate::core::version::mint::Write;
use crate::core::version::{Context, Payload};
use crate::node::connection_pool::messages::Origin;
use crate::node::lease::Term;
use crate::node::replica::messages::ReplicaCall;
use crate::node::view::RingView;
use crate::wire::message::{ReplicaError, ToReplica};

impl Coordinator {
    pub(super) fn write(
        &mut self,
        turn: &mut Turn,
        view: &RingView,
        term: Term,
        head: Head,
        ask: Box<Ask>,
    ) -> Result<u64, Failure> {
        let bucket = view.buckets.get(&head.key.bucket);
        let sizes = write_sizes(&ask.request.options, bucket, view.ring.replication)?;
        let write = self.write_of(&ask.request, bucket)?;
        match self.who_coordinates(&head.route, sizes, ask.forwarded)? {
            Coordinates::Here => {}
            // Whoever coordinates it looks at a lease of its own.
            Coordinates::Another(others) => return Ok(self.forward(turn, head, ask, others)),
            Coordinates::ByRing(until) => return Ok(self.wait(head, ask, until)),
        }
        self.check_lease(view, term, sizes, Kind::Write)?;
        let live = self.live();
        let (machine, actions) = WriteMachine::start(sizes, head.route.clone(), self.parts.store, &live)
            .map_err(|short| failure(view, Kind::Write, short, Duration::ZERO))?;
        let hint = actions.iter().find_map(|action| match action {
            WriteAction::Mint { hint } => *hint,
            _ => None,
        });
        let id = self.table.number();
        let (arbiter, epoch) = (self.arbiter_of(head.route.partition), head.route.since);
        let (key, write, expires) = (head.key.clone(), Box::new(write), head.deadline);
        turn.local(arbiter, ReplicaCall::Mint { id, epoch, key, write, hint, expires });
        let kind = OperationKind::Write { machine, ask: Some(ask), minted: None, object: Bytes::new() };
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

    pub(super) fn on_minted(&mut self, turn: &mut Turn, id: u64, encoded: Bytes, context: Bytes, siblings: u32) {
        let Some(operation) = self.table.get(id) else { return };
        let OperationKind::Write { machine, ask, minted, object } = &mut operation.kind else { return };
        (*minted, *object, *ask) = (Some((context, siblings)), encoded, None);
        let actions = machine.on_minted();
        // By an older ring nothing is sent any more.
        if !self.rebase(turn, id) {
            self.act_write(turn, id, actions);
        }
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
        let (own, arbiters, view) = (self.parts.store, self.replicas.len(), self.parts.ring.load_full());
        for action in actions {
            let Some(Operation { head, kind: OperationKind::Write { machine, minted, object, .. } }) =
                self.table.get(id)
            else {
                return;
            };
            match action {
                WriteAction::Mint { .. } => {}
                WriteAction::Send { to, hint } => {
                    let (key, epoch, object) = (head.key.clone(), head.route.since, object.clone());
                    if to == own {
                        // After a change of the ring its own copy counts like any other.
                        let expires = head.deadline;
                        let arbiter = head.route.partition.0 as usize % arbiters;
                        turn.local(arbiter, ReplicaCall::Store { id, epoch, key, object, hint, expires });
                    } else {
                        let (id, deadline_ms) = (Origin::Coordinator.number(id), millis_left(head.deadline));
                        turn.remote(to, ToReplica::Store { id, epoch, deadline_ms, key, object, hint });
                    }
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
