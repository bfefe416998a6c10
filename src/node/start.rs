//! Starting and stopping a node.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::NodeHandle;
use super::admission::Admission;
use super::belonging::Belonging;
use super::bootstrap::{Citizen, Ending, Reception, SharedHome, lock};
use super::clerk::Clerk;
use super::connection_pool::messages::Origin;
use super::connection_pool::{ConnectionPool, PoolParts, Routes};
use super::coordinator::messages::Drain;
use super::coordinator::{Coordinator, CoordinatorParts};
use super::disk::{Disk, FreeSpace};
use super::env::{Env, now};
use super::handoff::{DeliverThrough, Handoff, HandoffParts};
use super::inspector::{Inspector, InspectorParts, ShowThrough};
use super::lister::messages::ListThrough;
use super::lister::{Lister, ListerParts};
use super::membership_watcher::MembershipWatcher;
use super::reap::messages::ReapThrough;
use super::reap::{Reaper, ReaperParts};
use super::repair::messages::RepairThrough;
use super::repair::{Repairer, RepairerParts};
use super::replica::messages::Halt;
use super::replica::needs_sync::NeedsSync;
use super::replica::{HintGauge, KeptTrees, Missed, ReapTimes, Replica, ReplicaParts, reaping};
use super::ring_manager::{Follow, Follower, RingManager};
use super::stats::Stats;
use super::transfer::messages::MoveThrough;
use super::transfer::{Mover, MoverParts, ToRegistry};
use super::view::no_health;
use crate::coordination::nookeeper::Nookeeper;
use crate::core::hint::Budget;
use crate::storage::{Engine, StorageError};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The node was stopped before it had a ring.
    #[error("the node was stopped before the coordination service told it the ring")]
    NoRing,
    /// The node cannot go on as it is.
    #[error(transparent)]
    Ended(#[from] Ending),
    /// The store cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A node that runs.
pub struct Node {
    /// For connections.
    pub handle: NodeHandle,
    disk: Disk,
    handoff: Addr<Handoff>,
    belonging: Belonging,
}

/// Sent to every actor that holds nothing worth saving.
pub(super) struct Stop;

impl Message for Stop {
    type Result = ();
}

macro_rules! stops {
    ($($actor:ty),*) => {$(
        impl Handler<Stop> for $actor {
            type Result = ();

            fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
                ctx.stop();
            }
        }
    )*};
}

stops!(
    Handoff,
    MembershipWatcher,
    RingManager,
    ConnectionPool,
    Coordinator,
    Inspector,
    Lister,
    Mover,
    Reaper,
    Repairer
);

impl Node {
    /// Starts all actors of a member, once there is a ring to serve by.
    pub async fn start(
        citizen: Citizen,
        home: SharedHome,
        reception: Arc<Reception>,
        stats: Arc<Stats>,
        env: Env,
    ) -> Result<Node, StartError> {
        let belonging = Belonging::begin(&citizen, home.clone(), reception, &env).await?;
        let Citizen { config, cluster, start, .. } = citizen;
        let (ring, lease) = (belonging.ring.clone(), belonging.lease.clone());
        let Opened { engine, free_space, was_clean, kept_trees } = open(&env, home).await?;
        let budget =
            Budget { target_bytes_max: config.node.hints.target_bytes_max, bytes_max: config.node.hints.bytes_max };
        let hints = Arc::new(HintGauge::count(&*engine, budget)?);
        let missed = Arc::new(Missed::open(&*engine)?);
        let needs_sync = Arc::new(NeedsSync::open(&*engine)?);
        reaping::count_fading(&*engine, &stats)?;
        let (disk, gate) = Disk::start(&env, engine.clone(), &config.node.storage, free_space, stats.clone());

        let parts = ReplicaParts {
            store: start.store,
            engine: engine.clone(),
            disk: disk.clone(),
            gate: gate.clone(),
            ring: ring.clone(),
            limits: config.node.limits.clone(),
            recent_bytes_max: config.node.storage.records_bytes() as usize / env.arbiters(),
            hints: hints.clone(),
            missed: missed.clone(),
            reap: ReapTimes::of(&config.node),
            needs_sync: needs_sync.clone(),
            kept_trees: Arc::new(kept_trees),
            lease: lease.clone(),
            stats: stats.clone(),
            env: env.clone(),
        };
        let replica = |arbiter| {
            let parts = parts.clone();
            env.start(arbiter, move |_| Replica::new(parts, arbiter))
        };
        let replicas = Arc::new((0..env.arbiters()).map(replica).collect::<Vec<_>>());
        let follow = |replica: &Addr<Replica>| Follow(Follower::Replica(replica.clone()));
        replicas.iter().for_each(|replica| belonging.ring_manager.do_send(follow(replica)));

        let health: Vec<_> = (0..env.arbiters()).map(|_| no_health()).collect();
        let handoff = HandoffParts {
            own: start.store,
            config: config.clone(),
            ring: ring.clone(),
            health: health[0].clone(),
            hints: hints.clone(),
            missed,
            replicas: replicas.clone(),
            stats: stats.clone(),
            env: env.clone(),
        };
        let handoff = env.start(0, move |_| Handoff::new(handoff));
        let reports = Arc::new(ToRegistry::new(belonging.session.clone(), start.store));
        let mover = MoverParts {
            own: start.store,
            config: config.clone(),
            ring: ring.clone(),
            presence: belonging.presence.clone(),
            engine: engine.clone(),
            disk: disk.clone(),
            hints: hints.clone(),
            replicas: replicas.clone(),
            reports: reports.clone(),
            stats: stats.clone(),
        };
        let mover = Mover::new(mover)?;
        let mover = env.start(0, move |_| mover);
        let reaper = ReaperParts {
            own: start.store,
            config: config.clone(),
            ring: ring.clone(),
            presence: belonging.presence.clone(),
            engine: engine.clone(),
            disk: disk.clone(),
            replicas: replicas.clone(),
            stats: stats.clone(),
            env: env.clone(),
        };
        let reaper = env.start(0, move |_| Reaper::new(reaper));
        let admission = Admission::new(config.node.limits.calls_in_flight_max);
        let repairer = RepairerParts {
            own: start.store,
            config: config.clone(),
            session_max: config.node.reap.grace().version_age_max(),
            is_unclean: !was_clean,
            ring: ring.clone(),
            health: health[0].clone(),
            presence: belonging.presence.clone(),
            needs_sync,
            engine: engine.clone(),
            disk: disk.clone(),
            hints: hints.clone(),
            replicas: replicas.clone(),
            admission: admission.clone(),
            reports,
            stats: stats.clone(),
            env: env.clone(),
        };
        let repairer = env.start(0, move |_| Repairer::new(repairer));
        let clerk = {
            let (session, status, env) = (belonging.session.clone(), belonging.status.clone(), env.clone());
            Clerk::new(config.node.id, session, status, move || env.wall_ms())
        };
        let inspector = InspectorParts {
            store: start.store,
            start: start.number,
            config: config.clone(),
            ring: ring.clone(),
            engine,
            gate: gate.clone(),
            hints,
            stats: stats.clone(),
            admission: admission.clone(),
            replicas: replicas.clone(),
            clerk: clerk.clone(),
            lease: lease.clone(),
            env: env.clone(),
            started: now(),
        };
        let inspector = env.start(0, move |_| Inspector::new(inspector));

        let lister = ListerParts {
            store: start.store,
            config: config.clone(),
            ring: ring.clone(),
            health: health[0].clone(),
            replicas: replicas.clone(),
            stats: stats.clone(),
            env: env.clone(),
        };
        let lister = env.start(0, move |_| Lister::new(lister));

        let (mut pools, mut coordinators) = (vec![], vec![]);
        for (arbiter, health) in health.into_iter().enumerate() {
            let pool = PoolParts {
                cluster,
                start,
                config: config.clone(),
                ring: ring.clone(),
                health: health.clone(),
                stats: stats.clone(),
                env: env.clone(),
                arbiter,
            };
            let coordinator = CoordinatorParts {
                store: start.store,
                config: config.clone(),
                ring: ring.clone(),
                health,
                gate: gate.clone(),
                lease: lease.clone(),
                stats: stats.clone(),
                env: env.clone(),
            };
            let others = [
                (Origin::Handoff, handoff.clone().recipient()),
                (Origin::Inspector, inspector.clone().recipient()),
                (Origin::Lister, lister.clone().recipient()),
                (Origin::Transfer, mover.clone().recipient()),
                (Origin::Reaper, reaper.clone().recipient()),
                (Origin::Repair, repairer.clone().recipient()),
            ];
            let (pool, coordinator) = pair(&env, arbiter, pool, coordinator, replicas.clone(), others).await;
            belonging.ring_manager.do_send(Follow(Follower::Pool(pool.clone())));
            belonging.ring_manager.do_send(Follow(Follower::Coordinator(coordinator.clone())));
            pools.push(pool);
            coordinators.push(coordinator);
        }
        handoff.do_send(DeliverThrough(pools[0].clone()));
        lister.do_send(ListThrough(pools[0].clone()));
        mover.do_send(MoveThrough(pools[0].clone().recipient()));
        reaper.do_send(ReapThrough(pools[0].clone().recipient()));
        repairer.do_send(RepairThrough(pools[0].clone().recipient()));
        inspector.do_send(ShowThrough {
            pools: pools.clone(),
            coordinators: coordinators.clone(),
            mover: mover.clone(),
            handoff: handoff.clone(),
            reaper: reaper.clone(),
            repairer: repairer.clone(),
        });

        let handle = NodeHandle {
            config,
            cluster,
            start,
            ring,
            coordinators: Arc::new(coordinators),
            replicas,
            pools: Arc::new(pools),
            inspector,
            lister,
            mover,
            reaper,
            repairer,
            clerk,
            lease,
            admission,
            stats,
            env,
        };
        Ok(Node { handle, disk, handoff, belonging })
    }

    /// The embedded coordination service's replica in this node, if it uses that.
    pub fn nookeeper(&self) -> Option<&Nookeeper> {
        self.belonging.nookeeper.as_ref()
    }

    /// Resolves when the node cannot go on as it is.
    pub fn ended(&self) -> impl Future<Output = Ending> + use<> {
        self.belonging.ended()
    }

    /// Stops in order: operations in flight are answered, or given up after `drain_timeout_ms`; then everything written is on disk.
    pub async fn stop(self) {
        let patience = Duration::from_millis(self.handle.config.node.timing.drain_timeout_ms);
        for coordinator in self.handle.coordinators.iter() {
            if tokio::time::timeout(patience, coordinator.send(Drain)).await.is_err() {
                log::warn!("operations are still in flight after {} ms; they are given up", patience.as_millis());
            }
        }
        self.belonging.end().await;
        self.handoff.do_send(Stop);
        self.handle.mover.do_send(Stop);
        self.handle.reaper.do_send(Stop);
        self.handle.repairer.do_send(Stop);
        self.handle.inspector.do_send(Stop);
        self.handle.lister.do_send(Stop);
        self.handle.pools.iter().for_each(|pool| pool.do_send(Stop));
        self.handle.coordinators.iter().for_each(|coordinator| coordinator.do_send(Stop));
        for replica in self.handle.replicas.iter() {
            // An error says that it has stopped already.
            let _ = replica.send(Halt).await;
        }
        self.disk.finish();
    }
}

/// What is there once the engine is open.
struct Opened {
    engine: Arc<dyn Engine>,
    free_space: FreeSpace,
    was_clean: bool,
    kept_trees: KeptTrees,
}

/// Opens the engine. Recovering it may take long, and meanwhile nodes must hear each other.
async fn open(env: &Env, home: SharedHome) -> Result<Opened, StorageError> {
    let open = move || {
        let mut home = lock(&home);
        let (engine, was_clean) = (home.open_engine()?, home.was_clean());
        let kept_trees = KeptTrees::take(&*engine, home.identity().start, was_clean)?;
        Ok(Opened { engine, free_space: home.free_space(), was_clean, kept_trees })
    };
    if !env.has_threads() {
        return open();
    }
    tokio::task::spawn_blocking(open).await.expect("opening an engine does not panic")
}

/// A pool and its coordinator know each other: the coordinator is made first, within which the pool is started.
async fn pair(
    env: &Env,
    arbiter: usize,
    pool: PoolParts,
    coordinator: CoordinatorParts,
    replicas: Arc<Vec<Addr<Replica>>>,
    others: [(Origin, Recipient<super::connection_pool::messages::PeerEvent>); 6],
) -> (Addr<ConnectionPool>, Addr<Coordinator>) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let coordinator = env.start(arbiter, move |ctx: &mut Context<Coordinator>| {
        let own = ctx.address();
        let mut routes = Routes::from(others);
        routes.insert(Origin::Coordinator, own.clone().recipient());
        let pool = ConnectionPool::new(pool, routes).start();
        // The other end waits below.
        drop(tell.send(pool.clone()));
        Coordinator::new(coordinator, replicas, pool, own)
    });
    (told.await.expect("the coordinator's arbiter runs"), coordinator)
}
