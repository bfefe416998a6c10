//! What a replica is after a restart, after a snapshot from the leader, and after a forced recovery.

use std::collections::{BTreeMap, BTreeSet};

use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{RaftSnapshotBuilder, StorageHelper, Vote};

use super::{SESSION, command, commit, entry, log_id, open_path};
use crate::coordination::api::SessionState;
use crate::coordination::nookeeper::store::{RecoverError, SimulatedFile, open, recover, survey};
use crate::coordination::nookeeper::types::{Endpoint, RaftId};
use crate::coordination::state::Action;
use crate::coordination::watch::Watched;
use crate::core::id::StoreId;

fn own(generation: u32) -> RaftId {
    RaftId { generation, store: StoreId(7) }
}

fn endpoint() -> Endpoint {
    Endpoint { node: 3, address: "127.0.0.1:1".into() }
}

#[tokio::test]
async fn a_restart_applies_what_was_committed_after_the_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("coordination.redb");
    let state = {
        let (mut log, mut machine) = open_path(&path).unwrap();
        commit(&mut log, &mut machine, (0..10).map(|index| entry(1, index)).collect()).await;
        machine.build_snapshot().await.unwrap();
        log.purge(log_id(1, 9)).await.unwrap();
        commit(&mut log, &mut machine, (10..80).map(|index| entry(2, index)).collect()).await;
        log.blocking_append([entry(2, 80)]).await.unwrap();
        machine.replica().read(Clone::clone)
    };
    let (mut log, mut machine) = open_path(&path).unwrap();
    assert_eq!(machine.replica().applied(), Some(log_id(1, 9)), "until the crate starts");
    let initial = StorageHelper::new(&mut log, &mut machine).get_initial_state().await.unwrap();
    assert_eq!(initial.committed, Some(log_id(2, 79)));
    assert_eq!(machine.replica().read(Clone::clone), state);
}

#[tokio::test]
async fn readers_are_told_of_what_is_applied() {
    let (mut log, mut machine) = open(SimulatedFile::new().open().unwrap()).unwrap();
    let replica = machine.replica();
    let path = "/n1".parse().unwrap();
    assert!(replica.add_watch(SESSION, path, Watched::Node).is_none());
    assert_eq!(*replica.session_state(SESSION).borrow(), SessionState::Expired);

    commit(&mut log, &mut machine, vec![entry(1, 0)]).await;
    let state = replica.session_state(SESSION);
    let (_, watch) = replica.add_watch(SESSION, "/n1".parse().unwrap(), Watched::Node).unwrap();
    let waiting = tokio::spawn({
        let replica = replica.clone();
        async move {
            replica.wait_applied(1).await;
            replica.read(|state| state.tree().stat(&"/n1".parse().unwrap()).is_some())
        }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished() && !watch.has_changed().unwrap());
    commit(&mut log, &mut machine, vec![entry(1, 1)]).await;
    assert!(waiting.await.unwrap() && watch.has_changed().unwrap());

    commit(&mut log, &mut machine, vec![command(1, 2, Action::Close { session: SESSION })]).await;
    assert_eq!(*state.borrow(), SessionState::Expired);
    assert!(watch.has_changed().is_err());
}

/// The session that lives on there, and the one that does not.
#[tokio::test]
async fn a_snapshot_from_the_leader_replaces_all_and_tells_all() {
    let (mut log, mut leader) = open(SimulatedFile::new().open().unwrap()).unwrap();
    commit(&mut log, &mut leader, (0..5).map(|index| entry(1, index)).collect()).await;
    let opened = command(1, 5, Action::Open { timeout_ms: 10_000 });
    commit(&mut log, &mut leader, vec![opened.clone(), command(1, 6, Action::Close { session: SESSION })]).await;
    let snapshot = leader.build_snapshot().await.unwrap();

    let file = SimulatedFile::new();
    let (mut log, mut follower) = open(file.open().unwrap()).unwrap();
    commit(&mut log, &mut follower, vec![entry(1, 0), command(1, 1, Action::Open { timeout_ms: 10_000 })]).await;
    let replica = follower.replica();
    let lives = replica.read(|state| state.sessions().last().unwrap());
    let states = [SESSION, lives].map(|session| replica.session_state(session));
    let (_, watch) = replica.add_watch(lives, "/n1".parse().unwrap(), Watched::Node).unwrap();
    follower.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
    assert_eq!(states.map(|state| *state.borrow()), [SessionState::Expired, SessionState::Connected]);
    assert!(watch.has_changed().unwrap());
    assert_eq!(replica.read(Clone::clone), leader.replica().read(Clone::clone));

    let mut older = follower.clone();
    file.crash();
    assert!(older.build_snapshot().await.is_err(), "the file is gone");
    let (_, follower) = open(file.open().unwrap()).unwrap();
    assert_eq!(follower.replica().applied(), Some(log_id(1, 6)));
    assert_eq!(follower.replica().read(Clone::clone), leader.replica().read(Clone::clone));
}

#[tokio::test]
async fn a_snapshot_that_is_none_stops_the_replica() {
    let (_, mut machine) = open(SimulatedFile::new().open().unwrap()).unwrap();
    let meta = machine.build_snapshot().await.unwrap().meta;
    let garbage = Box::new(std::io::Cursor::new(vec![1, 2, 3]));
    assert!(machine.install_snapshot(&meta, garbage).await.is_err());
    assert_eq!(machine.replica().read(Clone::clone), Default::default());
}

/// Snapshot, committed entries, and entries of which it does not know whether they are.
#[tokio::test]
async fn a_recovered_replica_holds_all_it_held_and_votes_alone() {
    let file = SimulatedFile::new();
    let (mut log, mut machine) = open(file.open().unwrap()).unwrap();
    log.save_vote(&Vote::new(5, own(0))).await.unwrap();
    commit(&mut log, &mut machine, (0..10).map(|index| entry(1, index)).collect()).await;
    machine.build_snapshot().await.unwrap();
    log.purge(log_id(1, 4)).await.unwrap();
    commit(&mut log, &mut machine, (10..15).map(|index| entry(2, index)).collect()).await;
    let unknown: Vec<_> = (15..18).map(|index| entry(2, index)).collect();
    log.blocking_append(unknown.clone()).await.unwrap();
    machine.apply(unknown).await.unwrap();
    let mut expected = machine.replica().read(Clone::clone);
    expected.recover(1).unwrap();
    drop((log, machine));

    let before = survey(file.open().unwrap()).unwrap();
    assert_eq!((before.generation, before.last), (0, log_id(2, 17)));
    let recovered = recover(file.open().unwrap(), own(1), endpoint()).unwrap();
    assert_eq!(recovered.before, before.revision);
    assert_eq!((recovered.last, recovered.ended), (log_id(2, 17), vec![SESSION]));
    assert!(recovered.revision > recovered.before);

    let after = survey(file.open().unwrap()).unwrap();
    assert_eq!((after.generation, after.last.index, after.revision), (1, 18, recovered.revision));
    assert_eq!(after.voters, BTreeMap::from([(own(1), endpoint())]));
    let (mut log, mut machine) = open(file.open().unwrap()).unwrap();
    let initial = StorageHelper::new(&mut log, &mut machine).get_initial_state().await.unwrap();
    assert_eq!(machine.replica().read(Clone::clone), expected);
    let membership = initial.membership_state.effective();
    assert_eq!(membership.voter_ids().collect::<BTreeSet<_>>(), BTreeSet::from([own(1)]));
    assert_eq!(membership.get_node(&own(1)), Some(&endpoint()));
    assert_eq!(initial.committed.map(|last| (last.leader_id.term, last.index)), Some((6, 18)));
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(6, own(1))));
}

#[tokio::test]
async fn a_recovery_that_makes_no_sense_leaves_the_file_as_it_is() {
    let file = SimulatedFile::new();
    let refused = recover(file.open().unwrap(), own(1), endpoint());
    assert!(matches!(refused, Err(RecoverError::Empty)));

    let (mut log, mut machine) = open(file.open().unwrap()).unwrap();
    commit(&mut log, &mut machine, (0..3).map(|index| entry(1, index)).collect()).await;
    drop((log, machine));
    assert!(matches!(recover(file.open().unwrap(), own(0), endpoint()), Err(RecoverError::Generation(_))));
    assert!(recover(file.open().unwrap(), own(1), endpoint()).is_ok());
    assert!(matches!(recover(file.open().unwrap(), own(1), endpoint()), Err(RecoverError::Generation(_))));
    assert!(recover(file.open().unwrap(), own(2), endpoint()).is_ok());
}
