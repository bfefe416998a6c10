//! The Coordinator: operations in flight.
//!
//! One per arbiter; a connection's calls all go to the one of its arbiter. Each operation is an entry in a `table` with a small
//! machine of [`crate::core::quorum`] in it. A message (calls, replies, a broken link, a due alarm) is handled without waiting:
//! the machines say what to do, `turn` gathers it over all messages that are in the mailbox and sends one batch per
//! destination. No future waits for a reply, so ten thousand operations cost a table and one timer.
//!
//! `reading` and `writing` start operations and translate a machine's actions; `forwarding` passes on what this node may not
//! coordinate; `moving` carries operations over from one ring to the next; `strict` refuses what needs a lease when there is
//! none; `failing` names and counts failures; `handlers` says which message leads where;
//! this file routes events to them.

mod failing;
mod forwarding;
mod handlers;
mod latency;
pub mod messages;
mod moving;
mod reading;
mod strict;
mod table;
mod turn;
mod writing;

use std::sync::Arc;

use actix::prelude::*;

use self::latency::Latencies;
use self::messages::{Call, Flush, LocalReplies};
use self::table::{Alarm, Ask, Asker, Head, OperationKind, Table};
use self::turn::Turn;
use super::connection_pool::ConnectionPool;
use super::disk::Gate;
use super::env::{Env, Moment, now};
use super::lease::Lease;
use super::replica::Replica;
use super::replica::messages::{ReplicaReply, ReplicaSink};
use super::stats::{Counter, Latency, Stats};
use super::view::{SharedHealth, SharedRing};
use crate::config::Config;
use crate::core::id::{Partition, StoreId};
use crate::core::request::{Answer, Failure, Operation};
use crate::wire::message::{ReplicaError, ToCoordinator};

/// What a Coordinator is made of.
#[derive(Clone)]
pub struct CoordinatorParts {
    /// This store.
    pub store: StoreId,
    /// Limits and timing.
    pub config: Arc<Config>,
    /// The ring.
    pub ring: SharedRing,
    /// Whom this arbiter's links reach.
    pub health: SharedHealth,
    /// Whether this store takes writes.
    pub gate: Arc<Gate>,
    /// Whether this node serves strict requests.
    pub lease: Lease,
    /// What it counts.
    pub stats: Arc<Stats>,
    /// Its surroundings.
    pub env: Env,
}

/// Operations in the table, answered ones included, for each call that may be in flight.
const IN_FLIGHT_FACTOR: usize = 4;

/// The actor.
pub struct Coordinator {
    parts: CoordinatorParts,
    /// The Replicas of this node, by arbiter.
    replicas: Arc<Vec<Addr<Replica>>>,
    pool: Addr<ConnectionPool>,
    sink: Arc<dyn ReplicaSink>,
    table: Table,
    latencies: Latencies,
    repairs: reading::RepairBudget,
    /// What the messages handled since the last flush lead to.
    gathered: Turn,
    timer: Option<(Moment, SpawnHandle)>,
    /// Told when the last operation is answered.
    drained: Option<tokio::sync::oneshot::Sender<()>>,
}

/// Brings a local Replica's answers back.
struct LocalSink(Addr<Coordinator>);

impl ReplicaSink for LocalSink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        self.0.do_send(LocalReplies(replies));
    }
}

impl Coordinator {
    /// A coordinator for one arbiter.
    pub fn new(
        parts: CoordinatorParts,
        replicas: Arc<Vec<Addr<Replica>>>,
        pool: Addr<ConnectionPool>,
        own: Addr<Coordinator>,
    ) -> Coordinator {
        let repairs = reading::RepairBudget::new(parts.config.node.timing.read_repair_bytes_per_s_max);
        Coordinator {
            parts,
            replicas,
            pool,
            sink: Arc::new(LocalSink(own)),
            table: Table::default(),
            latencies: Latencies::default(),
            repairs,
            gathered: Turn::default(),
            timer: None,
            drained: None,
        }
    }

    /// Handles one message: first what is overdue, then `work`. What follows is sent once the mailbox is empty, so that messages
    /// that came together lead to one batch.
    fn turn(&mut self, ctx: &mut Context<Self>, work: impl FnOnce(&mut Self, &mut Turn)) {
        let mut turn = std::mem::take(&mut self.gathered);
        let is_first = turn.is_empty();
        while let Some((id, alarm)) = self.table.due(now()) {
            self.ring_alarm(&mut turn, id, alarm);
        }
        work(self, &mut turn);
        if is_first && !turn.is_empty() {
            ctx.notify(Flush);
        }
        self.gathered = turn;
        self.wind(ctx);
        if self.drained.is_some() && self.table.unanswered() == 0 {
            self.drained.take().map(|done| done.send(()));
        }
    }

    /// Sets the one timer to the next alarm, if it is not set to ring before.
    fn wind(&mut self, ctx: &mut Context<Self>) {
        let Some(next) = self.table.next_alarm() else { return };
        if self.timer.as_ref().is_some_and(|(at, _)| *at <= next) {
            return;
        }
        if let Some((_, later)) = self.timer.take() {
            ctx.cancel_future(later);
        }
        let handle = ctx.run_later(next.saturating_duration_since(now()), |this, ctx| {
            this.timer = None;
            this.turn(ctx, |_, _| {});
        });
        self.timer = Some((next, handle));
    }

    fn begin(&mut self, turn: &mut Turn, call: Call) {
        let Call { id, request, caller, permit, arrived, deadline, forwarded } = call;
        let asker = Asker { id, caller, permit };
        let limits = &self.parts.config.node.limits;
        let checked = if self.drained.is_some() {
            Err(Failure::ShuttingDown)
        } else if self.table.len() >= IN_FLIGHT_FACTOR * limits.calls_in_flight_max as usize {
            // Answered operations still wait for slow replicas; that too has an end.
            Err(Failure::Overloaded { limit: "limits.calls_in_flight_max".into(), retry_after_ms: 100 })
        } else {
            limits.object.check_key(request.operation.key())
        };
        if let Err(failure) = checked {
            self.count_failure(&failure);
            return asker.answer(self.parts.ring.load().ring.epoch, Err(failure));
        }
        let is_read = matches!(request.operation, Operation::Get { .. });
        self.parts.stats.count(if is_read { Counter::Reads } else { Counter::Writes });
        let timeout = request.options.timeout_ms.map(|ms| std::time::Duration::from_millis(ms as u64));
        let deadline = timeout.map_or(deadline, |timeout| deadline.min(arrived + timeout));
        // What it reads or mints must not be sent any later.
        let deadline = deadline.min(arrived + self.parts.config.node.reap.grace().version_age_max());
        self.launch(turn, asker, arrived, deadline, Box::new(Ask { request, forwarded }));
    }

    /// Starts an operation by the present ring, or answers why not.
    fn launch(&mut self, turn: &mut Turn, asker: Asker, arrived: Moment, deadline: Moment, ask: Box<Ask>) {
        // Before the ring, which is then no older than the one that this vouches for.
        let term = self.parts.lease.term();
        let view = self.parts.ring.load_full();
        let key = ask.request.operation.key().clone();
        let route = view.route(view.ring.partition_of(&key)).clone();
        let head = Head { key, route, asker: None, arrived, deadline, sent: now() };
        let result = match ask.request.operation {
            Operation::Get { .. } => self.read(turn, &view, term, head, &ask.request.options),
            _ => self.write(turn, &view, term, head, ask),
        };
        match result {
            Ok(number) => match self.table.get(number) {
                Some(operation) => operation.head.asker = Some(asker),
                None => log::error!("operation {number} ended before it began"),
            },
            Err(failure) => {
                self.count_failure(&failure);
                asker.answer(view.ring.epoch, Err(failure));
            }
        }
    }

    fn ring_alarm(&mut self, turn: &mut Turn, id: u64, alarm: Alarm) {
        let Some(operation) = self.table.get(id) else { return };
        match (&mut operation.kind, alarm) {
            (OperationKind::Read(machine), Alarm::Hedge) => {
                let actions = machine.on_slow();
                if !actions.is_empty() {
                    self.parts.stats.count(Counter::Hedges);
                }
                self.act_read(turn, id, actions);
            }
            (OperationKind::Read(machine), Alarm::Deadline) => {
                let actions = machine.on_deadline();
                self.act_read(turn, id, actions);
                self.table.remove(id);
            }
            (OperationKind::Write { machine, .. }, Alarm::Deadline) => {
                let actions = machine.on_deadline();
                self.act_write(turn, id, actions);
                self.table.remove(id);
            }
            (OperationKind::Forward { .. } | OperationKind::Waiting { .. }, Alarm::Deadline) => {
                self.unminted_timed_out(id)
            }
            (_, Alarm::Hedge) => {}
        }
    }

    fn on_local(&mut self, turn: &mut Turn, reply: ReplicaReply) {
        let own = self.parts.store;
        match reply {
            ReplicaReply::Minted { id, object, context, siblings } => {
                self.on_minted(turn, id, object, context, siblings)
            }
            ReplicaReply::Refused { id, failure } => self.finish(id, Err(failure)),
            ReplicaReply::Stored { id, leased, result } => self.on_stored(turn, id, own, result, leased),
            ReplicaReply::Fetched { id, leased, result } => self.on_fetched(turn, id, own, result, leased),
            ReplicaReply::Failed { id, error } => self.on_failed(turn, id, own, error),
            ReplicaReply::Examined { .. }
            | ReplicaReply::Hints { .. }
            | ReplicaReply::Scanned { .. }
            | ReplicaReply::Leaves { .. }
            | ReplicaReply::Sums { .. }
            | ReplicaReply::Clocks { .. }
            | ReplicaReply::Page { .. }
            | ReplicaReply::Reap { .. }
            | ReplicaReply::Dropped { .. } => {}
        }
    }

    fn on_peer(&mut self, turn: &mut Turn, from: StoreId, reply: ToCoordinator) {
        match reply {
            ToCoordinator::Stored { id, leased, result } => self.on_stored(turn, id, from, result, leased),
            ToCoordinator::Fetched { id, leased, result } => self.on_fetched(turn, id, from, result, leased),
            ToCoordinator::Forwarded { id, result: Err(Failure::Moved { epoch }) } => {
                self.on_failed(turn, id, from, ReplicaError::Moved(epoch))
            }
            ToCoordinator::Forwarded { id, result } => self.finish(id, result),
            ToCoordinator::Failed { id, error } => self.on_failed(turn, id, from, error),
            ToCoordinator::Examined { .. }
            | ToCoordinator::Leaves { .. }
            | ToCoordinator::Sums { .. }
            | ToCoordinator::Scanned { .. }
            | ToCoordinator::Clocks { .. }
            | ToCoordinator::Page { .. }
            | ToCoordinator::Reap { .. }
            | ToCoordinator::Pong(_) => {}
        }
    }

    /// `from` will not do what operation `id` asked of it.
    fn on_failed(&mut self, turn: &mut Turn, id: u64, from: StoreId, error: ReplicaError) {
        log::debug!("operation {id}: store {from:?}: {error}");
        if let ReplicaError::Moved(since) = error
            && self.on_moved(turn, id, since)
        {
            return;
        }
        let Some(operation) = self.table.get(id) else { return };
        match &mut operation.kind {
            OperationKind::Read(machine) => {
                let actions = machine.on_failed(from);
                self.act_read(turn, id, actions);
            }
            OperationKind::Write { .. } => self.on_not_stored(turn, id, from, &error),
            // Only who says so has surely done nothing.
            OperationKind::Forward { to, .. } if *to == from && matches!(error, ReplicaError::Moved(_)) => {
                self.forward_elsewhere(turn, id, from, &error)
            }
            OperationKind::Forward { .. } | OperationKind::Waiting { .. } => {}
        }
    }

    /// The link to `from` is gone: whoever waits for it waits in vain.
    fn on_lost(&mut self, turn: &mut Turn, from: StoreId) {
        for id in self.table.ids() {
            match self.table.get(id).map(|operation| &operation.kind) {
                Some(OperationKind::Forward { to, .. }) if *to == from => {
                    let node = self.parts.ring.load().ring.node_of(from);
                    let reason = format!("node {node}, which coordinates the write, was lost before it answered");
                    self.finish(id, Err(Failure::OutcomeUnknown(reason)));
                }
                Some(_) => self.on_failed(turn, id, from, ReplicaError::Unreachable),
                None => {}
            }
        }
    }

    /// Answers an operation and ends it.
    fn finish(&mut self, id: u64, result: Result<Answer, Failure>) {
        self.answer(id, result);
        self.table.remove(id);
    }

    /// Answers an operation that may go on in the background.
    fn answer(&mut self, id: u64, result: Result<Answer, Failure>) {
        let Some(operation) = self.table.get(id) else { return };
        let Some(asker) = operation.head.asker.take() else { return };
        let took = operation.head.arrived.elapsed();
        let is_read = matches!(operation.kind, OperationKind::Read(_));
        self.parts.stats.measure(if is_read { Latency::Read } else { Latency::Write }, took);
        if let Err(failure) = &result {
            self.count_failure(failure);
        }
        asker.answer(self.parts.ring.load().ring.epoch, result);
    }

    /// Whom this arbiter can reach, itself included.
    fn live(&self) -> impl Fn(StoreId) -> bool + use<> {
        let (own, health) = (self.parts.store, self.parts.health.load_full());
        move |store| store == own || health.binary_search(&store).is_ok()
    }

    fn arbiter_of(&self, partition: Partition) -> usize {
        partition.0 as usize % self.replicas.len()
    }
}
