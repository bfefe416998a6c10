//! A Replica that is asked what its store still holds of deleted keys, and told to drop it.

use std::sync::Arc;

use actix::{Addr, System};
use arc_swap::ArcSwap;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::super::messages::{ReplicaBatch, ReplicaCall, ReplicaSink};
use super::super::needs_sync::NeedsSync;
use super::super::{HintGauge, ReapTimes, ReplicaParts};
use super::*;
use crate::config::{NodeLimits, StorageConfig};
use crate::core::bucket::Buckets;
use crate::core::hint::Budget;
use crate::core::id::{NodeId, StoreId};
use crate::core::reap::Grace;
use crate::core::ring::Member;
use crate::core::version::{Actor, Dot, Object, Payload, Sibling};
use crate::node::disk::Disk;
use crate::node::env::Env;
use crate::node::lease::Lease;
use crate::node::view::{RingView, SharedRing};
use crate::storage::memory::MemoryDisk;

const OWNER: u128 = 1;
const STRANGER: u128 = 2;
const EPOCH: Epoch = Epoch { generation: 0, counter: 0 };

struct Sink(UnboundedSender<ReplicaReply>);

impl ReplicaSink for Sink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        // A test may have heard enough.
        replies.into_iter().for_each(|reply| drop(self.0.send(reply)));
    }
}

/// The stranger has no weight: it owns nothing.
fn ring() -> SharedRing {
    let member = |store: u128| Member {
        store: StoreId(store),
        node: NodeId(store as u32),
        address: format!("node{store}:8000"),
        zone: String::new(),
        weight: u32::from(store == OWNER),
    };
    let ring = Ring::new(EPOCH, 1, 1, vec![member(OWNER), member(STRANGER)]).expect("a valid ring");
    Arc::new(ArcSwap::from_pointee(RingView::new(ring, Buckets::default())))
}

/// A store without patience: the grace is over at once.
struct Machine {
    replica: Addr<Replica>,
    engine: Arc<dyn Engine>,
    stats: Arc<Stats>,
}

impl Machine {
    fn start(store: u128) -> Machine {
        let engine: Arc<dyn Engine> = Arc::new(MemoryDisk::new().open());
        let (env, stats) = (Env::real(1), Arc::new(Stats::default()));
        let (disk, gate) =
            Disk::start(&env, engine.clone(), &StorageConfig::default(), Box::new(|| None), stats.clone());
        let parts = ReplicaParts {
            store: StoreId(store),
            hints: Arc::new(HintGauge::count(&*engine, Budget::UNBOUNDED).expect("the engine reads")),
            missed: Arc::default(),
            kept_trees: Arc::default(),
            reap: ReapTimes { grace: Grace(Duration::ZERO), version_lasts: Duration::from_secs(1) },
            needs_sync: Arc::new(NeedsSync::open(&*engine).expect("the engine reads")),
            engine: engine.clone(),
            disk,
            gate,
            ring: ring(),
            limits: NodeLimits::default(),
            recent_bytes_max: 1 << 20,
            lease: Lease::none(),
            stats: stats.clone(),
            env: env.clone(),
        };
        Machine { replica: env.start(0, move |_| Replica::new(parts, 0)), engine, stats }
    }

    async fn call(&self, call: ReplicaCall) -> ReplicaReply {
        let (sink, mut answers) = unbounded_channel();
        self.replica.do_send(ReplicaBatch { calls: vec![call], sink: Arc::new(Sink(sink)) });
        answers.recv().await.expect("every call is answered")
    }

    async fn store(&self, object: &Object, hint: Option<u128>) {
        let (key, object, hint) = (key(), object.encode(), hint.map(StoreId));
        let expires = now() + Duration::from_secs(60);
        let stored = self.call(ReplicaCall::Store { id: 1, epoch: EPOCH, key, object, hint, expires }).await;
        assert!(matches!(stored, ReplicaReply::Stored { result: Ok(()), .. }), "{stored:?}");
    }

    async fn ask(&self, epoch: Epoch, question: Question) -> Result<Answer, ReplicaError> {
        match self.call(ReplicaCall::Reap { id: 1, epoch, partition: Partition(0), question }).await {
            ReplicaReply::Reap { result, .. } => result,
            ReplicaReply::Failed { error, .. } => Err(error),
            other => panic!("{other:?}"),
        }
    }

    async fn vouched(&self) -> Vouched {
        match self.ask(EPOCH, Question::Look).await {
            Ok(Answer::Looked(vouched)) => vouched,
            other => panic!("{other:?}"),
        }
    }

    async fn remove(&self, clock: Clock) -> bool {
        let removal = Removal { stored: key().stored(Partition(0)), clock, prunes: false };
        match self.ask(EPOCH, Question::Remove(vec![removal])).await {
            Ok(Answer::Removed(removed)) => removed[0],
            other => panic!("{other:?}"),
        }
    }

    /// How many keys there are, how many entries in the queue of what fades, and what is counted.
    fn held(&self) -> (usize, usize, u64) {
        let count = |space, prefix: &[u8]| self.engine.scan(space, prefix, None, 10).expect("it reads").len();
        let gauges = self.stats.gauges();
        let counted = gauges.iter().find(|(name, _)| name == Gauge::Tombstones.name()).expect("a gauge").1;
        (count(Space::Objects, &[]), count(Space::Meta, queue::all()), counted)
    }
}

fn key() -> crate::core::key::Key {
    crate::core::key::Key::bare("key")
}

/// The key after so many writes, of which the last wrote this.
fn object(counter: u64, payload: Payload) -> Object {
    let dot = Dot { actor: Actor { incarnation: 7, birth: 1 }, counter };
    let mut object = Object::default();
    (1..=counter).for_each(|counter| object.context.add(Dot { counter, ..dot }, counter));
    object.siblings.push(Sibling { dot, time: counter, payload, expires_ms: None });
    object
}

fn value() -> Payload {
    Payload::Value(Bytes::from_static(b"value"))
}

#[test]
fn a_tombstone_is_queued_and_dropped_at_its_version_alone() {
    System::new().block_on(async {
        let machine = Machine::start(OWNER);
        machine.store(&object(1, value()), None).await;
        assert_eq!(machine.held(), (1, 0, 0));
        let deleted = object(2, Payload::Tombstone);
        machine.store(&deleted, None).await;
        assert_eq!(machine.held(), (1, 1, 1));

        let held = vec![(key().stored(Partition(0)), deleted.clock()), (key().stored(Partition(0)), Clock(1))];
        let standings = machine.ask(EPOCH, Question::Held(held)).await;
        assert!(
            matches!(&standings, Ok(Answer::Held(held)) if matches!(held[..], [Standing::Held(_), Standing::Other])),
            "{standings:?}"
        );
        assert!(!machine.remove(object(1, value()).clock()).await, "it is of another version");
        assert_eq!(machine.held(), (1, 1, 1));
        assert!(machine.remove(deleted.clock()).await);
        assert_eq!(machine.held(), (0, 0, 0));
        assert!(machine.remove(deleted.clock()).await, "once more changes nothing");
    });
}

#[test]
fn a_value_is_not_dropped_and_takes_the_tombstone_out_of_the_queue() {
    System::new().block_on(async {
        let machine = Machine::start(OWNER);
        machine.store(&object(1, Payload::Tombstone), None).await;
        let again = object(2, value());
        machine.store(&again, None).await;
        assert_eq!(machine.held(), (1, 0, 0));
        assert!(!machine.remove(again.clock()).await);
        assert_eq!(machine.held(), (1, 0, 0));
    });
}

#[test]
fn who_keeps_a_copy_says_so_and_counts_what_it_took() {
    System::new().block_on(async {
        let machine = Machine::start(STRANGER);
        let before = machine.vouched().await;
        assert_eq!((before.stray, before.taken), (None, 0));
        let copy = object(1, value());
        machine.store(&copy, Some(OWNER)).await;
        assert_eq!(machine.vouched().await.stray, Some(Stray::Hint(StoreId(OWNER))));
        let (target, clock) = (StoreId(OWNER), copy.clock());
        machine.replica.do_send(ReplicaBatch {
            calls: vec![ReplicaCall::HandedOff { id: 1, key: key(), target, clock }],
            sink: Arc::new(Sink(unbounded_channel().0)),
        });
        let after = loop {
            let vouched = machine.vouched().await;
            if vouched.stray.is_none() {
                break vouched;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert_eq!((after.life, after.taken), (before.life, 1));
        assert_eq!(machine.held().0, 0);
    });
}

#[test]
fn who_goes_by_another_ring_or_owns_nothing_refuses() {
    System::new().block_on(async {
        let owner = Machine::start(OWNER);
        let newer = Epoch { counter: 1, ..EPOCH };
        assert_eq!(owner.ask(newer, Question::Look).await, Err(ReplicaError::Moved(EPOCH)));
        let stranger = Machine::start(STRANGER);
        assert_eq!(stranger.ask(EPOCH, Question::Held(vec![])).await, Err(ReplicaError::Moved(EPOCH)));
        assert_eq!(stranger.ask(EPOCH, Question::Remove(vec![])).await, Err(ReplicaError::Moved(EPOCH)));
    });
}
