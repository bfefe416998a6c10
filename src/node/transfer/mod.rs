//! The Mover: brings partitions to where the ring says that they belong.
//!
//! It looks at the ring and at who is live (`agenda`) whenever either changes: where does this store arrive, and from whom is it to
//! copy; of what does it hold something without owning it ([`super::drain`] searches for what nobody names). For each it keeps a task with a
//! [`crate::core::transfer::Work`], and has the steps executed that those want ([`super::work`]), at the pace that the configuration allows
//! (`steps`).
//! Questions go to other stores through the first pool and to the own Replicas as they would come from another store; what was
//! copied is stored as any write is, and an answer means that it is durable.
//!
//! What fails is done again after a pause that grows; a task that cannot go on says why. When an arrival or a drain is complete,
//! the others are told ([`Reports`]), again and again until the ring has moved on.
//!
//! A restart costs little: a transfer goes on where its checkpoint ends; what had arrived proves itself by its leaves.

pub mod agenda;
mod checkpoints;
pub mod messages;
mod presence;
mod reports;
mod steps;
mod task;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;

use self::agenda::{Aged, Agenda, ArrivalState};
use self::checkpoints::Checkpoints;
use self::messages::{LookAgain, MoveThrough, OwnReplies, ReportTransfers};
use self::task::{Job, TaskId};
use super::connection_pool::messages::{Origin, PeerEvent};
use super::disk::Disk;
use super::drain::Sweep;
use super::env::{Moment, now};
use super::replica::messages::Flushed;
use super::replica::{HintGauge, Replica};
use super::stats::Stats;
use super::view::SharedRing;
use super::work::{Task, Works};
use crate::config::Config;
use crate::core::id::{Partition, StoreId};
use crate::core::ring::Ring;
use crate::core::transfer::{Drain, Pace, Transfer, TransferId};
use crate::storage::{Engine, StorageError};
use crate::wire::report::{TransferPhase, TransferReport, TransfersReport};

pub use presence::Presence;
pub use reports::{Reports, ToRegistry};

/// How often it looks at everything without being told to.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often it tells again what is complete.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Who is live, as soon as it is known.
pub type Watched = watch::Receiver<Option<Arc<Presence>>>;

/// What a Mover is made of.
pub struct MoverParts {
    /// This store.
    pub own: StoreId,
    /// Limits.
    pub config: Arc<Config>,
    /// The ring.
    pub ring: SharedRing,
    /// Who is live.
    pub presence: Watched,
    /// Where this store keeps things.
    pub engine: Arc<dyn Engine>,
    /// The way to write checkpoints to it.
    pub disk: Disk,
    /// Keys that wait for others.
    pub hints: Arc<HintGauge>,
    /// Who holds what it copies.
    pub replicas: Arc<Vec<Addr<Replica>>>,
    /// Who tells the others.
    pub reports: Arc<dyn Reports>,
    /// What it counts.
    pub stats: Arc<Stats>,
}

/// The actor.
pub struct Mover {
    parts: MoverParts,
    started: Moment,
    agenda: Agenda,
    works: Works<TaskId, Job>,
    pace: Pace,
    /// The same for the microseconds that steps are under way.
    busy: Pace,
    checkpoints: Checkpoints,
    /// The sources that were copied from, of partitions that are still in the same motion.
    done: BTreeMap<Aged, BTreeSet<StoreId>>,
    /// Transfers that are complete, as they were then.
    finished: BTreeMap<TransferId, TransferReport>,
    /// What drained completely, and still drains by the ring.
    drained: BTreeSet<Aged>,
    /// Partitions of which the sweep found something that this store does not own.
    found: BTreeSet<Partition>,
    sweep: Sweep,
    /// What the others were told of since they were last told of everything.
    told: BTreeSet<Aged>,
    told_everything: Duration,
    /// Whether it is going to look, after what it is doing.
    looks_soon: bool,
    alarm: Option<SpawnHandle>,
}

impl Mover {
    /// Moves nothing until it knows a pool.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn new(parts: MoverParts) -> Result<Mover, StorageError> {
        let checkpoints = Checkpoints::open(&parts.engine, parts.disk.clone())?;
        let transfer = &parts.config.node.transfer;
        let pace = Pace::new(transfer.bytes_per_s_max, Duration::ZERO);
        // A percent of a second are ten thousand microseconds.
        let busy = Pace::new(u64::from(transfer.busy_percent_max) * 10_000, Duration::ZERO);
        let sweep = Sweep::new(Duration::from_millis(transfer.sweep_interval_ms));
        let works = Works::new(Origin::Transfer, parts.replicas.clone());
        Ok(Mover {
            parts,
            started: now(),
            agenda: Agenda::default(),
            works,
            pace,
            busy,
            checkpoints,
            done: BTreeMap::new(),
            finished: BTreeMap::new(),
            drained: BTreeSet::new(),
            found: BTreeSet::new(),
            sweep,
            told: BTreeSet::new(),
            told_everything: Duration::ZERO,
            looks_soon: false,
            alarm: None,
        })
    }

    /// Since it started.
    fn clock(&self) -> Duration {
        self.started.elapsed()
    }

    /// Looks at the ring and at who is live, and begins and ends tasks by that.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if !self.works.can_ask() {
            return;
        }
        let view = self.parts.ring.load_full();
        let presence = self.parts.presence.borrow().clone();
        let begun = self.works.tasks.keys().filter_map(|id| match id {
            TaskId::Transfer(id) => Some((id.partition, id.since)),
            TaskId::Drain(_) => None,
        });
        let begun = begun.chain(self.done.keys().copied()).collect();
        self.agenda = Agenda::of(
            &view.ring,
            &agenda::Known {
                own: self.parts.own,
                presence: presence.as_deref(),
                done: &self.done,
                begun: &begun,
                found: &self.found,
            },
        );
        self.end_tasks(ctx);
        self.begin_tasks(&view.ring);
        self.report();
        self.go_on(ctx);
    }

    /// Forgets what belongs to an earlier age of a partition.
    fn end_tasks(&mut self, ctx: &mut Context<Self>) {
        let agenda = &self.agenda;
        self.works.retain(|id, task| match (id, &task.job) {
            (TaskId::Transfer(id), _) => agenda.arriving.contains_key(&(id.partition, id.since)),
            // An owner may be lost while it is waited for: then it begins again without that one.
            (TaskId::Drain(aged), Job::Drain(drain)) => {
                agenda.draining.get(aged).is_some_and(|to| drain.goes_to(&to.slice, &to.lost))
            }
            (TaskId::Drain(_), Job::Transfer(_)) => false,
        });
        self.done.retain(|aged, _| agenda.arriving.contains_key(aged));
        self.finished.retain(|id, _| agenda.arriving.contains_key(&(id.partition, id.since)));
        self.drained.retain(|aged| agenda.draining.contains_key(aged));
        // Without the coordination service's word nothing is known to be over: the ring at hand may be the one of an earlier start.
        if self.parts.presence.borrow().is_some() {
            let goes_on = |id: &TransferId| agenda.arriving.contains_key(&(id.partition, id.since));
            self.checkpoints.retain(goes_on, ctx.address().recipient());
        }
    }

    fn begin_tasks(&mut self, ring: &Ring) {
        let (now, own) = (self.clock(), self.parts.own);
        self.works.tasks.values_mut().for_each(|task| task.is_wanted = matches!(task.id, TaskId::Drain(_)));
        for (id, arrival) in self.agenda.transfers() {
            let checkpoints = &self.checkpoints;
            let begin = || {
                let transfer = Transfer::new(id, arrival.place, own, &arrival.owners, checkpoints.get(&id));
                Task::new(TaskId::Transfer(id), Job::Transfer(transfer.into()), now)
            };
            self.works.tasks.entry(TaskId::Transfer(id)).or_insert_with(begin).is_wanted = true;
        }
        for (aged, to) in self.agenda.draining.iter().filter(|(aged, _)| !self.drained.contains(aged)) {
            let drain = || Drain::new(aged.0, &to.slice, &to.lost, ring.partitions());
            let begin = || Task::new(TaskId::Drain(*aged), Job::Drain(drain().into()), now);
            self.works.tasks.entry(TaskId::Drain(*aged)).or_insert_with(begin);
        }
    }

    /// Tells the others what is newly complete; now and then everything, in case that they were not reached.
    fn report(&mut self) {
        let (own, clock) = (self.parts.own, self.clock());
        if clock >= self.told_everything + REPORT_INTERVAL {
            self.told.clear();
            self.told_everything = clock;
        }
        let is_named = |aged: &Aged| self.agenda.draining.get(aged).is_some_and(|to| to.slice.draining.contains(&own));
        let arrived: Vec<Aged> = self.agenda.arrived().filter(|aged| !self.told.contains(aged)).collect();
        let drained = self.drained.iter().filter(|aged| is_named(aged) && !self.told.contains(aged));
        let drained: Vec<Aged> = drained.copied().collect();
        self.told.extend(arrived.iter().chain(&drained));
        if !arrived.is_empty() {
            self.parts.reports.arrived(arrived);
        }
        if !drained.is_empty() {
            self.parts.reports.drained(drained);
        }
    }

    /// Looks when all that was sent to it before is done: what many tasks bring about is looked at once.
    fn look_soon(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.looks_soon, true) {
            ctx.notify(LookAgain);
        }
    }

    /// Every now and then.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        let view = self.parts.ring.load_full();
        let found = self.sweep.look(LOOK_INTERVAL, &view.ring, self.parts.own, &*self.parts.engine, &self.parts.hints);
        for partition in &found {
            self.drained.retain(|(drained, _)| drained != partition);
        }
        self.found.extend(found);
        self.look(ctx);
    }

    fn transfers(&self) -> TransfersReport {
        let view = self.parts.ring.load();
        let (now, mut report) = (self.clock(), TransfersReport::default());
        let turn = format!("{} others come first", self.parts.config.node.transfer.at_once_max);
        let is_full = self.works.under_way() >= self.parts.config.node.transfer.at_once_max as usize;
        let otherwise = is_full.then_some(turn.as_str());
        report.arriving.extend(self.finished.values().cloned());
        for task in self.works.tasks.values() {
            if let TaskId::Transfer(id) = task.id {
                report.arriving.extend(task.report_transfer(view.ring.node_of(id.source), now, otherwise));
            }
            report.draining.extend(task.report_drain(otherwise));
        }
        for ((partition, _), arrival) in &self.agenda.arriving {
            if let ArrivalState::Waits(reason) = &arrival.state {
                report.arriving.push(waiting(*partition, reason.clone()));
            }
        }
        report
    }
}

/// A partition that nobody can be asked for yet.
fn waiting(partition: Partition, reason: String) -> TransferReport {
    TransferReport {
        partition,
        from: None,
        phase: TransferPhase::Waiting,
        keys: 0,
        keys_expected: 0,
        bytes: 0,
        bytes_before: 0,
        bytes_expected: 0,
        bytes_per_s: 0,
        unreadable: 0,
        waiting: Some(reason),
    }
}

impl Actor for Mover {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK_INTERVAL, |this, ctx| this.tick(ctx));
        let (mut presence, own) = (self.parts.presence.clone(), ctx.address());
        ctx.spawn(actix::fut::wrap_future(async move {
            while presence.changed().await.is_ok() {
                own.do_send(LookAgain);
            }
        }));
    }
}

impl Handler<MoveThrough> for Mover {
    type Result = ();

    fn handle(&mut self, through: MoveThrough, ctx: &mut Context<Self>) {
        self.works.ask_through(through.0);
        self.look(ctx);
    }
}

impl Handler<LookAgain> for Mover {
    type Result = ();

    fn handle(&mut self, _: LookAgain, ctx: &mut Context<Self>) {
        self.looks_soon = false;
        self.look(ctx);
    }
}

impl Handler<ReportTransfers> for Mover {
    type Result = MessageResult<ReportTransfers>;

    fn handle(&mut self, _: ReportTransfers, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.transfers())
    }
}

impl Handler<OwnReplies> for Mover {
    type Result = ();

    fn handle(&mut self, replies: OwnReplies, ctx: &mut Context<Self>) {
        let landed = self.works.own_replied(replies.0);
        self.landed(landed, ctx);
    }
}

impl Handler<PeerEvent> for Mover {
    type Result = ();

    fn handle(&mut self, event: PeerEvent, ctx: &mut Context<Self>) {
        let landed = self.works.heard(event);
        self.landed(landed, ctx);
    }
}

/// A checkpoint is on disk, or is not: then more is copied again after a crash.
impl Handler<Flushed> for Mover {
    type Result = ();

    fn handle(&mut self, flushed: Flushed, _: &mut Context<Self>) {
        if let Err(unwritten) = flushed.result {
            log::warn!("the checkpoint of a transfer is not kept: {}", unwritten.reason);
        }
    }
}
