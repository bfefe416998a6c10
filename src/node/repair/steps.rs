//! Carrying exchanges out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::Repairer;
use super::job::{ExchangeId, Job};
use super::messages::OwnReplies;
use crate::core::repair::{Cause, Due, Exchange, Exchanged, PairId};
use crate::core::transfer::Whom;
use crate::node::replica::messages::{ReplicaReply, ReplicaSink};
use crate::node::stats::Counter;
use crate::node::work::{AsWork, Landed, LookedUp, Outcome, Stepped, Task, Terms, weight};

/// Bytes of objects asked for at once.
const PAGE_BYTES_MAX: u32 = 1 << 20;

pub(super) struct OwnSink(pub Addr<Repairer>);

impl ReplicaSink for OwnSink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        self.0.do_send(OwnReplies(replies));
    }
}

impl Repairer {
    /// Begins as much as may be under way now, and sees to it that it looks again when more may begin.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
        let at_once_max = self.config().at_once_max as usize;
        let mut wait = self.throttle.wait(self.clock());
        while wait.is_zero() {
            self.begin(at_once_max);
            let Some(id) = self.works.turn(self.clock(), at_once_max) else { break };
            self.step(id, ctx);
            wait = self.throttle.wait(self.clock());
        }
        self.set_alarm(wait, ctx);
    }

    /// Begins exchanges that are due, as many as there is room for.
    fn begin(&mut self, at_once_max: usize) {
        while self.works.tasks.len() < at_once_max {
            let (clock, at_least) = (self.clock(), self.at_least());
            let busy: BTreeSet<PairId> = self.works.tasks.keys().map(|id| (id.partition, id.peer)).collect();
            let Some(due) = self.schedule.next(clock, at_least, &busy) else { return };
            let asked = self.run.as_ref().filter(|_| due.cause == Cause::Asked);
            let bucket = asked.and_then(|run| run.bucket.clone());
            let is_in_part = bucket.is_some();
            let exchange = Box::new(Exchange::new(due.id.1, due.pair.place, bucket));
            let id = ExchangeId::of(&due);
            self.works.tasks.insert(id, Task::new(id, Job { exchange, due, is_in_part }, clock));
        }
    }

    fn set_alarm(&mut self, throttle: Duration, ctx: &mut Context<Self>) {
        if let Some(alarm) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        let now = self.clock();
        let paced = (!throttle.is_zero()).then_some(now + throttle);
        if let Some(next) = self.works.wakes_at(now).into_iter().chain(paced).min() {
            self.alarm = Some(ctx.run_later(next.saturating_sub(now), |this, ctx| {
                this.alarm = None;
                let landed = this.works.give_up(this.clock());
                this.landed(landed, ctx);
            }));
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.parts.config.node.timing.request_timeout_ms)
    }

    /// Does what an exchange wants next, unless it is too old.
    fn step(&mut self, id: ExchangeId, ctx: &mut Context<Self>) {
        let (clock, patience) = (self.clock(), self.patience());
        if self.works.tasks.get(&id).is_some_and(|task| task.is_stale(clock, self.parts.session_max, patience)) {
            log::info!("the exchange of partition {} began long ago; it begins again", id.partition);
            self.works.retain(|other, _| *other != id);
            return;
        }
        let terms = Terms { patience, version_age_max: self.parts.session_max, page_bytes_max: PAGE_BYTES_MAX };
        match self.works.step(id, clock, terms, Arc::new(OwnSink(ctx.address()))) {
            Stepped::UnderWay => {}
            Stepped::Complete => self.complete(id, ctx),
            Stepped::Landed(landed) => self.judge(landed),
        }
    }

    /// These steps are over; others may follow.
    pub(super) fn landed(&mut self, landed: Vec<Landed<ExchangeId>>, ctx: &mut Context<Self>) {
        landed.into_iter().for_each(|landed| self.judge(landed));
        self.go_on(ctx);
    }

    fn judge(&mut self, landed: Landed<ExchangeId>) {
        let (Landed { task: id, whom, outcome, .. }, clock) = (landed, self.clock());
        let view = self.parts.ring.load_full();
        let who = match whom {
            Whom::Own => "this node".to_string(),
            Whom::Peer(store) => format!("node {}", view.ring.node_of(store)),
        };
        let busy = self.busy_percent();
        let Some(task) = self.works.tasks.get_mut(&id) else { return };
        match outcome {
            Outcome::Answered(answer) => {
                let (came, before) = (weight(whom, &answer), task.job.exchange.exchanged());
                let known = LookedUp { view: &view, hints: &self.parts.hints, engine: &*self.parts.engine };
                task.job.work().answered(answer, &known);
                task.ends_step(clock);
                let after = task.job.exchange.exchanged();
                let bytes = came + after.sent_bytes - before.sent_bytes;
                self.throttle.spend(after.keys - before.keys, bytes, busy);
                self.count(before, after, bytes);
            }
            Outcome::Building(keys) => task.asks_again(clock, format!("{who} looks through its keys, {keys} so far")),
            Outcome::Failed(error) => {
                log::debug!("{id:?}: {who}: {error}");
                task.job.work().failed();
                task.repeats_step(clock, format!("{who}: {error}"));
                if task.is_hopeless() {
                    let due = task.job.due;
                    self.put_off(id, &due);
                }
            }
        }
    }

    fn put_off(&mut self, id: ExchangeId, due: &Due) {
        self.parts.stats.count(Counter::ExchangesFailed);
        self.works.retain(|other, _| *other != id);
        self.schedule.failed(self.clock(), due.id);
    }

    fn count(&self, before: Exchanged, after: Exchanged, bytes: u64) {
        let stats = &self.parts.stats;
        stats.add(Counter::ExchangeKeys, after.keys - before.keys);
        stats.add(Counter::ExchangeReceived, after.received - before.received);
        stats.add(Counter::ExchangeSent, after.sent - before.sent);
        stats.add(Counter::ExchangeUnreadable, after.unreadable - before.unreadable);
        stats.add(Counter::ExchangeBytes, bytes);
    }

    /// An exchange has come to its end.
    fn complete(&mut self, id: ExchangeId, ctx: &mut Context<Self>) {
        let (clock, Some(task)) = (self.clock(), self.works.tasks.remove(&id)) else { return };
        let Job { exchange, due, .. } = &task.job;
        let exchanged = exchange.exchanged();
        let Exchanged { received, sent, mended, unreadable, skipped, .. } = exchanged;
        let with = self.parts.ring.load().ring.node_of(id.peer);
        if received + sent + mended > 0 {
            log::info!("partition {} differed from node {with}'s: {received} objects came, {sent} went", id.partition);
        }
        if unreadable + skipped > 0 {
            let partition = id.partition;
            log::error!(
                "of partition {partition}, {unreadable} keys can be read neither here nor at node {with}, and {skipped} could not be stored"
            );
        }
        self.parts.stats.count(Counter::Exchanges);
        self.schedule.done(clock, due, task.job.ended());
        if let Some(run) = &mut self.run
            && !self.schedule.is_asked(&due.id)
        {
            run.compared(&due.id, exchanged, clock);
        }
        self.look_soon(ctx);
    }

    /// How busy the node is with requests, of what it takes on at most.
    fn busy_percent(&self) -> u8 {
        let limits = &self.parts.config.node.limits;
        let part = |of: u64, all: u64| (of.saturating_mul(100) / all.max(1)).min(100) as u8;
        let calls = part(self.parts.admission.taken().into(), limits.calls_in_flight_max.into());
        calls.max(part(self.parts.disk.waiting_bytes() as u64, limits.disk_queue_bytes_max))
    }
}
