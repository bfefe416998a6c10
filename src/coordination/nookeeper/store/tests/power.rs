//! Power fails in the middle of a commit, and everything before that commit is still there.

use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{Entry, LogId, RaftLogReader, RaftSnapshotBuilder, Vote};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::entry;
use crate::coordination::nookeeper::store::{LogStore, Machine, SimulatedFile, open};
use crate::coordination::nookeeper::types::{RaftId, Types};
use crate::core::id::StoreId;

const SEEDS: u64 = 150;
const CALLS: u64 = 25;

/// What the file must hold.
#[derive(Clone, PartialEq, Debug, Default)]
struct Held {
    vote: Option<Vote<RaftId>>,
    purged: Option<LogId<RaftId>>,
    entries: Vec<Entry<Types>>,
    snapshot: Option<LogId<RaftId>>,
}

impl Held {
    async fn read(log: &mut LogStore, machine: &mut Machine) -> Held {
        let state = log.get_log_state().await.unwrap();
        let entries = log.try_get_log_entries(..).await.unwrap();
        assert_eq!(state.last_log_id, entries.last().map(|entry| entry.log_id).or(state.last_purged_log_id));
        let snapshot = machine.get_current_snapshot().await.unwrap();
        Held {
            vote: log.read_vote().await.unwrap(),
            purged: state.last_purged_log_id,
            entries,
            snapshot: snapshot.and_then(|snapshot| snapshot.meta.last_log_id),
        }
    }

    fn next_index(&self) -> u64 {
        self.entries.last().map(|entry| entry.log_id).or(self.purged).map_or(0, |last| last.index + 1)
    }
}

/// One call of the Raft crate, and what the file is to hold after it.
async fn call(rng: &mut SmallRng, term: u64, log: &mut LogStore, machine: &mut Machine, held: &Held) -> (Held, bool) {
    let mut after = held.clone();
    let next = held.next_index();
    let applied = machine.replica().applied();
    let mut unapplied = held.entries.iter().filter(|entry| Some(entry.log_id) > applied).cloned();
    let done = match rng.random_range(0..10) {
        0..4 => {
            let entries: Vec<_> = (next..next + rng.random_range(1..5)).map(|index| entry(term, index)).collect();
            after.entries.extend(entries.clone());
            log.blocking_append(entries).await.is_ok()
        }
        4 => {
            let vote = Vote::new(term, RaftId { generation: 0, store: StoreId(1) });
            after.vote = Some(vote);
            log.save_vote(&vote).await.is_ok()
        }
        5 => match unapplied.next_back() {
            Some(entry) => {
                after.entries.pop();
                log.truncate(entry.log_id).await.is_ok()
            }
            None => true,
        },
        6 | 7 => {
            let entries: Vec<_> = unapplied.collect();
            let committed = entries.last().map(|entry| entry.log_id).or(applied);
            machine.apply(entries).await.unwrap();
            log.save_committed(committed).await.is_ok()
        }
        8 => {
            after.snapshot = applied;
            machine.build_snapshot().await.is_ok()
        }
        _ => match held.snapshot {
            Some(to) => {
                after.entries.retain(|entry| entry.log_id > to);
                after.purged = Some(to);
                log.purge(to).await.is_ok()
            }
            None => true,
        },
    };
    (after, done)
}

#[tokio::test]
async fn all_that_was_committed_is_there_after_the_power_failed_in_a_commit() {
    let (mut failed, mut kept) = (0, 0);
    for seed in 0..SEEDS {
        let mut rng = SmallRng::seed_from_u64(seed);
        let file = SimulatedFile::new();
        let mut held = Held::default();
        for term in 1..4 {
            let (mut log, mut machine) = open(file.open().unwrap()).unwrap();
            assert_eq!(Held::read(&mut log, &mut machine).await, held, "seed {seed}, term {term}");
            let replay: Vec<_> =
                held.entries.iter().filter(|entry| Some(entry.log_id) > held.snapshot).cloned().collect();
            machine.apply(replay).await.unwrap();

            file.cut_power_after(rng.random_range(1..60));
            let mut possible = vec![held.clone()];
            for _ in 0..CALLS {
                let (after, done) = call(&mut rng, term, &mut log, &mut machine, &held).await;
                if !done {
                    possible.push(after);
                    break;
                }
                held = after;
                possible = vec![held.clone()];
            }
            failed += u64::from(possible.len() > 1);
            file.power_loss(&mut rng);
            drop((log, machine));

            let (mut log, mut machine) = open(file.open().unwrap()).unwrap();
            let found = Held::read(&mut log, &mut machine).await;
            assert!(possible.contains(&found), "seed {seed}, term {term}: {found:?} is none of {possible:?}");
            kept += u64::from(found != possible[0]);
            held = found;
            file.crash();
        }
    }
    assert!(failed > SEEDS && kept > 0, "power failed in {failed} commits, of which {kept} were whole");
}

/// The first thing that a new replica does may be cut short as well.
#[tokio::test]
async fn a_file_that_was_half_made_is_made_again() {
    for changes in 0.. {
        let mut was_made = false;
        for seed in 0..20 {
            let file = SimulatedFile::new();
            file.cut_power_after(changes);
            was_made = file.open().is_ok_and(|database| open(database).is_ok());
            file.power_loss(&mut SmallRng::seed_from_u64(seed));
            let (mut log, mut machine) = match file.open().map(open) {
                Ok(Ok(opened)) => opened,
                other => panic!("after {changes} changes, seed {seed}: {:?}", other.map(|opened| opened.map(drop))),
            };
            assert_eq!(Held::read(&mut log, &mut machine).await, Held::default());
        }
        if was_made {
            assert!(changes > 3, "it took {changes} changes");
            break;
        }
    }
}
