//! Executing the steps that works want.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;

use super::Mover;
use super::flight::{self, Came, Envelope, Flight, Outcome};
use super::messages::OwnReplies;
use super::task::{Job, TaskId};
use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::transfer::{Answer, Checkpoint, Drain, Drained, Known, Progress, Step, Whom, turn};
use crate::node::connection_pool::messages::{Origin, PeerSend};
use crate::node::drain;
use crate::node::env::now;
use crate::node::replica::HintGauge;
use crate::node::replica::messages::{ReplicaBatch, ReplicaReply, ReplicaSink};
use crate::node::stats::Counter;
use crate::node::view::RingView;
use crate::storage::Engine;
use crate::wire::message::ReplicaError;

struct OwnSink(Addr<Mover>);

impl ReplicaSink for OwnSink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        self.0.do_send(OwnReplies(replies));
    }
}

/// What works look up.
struct LookedUp<'a> {
    view: &'a RingView,
    hints: &'a HintGauge,
    engine: &'a dyn Engine,
}

impl Known for LookedUp<'_> {
    fn replicas(&self, key: &Key) -> usize {
        self.view.buckets.get(&key.bucket).n.unwrap_or(self.view.ring.replication).into()
    }

    fn is_hinted(&self, stored: &Bytes) -> bool {
        let targets = self.hints.targets();
        // What cannot be read may be a hint.
        drain::is_hinted(self.engine, stored, &targets).unwrap_or(true)
    }
}

/// What a task has done, for the counters.
enum Tally {
    Transfer(Progress),
    Drain(Drained),
}

impl Tally {
    fn of(job: &Job) -> Tally {
        match job {
            Job::Transfer(transfer) => Tally::Transfer(transfer.progress()),
            Job::Drain(drain) => Tally::Drain(drain.drained()),
        }
    }
}

impl Mover {
    /// Begins as many steps as may be under way now, and sees to it that it looks again when the next one may begin.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
        let at_once_max = self.parts.config.node.transfer.at_once_max as usize;
        let mut wait = self.wait();
        while wait.is_zero() {
            let candidates = self.tasks.values().filter_map(|task| task.candidate());
            let busy = self.tasks.values().filter_map(|task| task.busy());
            let Some(id) = turn(self.clock(), candidates, busy, at_once_max) else { break };
            self.step(id, ctx);
            wait = self.wait();
        }
        self.set_alarm(wait, ctx);
    }

    /// How long nothing may begin.
    fn wait(&mut self) -> Duration {
        let clock = self.clock();
        self.pace.wait(clock).max(self.busy.wait(clock))
    }

    fn set_alarm(&mut self, pace: Duration, ctx: &mut Context<Self>) {
        if let Some(alarm) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        let now = self.clock();
        let wakes = self.tasks.values().filter_map(|task| task.wakes_at()).filter(|at| *at > now);
        let deadlines = self.flights.values().map(|flight| flight.deadline);
        let paced = (!pace.is_zero()).then_some(now + pace);
        if let Some(next) = wakes.chain(deadlines).chain(paced).min() {
            self.alarm = Some(ctx.run_later(next.saturating_sub(now), |this, ctx| {
                this.alarm = None;
                this.give_up(ctx);
                this.go_on(ctx);
            }));
        }
    }

    /// Does what a task wants next.
    fn step(&mut self, id: TaskId, ctx: &mut Context<Self>) {
        let clock = self.clock();
        let (timing, reap) = (&self.parts.config.node.timing, &self.parts.config.node.reap);
        let version_age_max = reap.grace().version_age_max();
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let mut step = task.work().next();
        let mut patience = timing.request_timeout();
        match &step {
            Step::Ask(..) => task.read_at = clock,
            // What has waited for its turn too long is read again: what it was read from may have been reaped.
            Step::Store(..) if clock >= task.read_at + version_age_max => {
                task.work().failed();
                (step, task.read_at) = (task.work().next(), clock);
            }
            Step::Store(..) => patience = patience.min(task.read_at + version_age_max - clock),
            Step::Drop(_) | Step::Done => {}
        }
        let whom = match step {
            Step::Done => return self.complete(id, ctx),
            Step::Ask(whom, _) | Step::Store(whom, _) => whom,
            Step::Drop(_) => Whom::Own,
        };
        task.begins_step(clock);
        let envelope = Envelope {
            partition: id.partition(),
            since: id.since(),
            page_bytes_max: self.parts.config.node.transfer.page_bytes_max,
            deadline_ms: patience.as_millis() as u32,
            expires: now() + patience,
        };
        let first = self.last + 1;
        let last = &mut self.last;
        let mut number = || {
            *last += 1;
            Origin::Transfer.number(*last)
        };
        let wanted = step.clone();
        let empty = match whom {
            Whom::Own => {
                let calls = flight::to_own(step, envelope, &mut number);
                let empty = calls.is_empty();
                let replica = &self.parts.replicas[id.partition().0 as usize % self.parts.replicas.len()];
                replica.do_send(ReplicaBatch { calls, sink: Arc::new(OwnSink(ctx.address())) });
                empty
            }
            Whom::Peer(to) => {
                let messages = flight::to_peer(step, envelope, &mut number);
                let empty = messages.is_empty();
                if let Some(pool) = &self.pool {
                    pool.do_send(PeerSend { to, messages });
                }
                empty
            }
        };
        let calls = (first..=self.last).map(|sequence| Origin::Transfer.number(sequence)).collect();
        let flight = Flight::new(id, whom, clock, patience, wanted, calls);
        self.calls.extend(flight.waiting().iter().map(|call| (*call, first)));
        self.flights.insert(first, flight);
        if empty {
            self.landed(first, ctx);
        }
    }

    /// One call was answered, or failed.
    pub(super) fn came(&mut self, whom: Whom, id: u64, came: Came, ctx: &mut Context<Self>) {
        let Some(number) = self.calls.get(&id).copied() else { return };
        let Some(flight) = self.flights.get_mut(&number).filter(|flight| flight.whom == whom) else { return };
        self.calls.remove(&id);
        if flight.came(id, came) {
            self.landed(number, ctx);
        }
    }

    /// Nothing that was asked of this store will be answered.
    pub(super) fn lost(&mut self, store: StoreId, ctx: &mut Context<Self>) {
        let theirs = |flight: &Flight| flight.whom == Whom::Peer(store);
        self.fail(theirs, ReplicaError::Unreachable, ctx);
    }

    /// Gives up what has not been answered in time.
    fn give_up(&mut self, ctx: &mut Context<Self>) {
        let clock = self.clock();
        self.fail(|flight| flight.deadline <= clock, ReplicaError::Late, ctx);
    }

    fn fail(&mut self, which: impl Fn(&Flight) -> bool, error: ReplicaError, ctx: &mut Context<Self>) {
        let failed: Vec<u64> = self.flights.iter().filter(|(_, flight)| which(flight)).map(|(n, _)| *n).collect();
        for number in failed {
            let calls = self.flights.get(&number).map(|flight| flight.waiting().clone()).unwrap_or_default();
            for call in calls {
                let whom = self.flights.get(&number).map_or(Whom::Own, |flight| flight.whom);
                self.came(whom, call, Came::Failed(error.clone()), ctx);
            }
        }
    }

    /// All calls of a step were answered, or failed.
    fn landed(&mut self, number: u64, ctx: &mut Context<Self>) {
        let Some(flight) = self.flights.remove(&number) else { return };
        let (id, whom, clock) = (flight.task, flight.whom, self.clock());
        self.busy.spend(clock.saturating_sub(flight.begun).as_micros() as u64);
        let view = self.parts.ring.load_full();
        let who = match whom {
            Whom::Own => "this node".to_string(),
            Whom::Peer(store) => format!("node {}", view.ring.node_of(store)),
        };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match flight.outcome() {
            Outcome::Answered(answer) => {
                self.pace.spend(weight(whom, &answer));
                let before = Tally::of(&task.job);
                let known = LookedUp { view: &view, hints: &self.parts.hints, engine: &*self.parts.engine };
                let checkpoint = task.work().answered(answer, &known);
                task.ends_step(clock);
                let after = Tally::of(&task.job);
                self.count(before, after);
                self.keep(id, checkpoint, ctx);
            }
            Outcome::Building(keys) => task.asks_again(clock, format!("{who} looks through its keys, {keys} so far")),
            Outcome::Failed(error) => {
                log::debug!("{id:?}: {who}: {error}");
                task.work().failed();
                task.repeats_step(clock, format!("{who}: {error}"));
            }
        }
    }

    fn keep(&mut self, id: TaskId, checkpoint: Option<Checkpoint>, ctx: &mut Context<Self>) {
        if let (TaskId::Transfer(id), Some(checkpoint)) = (id, checkpoint) {
            self.checkpoints.keep(id, checkpoint, ctx.address().recipient());
        }
    }

    /// Counts what was done. What was sent to others counts against the pace as what came does.
    fn count(&mut self, before: Tally, after: Tally) {
        let stats = &self.parts.stats;
        match (before, after) {
            (Tally::Transfer(before), Tally::Transfer(after)) => {
                stats.add(Counter::TransferKeys, after.keys - before.keys);
                stats.add(Counter::TransferBytes, after.bytes - before.bytes);
                stats.add(Counter::TransferUnreadable, after.unreadable - before.unreadable);
            }
            (Tally::Drain(before), Tally::Drain(after)) => {
                stats.add(Counter::DrainDropped, after.dropped - before.dropped);
                stats.add(Counter::DrainSentBytes, after.sent_bytes - before.sent_bytes);
                self.pace.spend(after.sent_bytes - before.sent_bytes);
            }
            _ => {}
        }
    }

    /// A task has come to its end.
    fn complete(&mut self, id: TaskId, ctx: &mut Context<Self>) {
        let clock = self.clock();
        let Some(task) = self.tasks.get(&id) else { return };
        match (id, &task.job) {
            (TaskId::Transfer(id), Job::Transfer(transfer)) => {
                let from = self.parts.ring.load().ring.node_of(id.source);
                self.finished.extend(task.report_transfer(from, clock, None).map(|report| (id, report)));
                let Progress { keys, bytes, unreadable, .. } = transfer.progress();
                log::info!("partition {} has arrived from {}: {keys} keys, {bytes} bytes", id.partition, id.source);
                if unreadable > 0 {
                    log::error!("of partition {}, no owner could read {unreadable} keys", id.partition);
                }
                self.parts.stats.count(Counter::Transfers);
                self.done.entry((id.partition, id.since)).or_default().insert(id.source);
            }
            (TaskId::Drain(aged), Job::Drain(drain)) => {
                let drained = drain.drained();
                let to = self.agenda.draining.get(&aged);
                if !drained.is_empty()
                    && let Some(to) = to
                {
                    let Drained { hinted, changed, orphaned, .. } = drained;
                    let reason = match orphaned {
                        0 => format!("{hinted} keys are kept for others, {changed} changed"),
                        _ => format!("{orphaned} keys have no owner left that could take them"),
                    };
                    let again = Job::Drain(
                        Drain::new(aged.0, &to.slice, &to.lost, self.parts.ring.load().ring.partitions()).into(),
                    );
                    if let Some(task) = self.tasks.get_mut(&id) {
                        task.begins_again(again, clock, reason);
                    }
                    return;
                }
                if drained.unreadable > 0 {
                    log::error!("of partition {}, {} keys cannot be read and stay here", aged.0, drained.unreadable);
                }
                self.found.remove(&aged.0);
                self.drained.insert(aged);
            }
            _ => {}
        }
        self.tasks.remove(&id);
        self.look_soon(ctx);
    }
}

/// Bytes that came from another store.
fn weight(whom: Whom, answer: &Answer) -> u64 {
    /// Of a version, beside its key.
    const CLOCK_BYTES: usize = 20;
    let bytes: usize = match (whom, answer) {
        (Whom::Own, _) | (_, Answer::Stored | Answer::Dropped { .. }) => 0,
        (_, Answer::Holding(holding)) => holding.leaves.bytes(),
        (_, Answer::Versions(page)) => page.clocks.iter().map(|(key, _)| key.len() + CLOCK_BYTES).sum(),
        (_, Answer::Objects(page)) => page.objects.iter().map(|(key, object)| key.name.len() + object.len()).sum(),
    };
    bytes as u64
}
