//! The Lister: gathers one page of a listing from the owners of a partition.
//!
//! It holds nothing between pages: the cursor that comes with each says where to go on. For a page it asks as many of the
//! partition's owners as the bucket's r says, this node first, then those that it reaches; [`Coverage`] counts them, replaces
//! those that fail, and asks one more when they are slow. What they hold is merged as far as all of them reach, and keys
//! that were deleted or have expired by this node's clock are left out. If too few owners answer, the caller is told which
//! partition and whom it lacks: never is a part left out in silence.
//!
//! An owner that has moved away, or does not know yet that it owns the partition, refuses; if the ring has changed meanwhile
//! the page is begun again under the new one.

mod handlers;
pub mod messages;
mod page;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use self::messages::ScannedHere;
use self::page::{Asked, owner_page};
use super::connection_pool::ConnectionPool;
use super::connection_pool::messages::{Origin, PeerSend};
use super::env::{Env, Moment, now};
use super::replica::Replica;
use super::replica::messages::{ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink};
use super::stats::{Counter, Stats};
use super::view::{RingView, SharedHealth, SharedRing};
use crate::config::Config;
use crate::core::id::{Partition, StoreId};
use crate::core::listing::{Coverage, Step};
use crate::core::quorum::size::read_sizes;
use crate::core::request::{Failure, Options};
use crate::wire::list::{ListPage, ListRequest, Scanned};
use crate::wire::message::{ReplicaError, ToReplica};

/// When to try again, if as many pages are being gathered as may be.
const BUSY_MS: u32 = 50;

/// What a Lister is made of.
pub struct ListerParts {
    /// This store.
    pub store: StoreId,
    /// Limits and timing.
    pub config: Arc<Config>,
    /// The ring.
    pub ring: SharedRing,
    /// Whom its pool reaches.
    pub health: SharedHealth,
    /// Who holds it, here.
    pub replicas: Arc<Vec<Addr<Replica>>>,
    /// What it counts.
    pub stats: Arc<Stats>,
    /// Its surroundings.
    pub env: Env,
}

/// The actor.
pub struct Lister {
    parts: ListerParts,
    /// Known once the pools are there.
    pool: Option<Addr<ConnectionPool>>,
    gathering: BTreeMap<u64, Gathering>,
    last: u64,
}

/// What becomes of a page.
type Outcome = Result<ListPage, Failure>;

/// A page on its way.
struct Gathering {
    asked: Asked,
    /// The ring by which the owners were chosen.
    view: Arc<RingView>,
    coverage: Coverage,
    deadline: Moment,
    alarms: [SpawnHandle; 2],
    answer: oneshot::Sender<Outcome>,
}

struct ScanSink(Addr<Lister>);

impl ReplicaSink for ScanSink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        self.0.do_send(ScannedHere(replies));
    }
}

/// The stores whose answers count when a partition is read for a bucket with `n` replicas, in the order of their places.
fn reading_set(view: &RingView, partition: Partition, n: u8) -> impl Iterator<Item = StoreId> + '_ {
    view.ring.owners(partition).take(n as usize).map(|owner| owner.store)
}

impl Lister {
    /// Asks no other node until it knows a pool.
    pub fn new(parts: ListerParts) -> Lister {
        Lister { parts, pool: None, gathering: BTreeMap::new(), last: 0 }
    }

    fn begin(
        &mut self,
        request: ListRequest,
        deadline: Moment,
        ctx: &mut Context<Self>,
    ) -> Result<oneshot::Receiver<Outcome>, Failure> {
        let limits = &self.parts.config.node.limits;
        if self.gathering.len() >= limits.listings_max as usize {
            self.parts.stats.count(Counter::Overloaded);
            return Err(Failure::Overloaded { limit: "limits.listings_max".into(), retry_after_ms: BUSY_MS });
        }
        let asked = Asked::check(request, &limits.object, self.parts.ring.load().ring.partitions())?;
        self.parts.stats.count(Counter::ListPages);
        let (answer, answered) = oneshot::channel();
        self.gather(asked, deadline, answer, ctx);
        Ok(answered)
    }

    /// Begins a page by the present ring.
    fn gather(&mut self, asked: Asked, deadline: Moment, answer: oneshot::Sender<Outcome>, ctx: &mut Context<Self>) {
        let view = self.parts.ring.load_full();
        let bucket = view.buckets.get(&asked.request.bucket);
        let sizes = match read_sizes(&Options::default(), bucket, view.ring.replication) {
            Ok(sizes) => sizes,
            // Who asked may have gone, here and below.
            Err(failure) => return drop(answer.send(Err(failure))),
        };
        let mut owners: Vec<StoreId> = reading_set(&view, asked.cursor.partition, sizes.n).collect();
        let reached = self.parts.health.load();
        owners.sort_by_key(|store| (*store != self.parts.store, reached.binary_search(store).is_err()));
        let (coverage, step) = Coverage::start(sizes.needed, owners);
        self.last += 1;
        let id = self.last;
        let patience = Duration::from_millis(self.parts.config.node.timing.hedge_max_ms);
        let alarms = [
            ctx.run_later(patience, move |this, ctx| this.on_slow(id, ctx)),
            ctx.run_later(deadline.saturating_duration_since(now()), move |this, ctx| this.on_deadline(id, ctx)),
        ];
        self.gathering.insert(id, Gathering { asked, view, coverage, deadline, alarms, answer });
        self.act(id, step, ctx);
    }

    fn act(&mut self, id: u64, step: Step, ctx: &mut Context<Self>) {
        match step {
            Step::Ask(stores) => stores.into_iter().for_each(|store| self.ask(id, store, ctx)),
            Step::Enough => {
                let Some(gathered) = self.remove(id, ctx) else { return };
                let Gathering { asked, view, coverage, answer, .. } = gathered;
                let page = asked.page(&view, coverage.into_pages(), self.parts.env.wall_ms());
                drop(answer.send(Ok(page)));
            }
            Step::Short => self.fall_short(id, ctx),
        }
    }

    fn ask(&mut self, id: u64, store: StoreId, ctx: &mut Context<Self>) {
        let Some(gathering) = self.gathering.get(&id) else { return };
        let (scan, deadline) = (gathering.asked.scan(), gathering.deadline);
        if store == self.parts.store {
            let replica = &self.parts.replicas[scan.partition.0 as usize % self.parts.replicas.len()];
            let calls = vec![ReplicaCall::Scan { id, scan, expires: deadline }];
            replica.do_send(ReplicaBatch { calls, sink: Arc::new(ScanSink(ctx.address())) });
        } else if let Some(pool) = &self.pool {
            let left = deadline.saturating_duration_since(now()).as_millis();
            let deadline_ms = left.min(u32::MAX.into()) as u32;
            let (id, epoch) = (Origin::Lister.number(id), gathering.view.ring.epoch);
            pool.do_send(PeerSend { to: store, messages: vec![ToReplica::Scan { id, epoch, deadline_ms, scan }] });
        } else {
            self.on_scanned(id, store, Err(ReplicaError::Unreachable), ctx);
        }
    }

    fn on_scanned(&mut self, id: u64, from: StoreId, result: Result<Scanned, ReplicaError>, ctx: &mut Context<Self>) {
        let Some(gathering) = self.gathering.get_mut(&id) else { return };
        let has_moved = matches!(result, Err(ReplicaError::Moved(_)));
        if has_moved && self.parts.ring.load().ring.epoch > gathering.view.ring.epoch {
            if let Some(Gathering { asked, deadline, answer, .. }) = self.remove(id, ctx) {
                self.gather(asked, deadline, answer, ctx);
            }
            return;
        }
        let step = match result.and_then(owner_page) {
            Ok(page) => gathering.coverage.on_page(from, page),
            Err(error) => gathering.coverage.on_failed(from, error.to_string()),
        };
        self.act(id, step, ctx);
    }

    fn on_slow(&mut self, id: u64, ctx: &mut Context<Self>) {
        let Some(gathering) = self.gathering.get_mut(&id) else { return };
        let step = gathering.coverage.on_slow();
        self.act(id, step, ctx);
    }

    fn on_deadline(&mut self, id: u64, ctx: &mut Context<Self>) {
        if let Some(gathering) = self.gathering.get_mut(&id) {
            gathering.coverage.on_deadline();
            self.fall_short(id, ctx);
        }
    }

    /// The link to `store` is gone: whoever waits for it waits in vain.
    fn on_lost(&mut self, store: StoreId, ctx: &mut Context<Self>) {
        let awaits = |(id, gathering): (&u64, &Gathering)| gathering.coverage.awaits(store).then_some(*id);
        let waiting: Vec<u64> = self.gathering.iter().filter_map(awaits).collect();
        for id in waiting {
            self.on_scanned(id, store, Err(ReplicaError::Unreachable), ctx);
        }
    }

    /// Answers that too few owners did.
    fn fall_short(&mut self, id: u64, ctx: &mut Context<Self>) {
        let Some(Gathering { asked, view, coverage, answer, .. }) = self.remove(id, ctx) else { return };
        self.parts.stats.count(Counter::QuorumFailures);
        drop(answer.send(Err(asked.not_covered(&view, coverage.shortfall()))));
    }

    fn remove(&mut self, id: u64, ctx: &mut Context<Self>) -> Option<Gathering> {
        let gathering = self.gathering.remove(&id)?;
        gathering.alarms.into_iter().for_each(|alarm| _ = ctx.cancel_future(alarm));
        Some(gathering)
    }
}
