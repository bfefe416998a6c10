//! The Reaper: forgets what was deleted, when nothing can bring it back.
//!
//! It looks through the partitions that this store owns, some of them each second, for what is due (`due`): tombstones and expired values
//! whose grace is over, from their queue, and contexts to prune. Each partition that has something gets a
//! [`Round`], which says whom to ask what; here the questions are sent, the answers brought, and the pace
//! is kept (`asking`). A round that cannot go on ends with the reason, which operators see (`report`), and the next one begins anew.
//!
//! Owners begin one after the other in the order of their places, a quarter of the grace apart: mostly the first one does all, and the
//! others find their queues empty. If it is down it cannot be asked either; once it is there again whoever is due first goes on.
//!
//! Nothing is kept over a restart but the queue itself, which is written with the records.

mod asking;
mod due;
pub mod messages;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;

use self::due::{Search, Wanted};
use self::messages::{OwnReplies, ReapThrough, ReportReaping};
use super::connection_pool::messages::{PeerEvent, PeerSend};
use super::disk::Disk;
use super::env::{Env, Moment, now};
use super::replica::Replica;
use super::replica::messages::Flushed;
use super::stats::{Counter, Gauge, Stats};
use super::transfer::Watched;
use super::view::SharedRing;
use crate::config::Config;
use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::reap::{Block, Round};
use crate::core::ring::Ring;
use crate::core::transfer::Pace;
use crate::storage::Engine;

/// How often it looks for what is due, in a part of the partitions.
const TICK: Duration = Duration::from_secs(1);
/// Keys that the slow look for contexts reads in that time.
const SEARCHED_MAX: usize = 1000;
/// Rounds under way at once. The others wait for the next look.
const ROUNDS_MAX: usize = 256;

/// What a Reaper is made of.
pub struct ReaperParts {
    /// This store.
    pub own: StoreId,
    /// Limits.
    pub config: Arc<Config>,
    /// The ring.
    pub ring: SharedRing,
    /// Who is absent.
    pub presence: Watched,
    /// Where this store keeps things.
    pub engine: Arc<dyn Engine>,
    /// The way to write to it.
    pub disk: Disk,
    /// Who holds what is reaped.
    pub replicas: Arc<Vec<Addr<Replica>>>,
    /// What it counts.
    pub stats: Arc<Stats>,
    /// Its surroundings.
    pub env: Env,
}

/// The actor.
pub struct Reaper {
    parts: ReaperParts,
    /// Known once the pools are there.
    pool: Option<Recipient<PeerSend>>,
    started: Moment,
    /// The partition that is looked at next.
    next: u32,
    rounds: BTreeMap<Partition, Running>,
    /// Of each call that was not answered, the partition and who was asked.
    calls: BTreeMap<u64, (Partition, StoreId)>,
    last: u64,
    search: Search,
    pace: Pace,
    /// What kept the last round of a partition that has something due.
    blocked: BTreeMap<Partition, Block>,
    /// Keys that another owner held in another version, at the last round of each partition.
    differing: BTreeMap<Partition, BTreeMap<StoreId, u64>>,
}

/// A round and how far its present step is.
struct Running {
    round: Round,
    /// The ring by which it asks.
    epoch: Epoch,
    /// What has counted its grace for so long was due when it began.
    until_ms: u64,
    /// Where it is in the queue.
    after: Option<Bytes>,
    /// Whether the queue is at its end.
    at_end: bool,
    /// Calls that were not answered, and until when they are waited for.
    waiting: BTreeSet<u64>,
    deadline: Duration,
}

impl Reaper {
    /// Reaps nothing until it knows a pool.
    pub fn new(parts: ReaperParts) -> Reaper {
        let pace = Pace::new(parts.config.node.reap.keys_per_s_max.into(), Duration::ZERO);
        Reaper {
            parts,
            pool: None,
            started: now(),
            next: 0,
            rounds: BTreeMap::new(),
            calls: BTreeMap::new(),
            last: 0,
            search: Search::default(),
            pace,
            blocked: BTreeMap::new(),
            differing: BTreeMap::new(),
        }
    }

    /// Since it started.
    fn clock(&self) -> Duration {
        self.started.elapsed()
    }

    /// Before this time something must have begun to count, to be due at the owner with this place.
    fn until_ms(&self, place: usize) -> u64 {
        self.parts.config.node.reap.grace().since_ms(place, self.parts.env.wall_ms())
    }

    /// Looks at as many partitions as are due in a tick, and a little further for contexts.
    fn tick(&mut self, tick: Duration, ctx: &mut Context<Self>) {
        if self.pool.is_none() {
            return;
        }
        let view = self.parts.ring.load_full();
        self.search(&view.ring, tick);
        let all = view.ring.partitions();
        let interval_ms = u128::from(self.parts.config.node.reap.interval_ms);
        let due = (tick.as_millis() * u128::from(all)).div_ceil(interval_ms).min(all.into()) as u32;
        for _ in 0..due {
            let partition = Partition((self.next % all) as u16);
            self.next = (self.next + 1) % all;
            self.consider(&view.ring, partition, ctx);
        }
    }

    fn search(&mut self, ring: &Ring, tick: Duration) {
        let (own, reap) = (self.parts.own, &self.parts.config.node.reap);
        let owned = |partition| ring.owners(partition).any(|owner| owner.store == own);
        let keys = (SEARCHED_MAX as u128 * tick.as_millis() / TICK.as_millis()).max(1) as usize;
        let wanted = Wanted { entries_min: reap.context_entries_min.into(), until_ms: self.until_ms(0) };
        match self.search.look(&*self.parts.engine, ring.partitions(), owned, keys, wanted) {
            Ok(Some(entries_most)) => self.parts.stats.set(Gauge::ContextEntriesMost, entries_most as u64),
            Ok(None) => {}
            Err(error) => log::warn!("cannot look for contexts to prune: {error}"),
        }
    }

    /// Begins a round if a partition has something due.
    fn consider(&mut self, ring: &Ring, partition: Partition, ctx: &mut Context<Self>) {
        if self.rounds.contains_key(&partition) {
            return;
        }
        let owners: Vec<StoreId> = ring.owners(partition).map(|owner| owner.store).collect();
        let place = owners.iter().position(|owner| *owner == self.parts.own);
        let until_ms = self.until_ms(place.unwrap_or(0));
        let is_due = place.is_some()
            && (self.search.has(partition)
                || due::is_any(&*self.parts.engine, partition, until_ms).unwrap_or_else(|error| {
                    log::warn!("cannot look for what is due in partition {partition}: {error}");
                    false
                }));
        if !is_due {
            self.blocked.remove(&partition);
            self.differing.remove(&partition);
        } else if self.rounds.len() < ROUNDS_MAX {
            match self.round(ring, partition, owners) {
                Ok(round) => {
                    let running = Running {
                        round,
                        epoch: ring.epoch,
                        until_ms,
                        after: None,
                        at_end: false,
                        waiting: BTreeSet::new(),
                        deadline: Duration::ZERO,
                    };
                    self.rounds.insert(partition, running);
                    self.advance(partition, ctx);
                }
                Err(block) => self.blocks(partition, block),
            }
        }
    }

    fn round(&self, ring: &Ring, partition: Partition, owners: Vec<StoreId>) -> Result<Round, Block> {
        if ring.slice(partition).motion.is_some() {
            return Err(Block::InMotion);
        }
        let presence = self.parts.presence.borrow().clone().ok_or(Block::Unheard)?;
        let absent: Vec<StoreId> = presence.absent().keys().copied().collect();
        // What a replaced store held is gone for good: its node came with another one.
        let served = ring.members().iter().filter(|member| member.node != NodeId(0)).map(|member| member.store);
        let others = served.filter(|store| !owners.contains(store)).collect();
        Round::new(owners, others, &absent, self.clock())
    }

    /// Something keeps what is due in a partition.
    fn blocks(&mut self, partition: Partition, block: Block) {
        log::debug!("nothing is reaped in partition {partition}: {block:?}");
        self.parts.stats.count(Counter::ReapsBlocked);
        self.end(partition);
        self.blocked.insert(partition, block);
    }

    /// Forgets a round and its calls.
    fn end(&mut self, partition: Partition) {
        let Some(running) = self.rounds.remove(&partition) else { return };
        self.calls.retain(|id, _| !running.waiting.contains(id));
        self.blocked.remove(&partition);
        self.differing.insert(partition, running.round.differing().clone());
    }
}

impl Actor for Reaper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let tick = TICK.min(Duration::from_millis(self.parts.config.node.reap.interval_ms));
        ctx.run_interval(tick, move |this, ctx| this.tick(tick, ctx));
    }
}

impl Handler<ReapThrough> for Reaper {
    type Result = ();

    fn handle(&mut self, through: ReapThrough, _: &mut Context<Self>) {
        self.pool = Some(through.0);
    }
}

impl Handler<ReportReaping> for Reaper {
    type Result = MessageResult<ReportReaping>;

    fn handle(&mut self, _: ReportReaping, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.report())
    }
}

impl Handler<OwnReplies> for Reaper {
    type Result = ();

    fn handle(&mut self, replies: OwnReplies, ctx: &mut Context<Self>) {
        for (id, came) in replies.0.into_iter().filter_map(asking::from_own) {
            self.came(id, came, ctx);
        }
    }
}

impl Handler<PeerEvent> for Reaper {
    type Result = ();

    fn handle(&mut self, event: PeerEvent, ctx: &mut Context<Self>) {
        match event {
            PeerEvent::Replies { replies, .. } => {
                for (id, came) in replies.into_iter().filter_map(asking::from_peer) {
                    self.came(id, came, ctx);
                }
            }
            PeerEvent::Refused { refused, .. } => {
                for (id, error) in refused {
                    self.came(id, Err(error), ctx);
                }
            }
            PeerEvent::Lost { from } => self.lost(from),
        }
    }
}

/// Entries that no record bore out are gone, or are found again.
impl Handler<Flushed> for Reaper {
    type Result = ();

    fn handle(&mut self, flushed: Flushed, _: &mut Context<Self>) {
        if let Err(unwritten) = flushed.result {
            log::debug!("stale entries of the queue of tombstones are left: {}", unwritten.reason);
        }
    }
}
