//! The watcher on a service in this process, under virtual time.

mod interrupted;

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use super::*;
use crate::config::NodeEntry;
use crate::coordination::api::Session;
use crate::coordination::local::Local;
use crate::coordination::registry::{self, BucketChanges, Founding, Live};
use crate::coordination::tree::SessionId;
use crate::core::id::{ClusterId, Epoch, NodeId, Start, StoreId};
use crate::core::key::Key;
use crate::core::version::{Dot, Object};
use crate::node::env::{Observer, Simulated, now};
use crate::node::ring_manager::NewMembership;
use crate::node::view::SharedRing;
use interrupted::Interrupted;

const TIMEOUT: Duration = Duration::from_secs(10);
const NODE: NodeId = NodeId(1);

struct Nobody;

impl Observer for Nobody {
    fn minted(&self, _: StoreId, _: &Key, _: Dot, _: &Object) {}
}

/// What the watcher told.
#[derive(Default)]
struct Notes {
    saved: Mutex<Vec<Epoch>>,
    seen: Mutex<Option<Arc<View>>>,
    refused: Mutex<Option<Verdict>>,
}

impl LastKnown for Notes {
    fn save(&self, membership: &Membership) {
        self.saved.lock().unwrap().push(membership.epoch);
    }
}

impl Listener for Notes {
    fn seen(&self, view: &Arc<View>) {
        *self.seen.lock().unwrap() = Some(view.clone());
    }

    fn refused(&self, verdict: &Verdict) {
        *self.refused.lock().unwrap() = Some(verdict.clone());
    }
}

/// A node that is nothing but its watcher, a cluster of which it is the only member, and somebody who looks at it.
struct Stage {
    service: Interrupted,
    operator: Box<dyn Session>,
    ring: SharedRing,
    notes: Arc<Notes>,
    parts: WatcherParts,
    watcher: Addr<MembershipWatcher>,
}

fn epoch(counter: u64) -> Epoch {
    Epoch { generation: 0, counter }
}

fn start(number: u64) -> Start {
    Start { store: StoreId(1), number, nonce: number * 100 }
}

fn joiner(number: u64) -> Joiner {
    let (cluster, address) = (Some(ClusterId(7)), "node1:8000".into());
    Joiner { cluster, node: Some(NODE), start: start(number), address, zone: None, weight: None }
}

impl Stage {
    /// The ring that the node knows before its first session has the given epoch.
    async fn set(known: Epoch) -> Stage {
        let local = Local::new();
        let (clock, begun) = (local.clone(), now());
        spawn_local(async move {
            loop {
                sleep(Duration::from_millis(50)).await;
                clock.tick(begun.elapsed().as_millis() as u64);
            }
        });
        let service = Interrupted::new(local);
        let operator = service.local.open(Duration::from_secs(600)).await.unwrap();
        let founding = Founding {
            id: ClusterId(7),
            name: "test".into(),
            partitions: 8,
            replication: 1,
            nodes: vec![(NodeEntry::new(NODE, "node1:8000"), Some(StoreId(1)))],
            voters: vec![NODE],
            auto_remove_after_ms: None,
            buckets: Default::default(),
        };
        registry::found(&*operator, &founding, 0, &mut || StoreId(2)).await.unwrap();
        let mut membership = registry::read(&*operator).await.unwrap().membership();
        membership.epoch = known;

        let observer = Arc::new(Nobody);
        let simulated = Simulated { seed: 1, skew_ms: 0, sync_us_max: Arc::new(AtomicU64::new(0)), observer };
        let env = Env::simulated(1, simulated);
        let (first, published) = oneshot::channel();
        let ring_manager = env.start(0, move |_| RingManager::new(first, |_| {}));
        ring_manager.do_send(NewMembership(membership));
        let ring = published.await.unwrap();
        let notes = Arc::new(Notes::default());
        let parts = WatcherParts {
            service: Arc::new(service.clone()),
            joiner: joiner(1),
            timeout: TIMEOUT,
            config: Arc::new(Config::default()),
            lease: Lease::none(),
            session: SharedSession::default(),
            last_known: notes.clone(),
            ring_manager,
            listener: notes.clone(),
            env: env.clone(),
        };
        let watcher = env.start(0, {
            let parts = parts.clone();
            move |_| MembershipWatcher::new(parts)
        });
        Stage { service, operator, ring, notes, parts, watcher }
    }

    fn is_leased(&self) -> bool {
        self.parts.lease.is_held(self.parts.env.boot_time())
    }

    fn session(&self) -> Option<SessionId> {
        self.parts.session.load().as_ref().map(|session| session.id())
    }

    async fn live(&self) -> Option<Live> {
        registry::read(&*self.operator).await.unwrap().live.remove(&NODE)
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Stage) -> bool) {
        for _ in 0..60_000 {
            if holds(self) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("in a minute it never came that {what}");
    }

    async fn until_leased(&self) {
        self.until("the lease is held", Stage::is_leased).await;
    }

    async fn set_bucket(&self) {
        let mut changes = BucketChanges::default();
        changes.add("sloppy", "false").unwrap();
        registry::set_bucket(&*self.operator, "b", &changes).await.unwrap();
    }
}

/// Runs a case with a node that has no ring of the service yet.
async fn on_stage<F: Future<Output = ()>>(case: impl FnOnce(Stage) -> F) {
    LocalSet::new().run_until(async { case(Stage::set(epoch(0)).await).await }).await;
}

#[tokio::test(start_paused = true)]
async fn the_lease_comes_after_the_ring_and_its_acknowledgement() {
    on_stage(async |stage: Stage| {
        assert!(!stage.is_leased());
        stage.until_leased().await;
        assert_eq!(stage.ring.load().ring.epoch, epoch(1));
        let live = stage.live().await.unwrap();
        assert_eq!((live.start(), live.epoch), (start(1), Some(epoch(1))));
        assert_eq!(*stage.notes.saved.lock().unwrap(), [epoch(1)]);
        assert_eq!(stage.notes.seen.lock().unwrap().as_ref().unwrap().cluster.id, ClusterId(7));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn changes_arrive_and_are_acknowledged() {
    on_stage(async |stage: Stage| {
        stage.until_leased().await;
        stage.set_bucket().await;
        stage.until("the new ring is published", |stage| stage.ring.load().ring.epoch == epoch(2)).await;
        assert!(!stage.ring.load().buckets.get(b"b").sloppy);
        let saved = |stage: &Stage| *stage.notes.saved.lock().unwrap() == [epoch(1), epoch(2)];
        stage.until("it is kept", saved).await;
        while stage.live().await.unwrap().epoch != Some(epoch(2)) {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_is_kept_for_long() {
    on_stage(async |stage: Stage| {
        stage.until_leased().await;
        let session = stage.session();
        for _ in 0..1_000 {
            sleep(TIMEOUT / 100).await;
            assert!(stage.is_leased());
        }
        assert_eq!(stage.session(), session);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_short_silence_costs_nothing() {
    on_stage(async |stage: Stage| {
        stage.until_leased().await;
        let session = stage.session();
        stage.service.reach(false);
        sleep(TIMEOUT / 2).await;
        stage.service.reach(true);
        for _ in 0..100 {
            assert!(stage.is_leased());
            sleep(TIMEOUT / 100).await;
        }
        assert_eq!(stage.session(), session);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_lease_runs_out_before_the_session_and_a_new_one_brings_another() {
    on_stage(async |stage: Stage| {
        stage.until_leased().await;
        let session = stage.session();
        stage.service.reach(false);
        stage.until("the lease has run out", |stage| !stage.is_leased()).await;
        assert!(stage.live().await.is_some(), "the lease outlived the session");
        while stage.live().await.is_some() {
            assert!(!stage.is_leased());
            sleep(Duration::from_millis(10)).await;
        }
        // The others go on without this node.
        stage.set_bucket().await;
        sleep(TIMEOUT * 3).await;
        assert!(!stage.is_leased());
        assert_eq!(stage.ring.load().ring.epoch, epoch(1), "it serves by the ring that it has");

        stage.service.reach(true);
        stage.until_leased().await;
        assert_eq!(stage.ring.load().ring.epoch, epoch(2));
        assert_ne!(stage.session(), session);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_ends_the_lease() {
    on_stage(async |stage: Stage| {
        stage.until_leased().await;
        let (session, held) = (stage.session(), stage.parts.session.load_full().unwrap());
        held.close().await.unwrap();
        stage.until("the lease has ended", |stage| !stage.is_leased()).await;
        stage.until("there is another session", |stage| stage.session().is_some_and(|s| Some(s) != session)).await;
        stage.until_leased().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_live_entry_is_made_again() {
    on_stage(async |stage: Stage| {
        stage.until_leased().await;
        let session = stage.session();
        stage.operator.delete(&"/kv/live/1".parse().unwrap(), None).await.unwrap();
        while stage.live().await.and_then(|live| live.epoch).is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(stage.session(), session);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_later_start_of_the_store_ends_this_one() {
    on_stage(async |stage: Stage| {
        stage.until_leased().await;
        registry::register(&*stage.operator, &joiner(2), 0).await.unwrap();
        stage.until("the verdict is told", |stage| stage.notes.refused.lock().unwrap().is_some()).await;
        let verdict = Verdict::RolledBack { store: StoreId(1), shown: 1, seen: 2 };
        assert_eq!(*stage.notes.refused.lock().unwrap(), Some(verdict));
        assert!(!stage.is_leased());
        sleep(TIMEOUT * 3).await;
        assert_eq!((stage.is_leased(), stage.session()), (false, None));
        assert_eq!(stage.live().await.unwrap().start(), start(2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_is_gone_at_once() {
    on_stage(async |stage: Stage| {
        stage.until_leased().await;
        stage.watcher.send(Leave).await.unwrap();
        assert_eq!((stage.live().await, stage.is_leased(), stage.session()), (None, false, None));
        sleep(TIMEOUT).await;
        assert_eq!(stage.live().await, None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_lost_rings_is_not_believed() {
    let case = async {
        let stage = Stage::set(epoch(9)).await;
        for _ in 0..1_000 {
            sleep(Duration::from_millis(10)).await;
            assert!(!stage.is_leased());
        }
        assert_eq!(stage.ring.load().ring.epoch, epoch(9));
        assert!(stage.notes.saved.lock().unwrap().is_empty());
        for _ in 1..9 {
            let mut changes = BucketChanges::default();
            let sloppy = registry::buckets(&*stage.operator).await.unwrap()["default"].sloppy;
            changes.add("sloppy", if sloppy { "false" } else { "true" }).unwrap();
            registry::set_bucket(&*stage.operator, "default", &changes).await.unwrap();
        }
        stage.until_leased().await;
    };
    LocalSet::new().run_until(case).await;
}
