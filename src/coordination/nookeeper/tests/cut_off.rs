//! A replica that the network cuts off from the others, and is heard again.

use std::time::Duration;

use bytes::Bytes;

use super::simulated::{host, simulate};
use super::support::{id, path, timing, until};
use crate::coordination::api::{Service, Session, SessionState};
use crate::coordination::nookeeper::{Nookeeper, Timing};
use crate::coordination::tree::CreateMode;

/// Of the session that is renewed all the time.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(60);

/// What happened around a replica that was cut off, from its user's view.
#[derive(PartialEq, Eq, Debug)]
struct Seen {
    /// It said that it shows all that was acknowledged while it did not.
    stale_after_sync: bool,
    /// It ended a session that lives.
    ended_a_session: bool,
    /// When each step was over, in milliseconds.
    times_ms: Vec<u128>,
}

/// Cuts off the leader, or a follower, while the others go on; then lets it in again.
fn cut_off(seed: u64, the_leader: bool) -> Seen {
    let timing = Timing { call_timeout_ms: 3000, ..timing() };
    simulate(seed, timing, async move |nodes| {
        let leader = led(&nodes, &[1, 2, 3]).await;
        let alone = if the_leader { leader } else { leader % 3 + 1 };
        let others = Vec::from_iter([1, 2, 3].into_iter().filter(|store| *store != alone));
        let there = nodes[others[0] as usize - 1].open(SHORT).await.unwrap();
        there.create(&path("/a"), Bytes::from_static(b"old"), CreateMode::Persistent).await.unwrap();
        tokio::select! {
            biased;
            () = keep_alive(&*there) => unreachable!("it goes on for ever"),
            seen = go_through(&nodes, alone, &others, &*there) => seen,
        }
    })
}

async fn keep_alive(session: &dyn Session) {
    loop {
        // What comes of it is seen at the replica that was cut off.
        let _ = session.renew().await;
        tokio::time::sleep(SHORT / 4).await;
    }
}

async fn go_through(nodes: &[Nookeeper], alone: u128, others: &[u128], there: &dyn Session) -> Seen {
    let node = |store: u128| &nodes[store as usize - 1];
    let mut seen = Seen { stale_after_sync: false, ended_a_session: false, times_ms: vec![] };
    let here = node(alone).open(LONG).await.unwrap();
    until("the node to be everywhere", || nodes.iter().all(|node| data(node) == Some("old".into()))).await;
    note(&mut seen);

    others.iter().for_each(|other| turmoil::partition(host(alone), host(*other)));
    led(nodes, others).await;
    there.set(&path("/a"), Bytes::from_static(b"new"), None).await.unwrap();
    note(&mut seen);
    tokio::time::sleep(SHORT * 2).await;
    state_is(&*here, SessionState::Suspended).await;
    seen.stale_after_sync = here.sync().await.is_ok() && data(node(alone)) != Some("new".into());
    seen.ended_a_session = !node(alone).with_state(|state| state.is_open(there.id()));
    note(&mut seen);

    others.iter().for_each(|other| turmoil::repair(host(alone), host(*other)));
    state_is(&*here, SessionState::Connected).await;
    here.renew().await.unwrap();
    here.sync().await.unwrap();
    seen.stale_after_sync |= data(node(alone)) != Some("new".into());
    assert!(node(others[0]).with_state(|state| state.is_open(there.id())), "it was renewed all the time");
    note(&mut seen);
    seen
}

fn note(seen: &mut Seen) {
    seen.times_ms.push(turmoil::sim_elapsed().expect("it runs in a simulation").as_millis());
}

fn data(node: &Nookeeper) -> Option<Bytes> {
    node.with_state(|state| Some(state.tree().get(&path("/a")).ok()?.data.clone()))
}

async fn state_is(session: &dyn Session, wanted: SessionState) {
    session.state().wait_for(|state| *state == wanted).await.unwrap();
}

/// Waits until these replicas follow one of them; answers which.
async fn led(nodes: &[Nookeeper], among: &[u128]) -> u128 {
    let leader = |store: &u128| nodes[*store as usize - 1].status().leader;
    let leads = |candidate: u128| among.iter().all(|store| leader(store) == Some(id(candidate)));
    until("a leader", || among.iter().any(|candidate| leads(*candidate))).await;
    *among.iter().find(|candidate| leads(**candidate)).expect("it was found")
}

#[test]
fn it_passes_for_current_no_more_and_ends_nothing() {
    for (seed, the_leader) in [(1, false), (2, true), (3, false), (4, true)] {
        let seen = cut_off(seed, the_leader);
        assert!(!seen.stale_after_sync && !seen.ended_a_session, "seed {seed}: {seen:?}");
    }
}

#[test]
fn what_happens_follows_from_the_seed() {
    assert_eq!(cut_off(5, true), cut_off(5, true));
    assert_ne!(cut_off(5, true).times_ms, cut_off(6, true).times_ms);
}

#[cfg(feature = "mutants")]
mod mutants {
    use super::{Seen, cut_off};
    use crate::mutants::{Mutant, activate};

    fn with(mutant: Mutant) -> Seen {
        activate(Some(mutant));
        let seen = cut_off(1, false);
        activate(None);
        seen
    }

    #[test]
    fn a_copy_that_is_taken_for_current_is_caught() {
        assert!(with(Mutant::LearnerReadAsCurrent).stale_after_sync);
    }

    #[test]
    fn a_replica_that_ends_sessions_by_its_own_clock_is_caught() {
        let seen = with(Mutant::SessionExpiryByLocalClock);
        assert!(seen.ended_a_session, "{seen:?}");
    }
}
