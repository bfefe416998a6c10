//! The Repairer: keeps what this store owns equal to what the other owners hold.
//!
//! It decides nothing by itself. [`Schedule`] says which pair of owners is compared next, from the ring, from who can be reached and from
//! the marks in [`needs_sync`](super::replica::needs_sync); the exchange says what it wants, and [`super::work`] executes that (`steps`).
//! What the Repairer adds is the clock: looks every second and whenever an exchange has ended, paces, keeps quiet hours, cuts off what
//! has become too old, and has partitions read again to find what rotted.
//!
//! When a marked partition was compared with all others its mark is taken away, on disk as well, and the coordination service is told,
//! as it was of the mark.

mod job;
pub mod messages;
mod report;
mod run;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use self::job::{ExchangeId, Job};
use self::messages::{LookAgain, OwnReplies, RepairThrough, ReportAntiEntropy, StartRepair};
use self::run::Run;
use self::steps::OwnSink;
use super::admission::Admission;
use super::connection_pool::messages::{Origin, PeerEvent};
use super::disk::{Disk, Ticket};
use super::env::{Env, Moment, Purpose, now};
use super::replica::messages::{Flushed, ReplicaBatch, ReplicaCall};
use super::replica::needs_sync::NeedsSync;
use super::replica::{HintGauge, Replica};
use super::stats::{Gauge, Stats};
use super::transfer::{Reports, Watched};
use super::view::{SharedHealth, SharedRing};
use super::work::Works;
use crate::config::{AntiEntropyConfig, Config};
use crate::core::id::{Partition, StoreId};
use crate::core::repair::{Cause, Look, Mark, Rounds, Schedule, Throttle};
use crate::storage::{Batch, Engine};

/// How often it looks without being told to.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often it tells the coordination service again what is marked, in case that it was not reached.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// What a Repairer is made of.
pub struct RepairerParts {
    /// This store.
    pub own: StoreId,
    /// Limits and hours.
    pub config: Arc<Config>,
    /// For how long an exchange may go on: a tenth of what tombstones are kept for.
    pub session_max: Duration,
    /// Whether the last stop was not an orderly one.
    pub is_unclean: bool,
    /// The ring.
    pub ring: SharedRing,
    /// Who can be reached.
    pub health: SharedHealth,
    /// Whose data is gone.
    pub presence: Watched,
    /// The partitions of which this store may miss something.
    pub needs_sync: Arc<NeedsSync>,
    /// Where this store keeps things.
    pub engine: Arc<dyn Engine>,
    /// The way to write to it.
    pub disk: Disk,
    /// Keys that wait for others.
    pub hints: Arc<HintGauge>,
    /// Who holds what is compared.
    pub replicas: Arc<Vec<Addr<Replica>>>,
    /// Requests in flight.
    pub admission: Arc<Admission>,
    /// Who tells the others what is marked.
    pub reports: Arc<dyn Reports>,
    /// What it counts.
    pub stats: Arc<Stats>,
    /// Its surroundings.
    pub env: Env,
}

/// The actor.
pub struct Repairer {
    parts: RepairerParts,
    started: Moment,
    works: Works<ExchangeId, Job>,
    schedule: Schedule,
    throttle: Throttle,
    verifying: Rounds,
    run: Option<Run>,
    runs: u64,
    ticket: Ticket,
    /// What the coordination service was told, and when.
    told: (BTreeSet<Partition>, Duration),
    /// Whether it is going to look, after what it is doing.
    looks_soon: bool,
    alarm: Option<SpawnHandle>,
}

impl Repairer {
    /// Compares nothing until it knows a pool.
    pub fn new(parts: RepairerParts) -> Repairer {
        let config = &parts.config.node.anti_entropy;
        let ms = Duration::from_millis;
        let offset = rand::Rng::random(&mut parts.env.rng(0, Purpose::Verify));
        Repairer {
            started: now(),
            works: Works::new(Origin::Repair, parts.replicas.clone()),
            schedule: Schedule::new(parts.own, ms(config.interval_ms), parts.is_unclean),
            throttle: Throttle::new(config.bytes_per_s_max, config.keys_per_s_max, Duration::ZERO),
            verifying: Rounds::new(ms(config.verify_interval_ms), offset),
            run: None,
            runs: 0,
            ticket: 0,
            told: (BTreeSet::new(), Duration::ZERO),
            looks_soon: false,
            alarm: None,
            parts,
        }
    }

    fn config(&self) -> &AntiEntropyConfig {
        &self.parts.config.node.anti_entropy
    }

    /// Since it started.
    fn clock(&self) -> Duration {
        self.started.elapsed()
    }

    /// How urgent a comparison must be now.
    fn at_least(&self) -> Cause {
        let is_quiet = |hours: &crate::core::repair::QuietHours| hours.contain(self.parts.env.wall_ms());
        match self.config() {
            AntiEntropyConfig { enabled: false, .. } => Cause::Asked,
            config if config.quiet_hours.as_ref().is_some_and(is_quiet) => Cause::Marked,
            _ => Cause::Round,
        }
    }

    /// Looks at the ring, at who can be reached and at the marks, ends what has no sense any more, and goes on.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if !self.works.can_ask() {
            return;
        }
        let (clock, view) = (self.clock(), self.parts.ring.load_full());
        let live = self.parts.health.load().iter().copied().collect();
        let marked = self.parts.needs_sync.list();
        let marks: BTreeMap<Partition, Mark> =
            marked.iter().map(|(partition, mark)| (*partition, mark.number)).collect();
        let lost = {
            let presence = self.parts.presence.borrow();
            let is_lost = |store: &StoreId| presence.as_ref().is_some_and(|presence| presence.is_lost(*store));
            view.ring.members().iter().map(|member| member.store).filter(is_lost).collect()
        };
        let in_sync = self.schedule.look(clock, &Look { ring: &view.ring, live: &live, lost: &lost, marks: &marks });
        self.clear(in_sync, ctx);
        let schedule = &self.schedule;
        self.works.retain(|_, task| schedule.stands(&task.job.due));
        if let Some(run) = &mut self.run {
            run.look(&self.schedule, clock);
        }
        self.tell(clock);
        self.go_on(ctx);
    }

    /// These partitions hold what the others hold, durably.
    fn clear(&mut self, in_sync: Vec<(Partition, Mark)>, ctx: &mut Context<Self>) {
        let cleared = in_sync.iter().filter_map(|(partition, mark)| {
            let change = self.parts.needs_sync.clear(*partition, *mark)?;
            log::info!("partition {partition} is in sync with its other owners again");
            Some(change)
        });
        let changes: Vec<_> = cleared.collect();
        if !changes.is_empty() {
            self.ticket += 1;
            self.parts.disk.submit(ctx.address().recipient(), self.ticket, Batch { changes });
        }
    }

    /// Tells the others which partitions are marked, if the coordination service says otherwise; again after a while.
    fn tell(&mut self, clock: Duration) {
        let marked: BTreeSet<Partition> = self.parts.needs_sync.list().keys().copied().collect();
        self.parts.stats.set(Gauge::NeedsSync, marked.len() as u64);
        let known = self.parts.presence.borrow().as_ref().map(|presence| presence.needs_sync(self.parts.own));
        let (told, at) = &self.told;
        let is_known = known.is_some_and(|known| known == marked);
        if !is_known && (*told != marked || clock >= *at + REPORT_INTERVAL) {
            self.parts.reports.unsynced(marked.clone());
            self.told = (marked, clock);
        }
    }

    /// Has partitions read again whose turn it is.
    fn verify(&mut self, ctx: &mut Context<Self>) {
        let partitions = self.schedule.partitions();
        for number in self.verifying.due(self.clock(), partitions.len() as u64) {
            let partition = partitions[number as usize];
            if self.at_least() == Cause::Round {
                let replica = &self.parts.replicas[partition.0 as usize % self.parts.replicas.len()];
                let calls = vec![ReplicaCall::Verify { id: 0, partition }];
                replica.do_send(ReplicaBatch { calls, sink: Arc::new(OwnSink(ctx.address())) });
            }
        }
    }

    /// Every now and then.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.look(ctx);
        self.verify(ctx);
    }

    /// Looks when all that was sent to it before is done.
    fn look_soon(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.looks_soon, true) {
            ctx.notify(LookAgain);
        }
    }
}

impl Actor for Repairer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK_INTERVAL, |this, ctx| this.tick(ctx));
    }
}

impl Handler<RepairThrough> for Repairer {
    type Result = ();

    fn handle(&mut self, through: RepairThrough, ctx: &mut Context<Self>) {
        self.works.ask_through(through.0);
        self.look(ctx);
    }
}

impl Handler<LookAgain> for Repairer {
    type Result = ();

    fn handle(&mut self, _: LookAgain, ctx: &mut Context<Self>) {
        self.looks_soon = false;
        self.look(ctx);
    }
}

impl Handler<StartRepair> for Repairer {
    type Result = u64;

    fn handle(&mut self, start: StartRepair, ctx: &mut Context<Self>) -> u64 {
        let clock = self.clock();
        let pairs = self.schedule.ask(clock, start.all);
        // What is under way would not be compared as it is asked for now.
        self.works.retain(|_, _| false);
        self.runs += 1;
        let asked = pairs.len() as u64;
        self.run = Some(Run::new(self.runs, start.bucket, pairs, clock));
        self.look_soon(ctx);
        asked
    }
}

impl Handler<ReportAntiEntropy> for Repairer {
    type Result = MessageResult<ReportAntiEntropy>;

    fn handle(&mut self, _: ReportAntiEntropy, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.report())
    }
}

impl Handler<OwnReplies> for Repairer {
    type Result = ();

    fn handle(&mut self, replies: OwnReplies, ctx: &mut Context<Self>) {
        let landed = self.works.own_replied(replies.0);
        self.landed(landed, ctx);
    }
}

impl Handler<PeerEvent> for Repairer {
    type Result = ();

    fn handle(&mut self, event: PeerEvent, ctx: &mut Context<Self>) {
        let landed = self.works.heard(event);
        self.landed(landed, ctx);
    }
}

/// A mark is off the disk, or is not: then the next start makes one exchange too many.
impl Handler<Flushed> for Repairer {
    type Result = ();

    fn handle(&mut self, flushed: Flushed, _: &mut Context<Self>) {
        if let Err(unwritten) = flushed.result {
            log::warn!("that a partition is in sync again is not kept: {}", unwritten.reason);
        }
    }
}
