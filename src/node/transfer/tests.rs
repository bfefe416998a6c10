//! A Mover between real Replicas on disks in memory, with a ring made by hand and a pool that knows no sockets.

pub(in crate::node) mod world;

use std::time::Duration;

use actix::System;

use self::world::{NEW, OLD, PARTITION, Place, SINCE, STAYS, SWITCHED, World, keys, object};
use crate::core::ring::{Motion, Slice};
use crate::core::transfer::TransferId;
use crate::node::stats::Counter;
use crate::storage::Space;
use crate::wire::report::{TransferPhase, TransferReport};

fn run(test: impl Future<Output = ()>) {
    System::new().block_on(test);
}

fn arriving() -> Slice {
    let motion = Some(Motion::Pending(vec![NEW, STAYS]));
    Slice { motion, since: SINCE, ..Slice::at_rest(vec![OLD, STAYS]) }
}

fn draining() -> Slice {
    Slice { draining: vec![NEW], since: SINCE, ..Slice::at_rest(vec![OLD, STAYS]) }
}

#[test]
fn a_store_arrives_with_all_that_its_predecessor_holds() {
    run(async {
        let world = World::new(arriving(), |_| {});
        let keys = keys(1500);
        world.store(OLD, &keys, 1).await;
        // Some are here already, by the writes of the meantime.
        world.store(NEW, &keys[700..720], 2).await;
        let mover = world.mover(NEW);
        world.acknowledge(&[OLD, STAYS, NEW]);
        world.until(|| world.arrived() == [(PARTITION, SINCE)]).await;
        assert_eq!(world.holding(NEW).await.1, 1500);
        for (i, key) in keys.iter().enumerate() {
            let events = if (700..720).contains(&i) { 2 } else { 1 };
            assert_eq!(world.object(NEW, key).await, Some(object(events)), "{key}");
        }
        let shown = mover.report().await;
        let shown = (&shown.arriving[..], &shown.draining[..]);
        assert!(matches!(shown, ([TransferReport { phase: TransferPhase::Arrived, .. }], [])), "{shown:?}");
        assert!(world.counted(NEW, Counter::TransferKeys) >= 1480);
    });
}

#[test]
fn it_waits_for_everybody_who_is_live_and_for_its_sources_and_says_so() {
    run(async {
        let world = World::new(arriving(), |_| {});
        world.store(OLD, &keys(10), 1).await;
        let mover = world.mover(NEW);
        let reason = || async { mover.report().await.arriving.first().and_then(|shown| shown.waiting.clone()) };
        world.until_async(async || reason().await.is_some_and(|r| r.contains("has not been heard"))).await;
        world.present(&[(OLD, SINCE.counter - 1), (NEW, SINCE.counter)]);
        let lagging = "node 1 must work by ring 0.5 first";
        world.until_async(async || reason().await.as_deref() == Some(lagging)).await;
        world.acknowledge(&[NEW]);
        let down = "node 1 is down, node 2 is down";
        world.until_async(async || reason().await.as_deref() == Some(down)).await;
        assert!(world.arrived().is_empty());
        world.cut(OLD, true);
        world.acknowledge(&[OLD, NEW]);
        world.until_async(async || reason().await.as_deref() == Some("node 1: unreachable")).await;
        world.cut(OLD, false);
        world.until(|| !world.arrived().is_empty()).await;
        assert_eq!(world.holding(NEW).await.1, 10);
    });
}

#[test]
fn without_its_predecessor_it_copies_from_all_others() {
    run(async {
        let motion = Some(Motion::Pending(vec![NEW, STAYS, Place::Third.store()]));
        let owners = vec![OLD, STAYS, Place::Third.store()];
        let world = World::new(Slice { motion, since: SINCE, ..Slice::at_rest(owners) }, |_| {});
        let keys = keys(40);
        world.store(STAYS, &keys[..25], 1).await;
        world.store(Place::Third.store(), &keys[20..], 1).await;
        let _mover = world.mover(NEW);
        world.acknowledge(&[STAYS, NEW]);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(world.holding(NEW).await.1, 0, "one of them is not enough");
        world.acknowledge(&[STAYS, NEW, Place::Third.store()]);
        world.until(|| !world.arrived().is_empty()).await;
        assert_eq!(world.holding(NEW).await.1, 40);
    });
}

#[test]
fn after_a_crash_a_transfer_goes_on_where_its_checkpoint_ends() {
    run(async {
        // Slow enough to be met half-way: all of it takes seconds.
        let mut world = World::new(arriving(), |transfer| {
            transfer.page_bytes_max = 2048;
            transfer.bytes_per_s_max = 200_000;
        });
        world.store(OLD, &keys(3000), 1).await;
        let mover = world.mover(NEW);
        world.acknowledge(&[OLD, STAYS, NEW]);
        let id = TransferId { partition: PARTITION, since: SINCE, source: OLD };
        world.until(|| world.counted(NEW, Counter::TransferKeys) >= 1500).await;
        assert!(world.kept(NEW, Space::Meta, &id.stored()));
        let shown = mover.report().await.arriving.remove(0);
        assert_eq!((shown.phase, shown.keys_expected), (TransferPhase::Copying, 3000));
        let before = world.counted(NEW, Counter::TransferKeys);
        world.crash(NEW, mover).await;
        world.configure(|transfer| transfer.bytes_per_s_max = 1 << 30);
        let _mover = world.mover(NEW);
        world.until(|| !world.arrived().is_empty()).await;
        let after = world.counted(NEW, Counter::TransferKeys);
        assert_eq!(world.holding(NEW).await.1, 3000);
        assert!(before >= 1500 && after < 2000, "{before} keys were copied before the crash and {after} after it");
        world.publish(&Slice { since: SWITCHED, ..Slice::at_rest(vec![NEW, STAYS]) });
        world.acknowledge(&[OLD, STAYS, NEW]);
        world.until(|| !world.kept(NEW, Space::Meta, &id.stored())).await;
    });
}

#[test]
fn who_drains_gives_back_what_owners_lack_and_keeps_nothing() {
    run(async {
        let world = World::new(draining(), |_| {});
        let keys = keys(600);
        world.store(NEW, &keys, 1).await;
        world.store(OLD, &keys[..500], 1).await;
        world.store(STAYS, &keys[100..], 1).await;
        world.store(OLD, &keys[..10], 2).await;
        let _mover = world.mover(NEW);
        world.acknowledge(&[OLD, STAYS, NEW]);
        world.until(|| world.drained() == [(PARTITION, SINCE)]).await;
        assert_eq!(world.holding(NEW).await.1, 0);
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(world.object(OLD, key).await, Some(object(if i < 10 { 2 } else { 1 })));
            assert_eq!(world.object(STAYS, key).await, Some(object(1)));
        }
        assert_eq!(world.counted(NEW, Counter::DrainDropped), 600);
    });
}

#[test]
fn nothing_is_dropped_while_an_owner_is_away_or_a_hint_is_kept() {
    run(async {
        let world = World::new(draining(), |_| {});
        let keys = keys(20);
        world.store(NEW, &keys[1..], 1).await;
        world.store_for(NEW, &keys[..1], OLD).await;
        world.cut(STAYS, true);
        let mover = world.mover(NEW);
        world.acknowledge(&[OLD, STAYS, NEW]);
        let reason = || async { mover.report().await.draining.first().and_then(|shown| shown.waiting.clone()) };
        world.until_async(async || reason().await.as_deref() == Some("node 2: unreachable")).await;
        assert_eq!(world.holding(NEW).await.1, 20);
        world.cut(STAYS, false);
        let hinted = "1 keys are kept for others, 0 changed";
        world.until_async(async || reason().await.as_deref() == Some(hinted)).await;
        assert_eq!((world.holding(NEW).await.1, world.drained().len()), (1, 0));
    });
}

#[test]
fn what_nobody_names_is_found() {
    run(async {
        let world = World::new(Slice::at_rest(vec![OLD, STAYS]), |transfer| transfer.sweep_interval_ms = 1000);
        world.store(NEW, &keys(5), 1).await;
        let _mover = world.mover(NEW);
        world.acknowledge(&[OLD, STAYS, NEW]);
        world.until_async(async || world.holding(NEW).await.1 == 0).await;
        assert_eq!((world.holding(OLD).await.1, world.holding(STAYS).await.1), (5, 5));
        assert!(world.drained().is_empty(), "nobody waits for it");
    });
}
