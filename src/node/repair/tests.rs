//! A Repairer between real Replicas on disks in memory, with a ring made by hand and a pool that knows no sockets.

use std::time::Duration;

use actix::{Addr, System};
use bytes::Bytes;

use super::Repairer;
use super::messages::{ReportAntiEntropy, StartRepair};
use crate::config::Config;
use crate::core::ring::{Motion, Slice};
use crate::node::stats::Counter;
use crate::node::transfer::tests::world::{NEW, OLD, PARTITION, Place, SINCE, STAYS, World, keys, object};
use crate::wire::report::AntiEntropyReport;

fn run(test: impl Future<Output = ()>) {
    System::new().block_on(test);
}

fn at_rest() -> Slice {
    Slice { since: SINCE, ..Slice::at_rest(vec![OLD, STAYS, Place::Third.store()]) }
}

fn world(slice: Slice) -> World {
    World::new(slice, |_| {})
}

fn owners() -> [crate::core::id::StoreId; 3] {
    [OLD, STAYS, Place::Third.store()]
}

async fn are_equal(world: &World) -> bool {
    let [first, second, third] = owners();
    let root = world.holding(first).await.0.root();
    root == world.holding(second).await.0.root() && root == world.holding(third).await.0.root()
}

async fn report(repairer: &Addr<Repairer>) -> AntiEntropyReport {
    repairer.send(ReportAntiEntropy).await.expect("it runs")
}

#[test]
fn after_an_unclean_start_everything_is_compared() {
    run(async {
        let world = world(at_rest());
        let keys = keys(700);
        let [_, second, third] = owners();
        world.store(OLD, &keys[..600], 1).await;
        world.store(second, &keys[100..], 1).await;
        world.store(third, &keys[50..650], 2).await;
        world.reach(&[second, third]);
        let repairer = world.repairer(OLD, true, |_| {});
        world.until(|| world.counted(OLD, Counter::Exchanges) >= 17).await;
        // One of both was first, and lacks what came from the other one.
        repairer.send(StartRepair { bucket: None, all: true }).await.expect("it runs");
        world.until_async(async || are_equal(&world).await).await;
        assert_eq!(world.object(second, &keys[0]).await, Some(object(1)));
        assert_eq!(world.object(OLD, &keys[60]).await, Some(object(2)));
        assert!(report(&repairer).await.exchanges >= 2);
    });
}

#[test]
fn equal_owners_pay_a_root_each() {
    run(async {
        let world = world(at_rest());
        for store in owners() {
            world.store(store, &keys(300), 1).await;
        }
        world.reach(&owners()[1..]);
        let _repairer = world.repairer(OLD, true, |_| {});
        // The other partitions have two owners each.
        world.until(|| world.counted(OLD, Counter::Exchanges) >= 17).await;
        assert_eq!(
            (world.counted(OLD, Counter::ExchangeBytes), world.counted(OLD, Counter::ExchangeKeys)),
            (17 * 16, 0)
        );
    });
}

#[test]
fn a_record_that_rotted_is_found_by_a_read_and_replaced() {
    run(async {
        let world = world(at_rest());
        let keys = keys(50);
        for store in owners() {
            world.store(store, &keys, 1).await;
        }
        world.reach(&owners()[1..]);
        let repairer = world.repairer(OLD, false, |_| {});
        world.until(|| world.counted(OLD, Counter::Exchanges) >= 8).await;
        world.rot(OLD, &keys[7]);
        // What others ask for is read from the disk.
        world.pull(OLD).await;
        world.until(|| world.counted(OLD, Counter::DamagedMended) == 1).await;
        world.until(|| !world.is_marked(OLD) && world.unsynced().is_empty()).await;
        assert_ne!(world.on_disk(OLD, &keys[7]).as_deref(), Some(&b"rotten"[..]));
        assert_eq!(world.object(OLD, &keys[7]).await, Some(object(1)));
        assert!(are_equal(&world).await);
        let shown = report(&repairer).await;
        assert_eq!((shown.damaged, shown.mended), (1, 1));
    });
}

#[test]
fn a_record_that_rotted_is_found_by_reading_everything_again() {
    run(async {
        let world = world(at_rest());
        let keys = keys(50);
        for store in owners() {
            world.store(store, &keys, 1).await;
            world.holding(store).await;
        }
        world.rot(OLD, &keys[7]);
        world.reach(&owners()[1..]);
        let _repairer = world.repairer(OLD, false, |config| {
            config.node.anti_entropy.verify_interval_ms = 1000;
            config.node.anti_entropy.interval_ms = 1000;
        });
        world.until(|| world.counted(OLD, Counter::DamagedMended) == 1).await;
        world.until(|| !world.is_marked(OLD)).await;
        assert_eq!(world.counted(OLD, Counter::MerkleLeavesWrong), 1);
        assert!(world.counted(OLD, Counter::MerkleVerified) >= 1);
        assert_eq!(world.object(OLD, &keys[7]).await, Some(object(1)));
    });
}

#[test]
fn a_mark_waits_for_every_other_owner() {
    run(async {
        let world = world(at_rest());
        let keys = keys(20);
        let [_, second, third] = owners();
        for store in [second, third] {
            world.store(store, &keys, 1).await;
        }
        world.store(third, &keys[..1], 2).await;
        world.rot(OLD, &keys[0]);
        world.pull(OLD).await;
        assert!(world.is_marked(OLD));
        world.reach(&[second]);
        let repairer = world.repairer(OLD, false, |_| {});
        world.until_async(async || world.holding(OLD).await.1 == 20).await;
        world.until(|| world.counted(OLD, Counter::Exchanges) >= 9).await;
        assert_eq!(world.unsynced(), [PARTITION]);
        let shown = report(&repairer).await.needs_sync.remove(0);
        assert_eq!((shown.partition, shown.why.as_str()), (PARTITION, "damage"));
        assert_eq!(shown.waits_for.iter().map(|node| node.0).collect::<Vec<_>>(), [3]);
        assert_eq!(world.object(OLD, &keys[0]).await, Some(object(1)), "only the third has the newest");
        world.reach(&[second, third]);
        world.until(|| !world.is_marked(OLD)).await;
        assert_eq!(world.object(OLD, &keys[0]).await, Some(object(2)));
    });
}

#[test]
fn who_is_cut_off_is_tried_again() {
    run(async {
        let world = world(at_rest());
        world.store(STAYS, &keys(10), 1).await;
        world.reach(&[STAYS]);
        world.cut(STAYS, true);
        let repairer = world.repairer(OLD, true, |_| {});
        world.until(|| world.counted(OLD, Counter::ExchangesFailed) >= 1).await;
        let waiting = report(&repairer).await.under_way.iter().filter_map(|shown| shown.waiting.clone()).next();
        assert!(waiting.is_none_or(|reason| reason == "node 2: unreachable"));
        world.cut(STAYS, false);
        world.until_async(async || world.holding(OLD).await.1 == 10).await;
    });
}

#[test]
fn an_operator_gets_one_bucket_even_if_it_is_switched_off_and_the_hours_are_quiet() {
    run(async {
        let world = world(at_rest());
        world.store(STAYS, &keys(10), 1).await;
        world.reach(&owners()[1..]);
        let configure = |config: &mut Config| {
            config.node.anti_entropy.enabled = false;
            config.node.anti_entropy.quiet_hours = Some("00:00-23:59".parse().expect("hours"));
        };
        let repairer = world.repairer(OLD, true, configure);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(world.counted(OLD, Counter::Exchanges), 0);
        let over = async || report(&repairer).await.run.filter(|run| run.is_over);
        let asked = repairer.send(StartRepair { bucket: Some(Bytes::from_static(b"other")), all: true }).await;
        assert_eq!(asked.expect("it runs"), 17);
        world.until_async(async || over().await.is_some()).await;
        assert_eq!(world.holding(OLD).await.1, 0, "nothing of that bucket is there");
        repairer.do_send(StartRepair { bucket: Some(Bytes::from_static(b"default")), all: true });
        world.until_async(async || over().await.is_some_and(|run| run.number == 2)).await;
        let run = over().await.expect("it is over");
        assert_eq!((run.pairs, run.done, run.received, run.unreachable), (17, 17, 10, 0));
        assert_eq!(world.holding(OLD).await.1, 10);
    });
}

#[test]
fn what_changes_hands_is_left_to_those_who_bring_it() {
    run(async {
        let motion = Some(Motion::Pending(vec![OLD, STAYS, NEW]));
        let world = world(Slice { motion, ..at_rest() });
        world.store(STAYS, &keys(10), 1).await;
        world.reach(&[STAYS, Place::Third.store(), NEW]);
        let _repairer = world.repairer(OLD, true, |_| {});
        // All but that one.
        world.until(|| world.counted(OLD, Counter::Exchanges) >= 15).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!((world.counted(OLD, Counter::Exchanges), world.holding(OLD).await.1), (15, 0));
    });
}
