//! A snapshot from the leader and the log that it covers: one replaces the other, whenever power fails.

use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine, Snapshot};
use openraft::{RaftLogReader, RaftSnapshotBuilder, StorageHelper};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::{commit, entry, log_id};
use crate::coordination::nookeeper::store::log::Outcome;
use crate::coordination::nookeeper::store::{LogStore, Machine, SimulatedFile, open};
use crate::coordination::nookeeper::types::Types;

/// Where the leader's snapshot ends.
const LAST: u64 = 20;

/// What a leader sends.
async fn snapshot() -> Snapshot<Types> {
    let (mut log, mut leader) = open(SimulatedFile::new().open().unwrap()).unwrap();
    commit(&mut log, &mut leader, (0..=LAST).map(|index| entry(1, index)).collect()).await;
    leader.build_snapshot().await.unwrap()
}

/// A follower with a snapshot of its own, up to 4, committed entries up to 9 and one more.
async fn follower(file: &SimulatedFile) -> (LogStore, Machine) {
    let (mut log, mut machine) = open(file.open().unwrap()).unwrap();
    commit(&mut log, &mut machine, (0..5).map(|index| entry(1, index)).collect()).await;
    machine.build_snapshot().await.unwrap();
    log.purge(log_id(1, 2)).await.unwrap();
    commit(&mut log, &mut machine, (5..10).map(|index| entry(1, index)).collect()).await;
    // With it, how far it is committed reaches the disk.
    log.blocking_append([entry(1, 10)]).await.unwrap();
    (log, machine)
}

/// What the Raft crate does with one: the machine may be polled only after the log was purged.
async fn arrive(log: &mut LogStore, machine: &mut Machine, from_leader: Snapshot<Types>) -> Outcome<()> {
    machine.begin_receiving_snapshot().await?;
    log.purge(log_id(1, LAST)).await?;
    machine.install_snapshot(&from_leader.meta, from_leader.snapshot).await
}

#[tokio::test]
async fn power_that_fails_leaves_the_log_or_the_snapshot() {
    let mut old = 0;
    for changes in 0.. {
        let mut arrived = false;
        for seed in 0..10 {
            let file = SimulatedFile::new();
            let (mut log, mut machine) = follower(&file).await;
            file.cut_power_after(changes);
            arrived = arrive(&mut log, &mut machine, snapshot().await).await.is_ok();
            file.power_loss(&mut SmallRng::seed_from_u64(seed));
            drop((log, machine));

            let (mut log, mut machine) = open(file.open().unwrap()).unwrap();
            let started = StorageHelper::new(&mut log, &mut machine).get_initial_state().await;
            let state = started.unwrap_or_else(|error| panic!("after {changes} changes, seed {seed}: {error}"));
            let (applied, purged) =
                (machine.replica().applied(), log.get_log_state().await.unwrap().last_purged_log_id);
            if applied == Some(log_id(1, LAST)) {
                assert_eq!((state.committed, purged), (applied, applied));
                assert_eq!(log.try_get_log_entries(..).await.unwrap(), []);
            } else {
                assert!(!arrived, "after {changes} changes, seed {seed}: {applied:?}");
                assert_eq!((applied, purged), (Some(log_id(1, 9)), Some(log_id(1, 2))));
                old += 1;
            }
        }
        if arrived {
            break;
        }
    }
    assert!(old > 0, "power never failed before the snapshot was there");
}

#[tokio::test]
async fn what_comes_after_the_snapshot_stays() {
    let file = SimulatedFile::new();
    let (mut log, mut machine) = follower(&file).await;
    let after: Vec<_> = (LAST + 1..LAST + 3).map(|index| entry(1, index)).collect();
    log.blocking_append((11..=LAST).map(|index| entry(1, index)).chain(after.clone())).await.unwrap();
    arrive(&mut log, &mut machine, snapshot().await).await.unwrap();
    assert_eq!(log.try_get_log_entries(..).await.unwrap(), after);
    machine.apply(after).await.unwrap();
    // A snapshot of its own later on is none from the leader.
    machine.build_snapshot().await.unwrap();
    log.purge(log_id(1, LAST + 1)).await.unwrap();
    assert_eq!(log.try_get_log_entries(..).await.unwrap(), [entry(1, LAST + 2)]);
}
