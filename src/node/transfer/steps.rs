//! Executing the steps that works want.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::Mover;
use super::messages::OwnReplies;
use super::task::{Job, TaskId};
use crate::core::transfer::{Checkpoint, Drain, Drained, Progress, Whom};
use crate::node::replica::messages::{ReplicaReply, ReplicaSink};
use crate::node::stats::Counter;
use crate::node::work::{AsWork, Landed, LookedUp, Outcome, Stepped, Terms, weight};

struct OwnSink(Addr<Mover>);

impl ReplicaSink for OwnSink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        self.0.do_send(OwnReplies(replies));
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
            let Some(id) = self.works.turn(self.clock(), at_once_max) else { break };
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
        let paced = (!pace.is_zero()).then_some(now + pace);
        if let Some(next) = self.works.wakes_at(now).into_iter().chain(paced).min() {
            self.alarm = Some(ctx.run_later(next.saturating_sub(now), |this, ctx| {
                this.alarm = None;
                let landed = this.works.give_up(this.clock());
                this.landed(landed, ctx);
            }));
        }
    }

    /// Does what a task wants next.
    fn step(&mut self, id: TaskId, ctx: &mut Context<Self>) {
        let terms = Terms {
            patience: self.parts.config.node.timing.request_timeout(),
            version_age_max: self.parts.config.node.reap.grace().version_age_max(),
            page_bytes_max: self.parts.config.node.transfer.page_bytes_max,
        };
        match self.works.step(id, self.clock(), terms, Arc::new(OwnSink(ctx.address()))) {
            Stepped::UnderWay => {}
            Stepped::Complete => self.complete(id, ctx),
            Stepped::Landed(landed) => self.judge(landed, ctx),
        }
    }

    /// These steps are over; others may follow.
    pub(super) fn landed(&mut self, landed: Vec<Landed<TaskId>>, ctx: &mut Context<Self>) {
        landed.into_iter().for_each(|landed| self.judge(landed, ctx));
        self.go_on(ctx);
    }

    /// All calls of a step were answered, or failed.
    fn judge(&mut self, landed: Landed<TaskId>, ctx: &mut Context<Self>) {
        let (Landed { task: id, whom, began, outcome }, clock) = (landed, self.clock());
        self.busy.spend(clock.saturating_sub(began).as_micros() as u64);
        let view = self.parts.ring.load_full();
        let who = match whom {
            Whom::Own => "this node".to_string(),
            Whom::Peer(store) => format!("node {}", view.ring.node_of(store)),
        };
        let Some(task) = self.works.tasks.get_mut(&id) else { return };
        match outcome {
            Outcome::Answered(answer) => {
                self.pace.spend(weight(whom, &answer));
                let before = Tally::of(&task.job);
                let known = LookedUp { view: &view, hints: &self.parts.hints, engine: &*self.parts.engine };
                let checkpoint = task.job.work().answered(answer, &known);
                task.ends_step(clock);
                let after = Tally::of(&task.job);
                self.count(before, after);
                self.keep(id, checkpoint, ctx);
            }
            Outcome::Building(keys) => task.asks_again(clock, format!("{who} looks through its keys, {keys} so far")),
            Outcome::Failed(error) => {
                log::debug!("{id:?}: {who}: {error}");
                task.job.work().failed();
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
        let Some(task) = self.works.tasks.get(&id) else { return };
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
                    if let Some(task) = self.works.tasks.get_mut(&id) {
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
        self.works.tasks.remove(&id);
        self.look_soon(ctx);
    }
}
