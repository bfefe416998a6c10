//! When which pair is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::repair::{Cause, Due, Ended, Look, Mark, PairId, Schedule};
use crate::core::ring::{Member, Motion, Ring, Slice};

const OWN: StoreId = StoreId(1);
const ROUND: Duration = Duration::from_secs(1000);
const PARTITIONS: u16 = 16;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn epoch(counter: u64) -> Epoch {
    Epoch { generation: 0, counter }
}

/// Stores 1 to 4; each partition has the first three, but for those that are changed.
fn ring(counter: u64, changed: &[(u16, Slice<u16>)]) -> Ring {
    let member = |i: u128| Member {
        store: StoreId(i),
        node: NodeId(i as u32),
        address: format!("node{i}:8000"),
        zone: "default".into(),
        weight: 1,
    };
    let mut slices = vec![Slice::at_rest(vec![0, 1, 2]); PARTITIONS.into()];
    changed.iter().for_each(|(partition, slice)| slices[*partition as usize] = slice.clone());
    Ring::of(epoch(counter), 3, (1..=4).map(member).collect(), &slices).expect("a ring")
}

struct Stage {
    schedule: Schedule,
    ring: Ring,
    live: BTreeSet<StoreId>,
    lost: BTreeSet<StoreId>,
    marks: BTreeMap<Partition, Mark>,
}

impl Stage {
    fn new(is_unclean: bool) -> Stage {
        Stage {
            schedule: Schedule::new(OWN, ROUND, is_unclean),
            ring: ring(1, &[]),
            live: BTreeSet::new(),
            lost: BTreeSet::new(),
            marks: BTreeMap::new(),
        }
    }

    fn look(&mut self, now: u64) -> Vec<(Partition, Mark)> {
        let look = Look { ring: &self.ring, live: &self.live, lost: &self.lost, marks: &self.marks };
        self.schedule.look(s(now), &look)
    }

    fn lives(&mut self, stores: &[u128]) {
        self.live = stores.iter().copied().map(StoreId).collect();
    }

    /// Compares all that is due, one after the other.
    fn compare_all(&mut self, now: u64) -> Vec<Due> {
        let mut compared = vec![];
        while let Some(due) = self.schedule.next(s(now), Cause::Round, &BTreeSet::new()) {
            self.schedule.done(s(now), &due, Ended::Whole);
            compared.push(due);
            assert!(compared.len() < 1000, "it does not end");
        }
        compared
    }

    /// One that is quiet: everything was compared.
    fn quiet() -> Stage {
        let mut stage = Stage::new(false);
        stage.lives(&[1, 2, 3, 4]);
        stage.look(0);
        stage.compare_all(0);
        stage
    }
}

fn pairs(compared: &[Due]) -> BTreeSet<PairId> {
    compared.iter().map(|due| due.id).collect()
}

#[test]
fn each_pair_comes_once_in_a_round_and_one_of_both_leads() {
    let mut stage = Stage::quiet();
    let (mut led, mut most) = (BTreeMap::<PairId, usize>::new(), 0);
    for now in (1..=1001).step_by(10) {
        stage.look(now);
        let compared = stage.compare_all(now);
        most = most.max(compared.len());
        assert!(compared.iter().all(|due| due.cause == Cause::Round));
        compared.iter().for_each(|due| *led.entry(due.id).or_default() += 1);
    }
    assert!(most < 8, "{most} at once");
    assert!(led.values().all(|times| *times == 1), "{led:?}");
    assert_eq!(led.len() as u16, PARTITIONS, "half of the pairs with two others");
    let standing = stage.schedule.standing(s(1000));
    assert_eq!((standing.led, standing.compared, standing.urgent), (16, 16, BTreeMap::new()));
}

#[test]
fn first_rounds_are_spread() {
    let mut stage = Stage::new(false);
    stage.look(0);
    stage.lives(&[2, 3, 4]);
    let rounds: BTreeSet<Duration> = (1..=1000).filter_map(|now| stage.schedule.wakes_at(s(now))).collect();
    assert!(rounds.len() > 10, "{rounds:?}");
}

#[test]
fn after_an_unclean_start_everything_is_compared_and_after_a_clean_one_what_is_led() {
    let mut unclean = Stage::new(true);
    unclean.look(0);
    assert_eq!(unclean.compare_all(0), [], "nobody is there");
    unclean.lives(&[2]);
    unclean.look(1);
    let compared = unclean.compare_all(1);
    assert_eq!(compared.len() as u16, PARTITIONS);
    assert!(compared.iter().all(|due| due.id.1 == StoreId(2) && due.cause == Cause::Started));
    unclean.lives(&[2, 3]);
    unclean.look(2);
    assert_eq!(unclean.compare_all(2).len() as u16, PARTITIONS);

    let mut clean = Stage::new(false);
    clean.lives(&[2, 3]);
    clean.look(0);
    let compared = clean.compare_all(0);
    assert_eq!(compared.len() as u16, PARTITIONS);
    assert!(compared.iter().all(|due| due.cause == Cause::Returned));
}

#[test]
fn who_returns_is_compared_by_the_one_who_leads() {
    let mut stage = Stage::quiet();
    stage.lives(&[1, 3, 4]);
    stage.look(1);
    assert_eq!(stage.compare_all(1), []);
    stage.lives(&[1, 2, 3, 4]);
    stage.look(2);
    let compared = stage.compare_all(2);
    assert_eq!(compared.len() as u16, PARTITIONS / 2);
    assert!(compared.iter().all(|due| due.id.1 == StoreId(2) && due.cause == Cause::Returned));
}

#[test]
fn a_mark_goes_when_all_others_were_compared_since() {
    let mut stage = Stage::quiet();
    stage.lives(&[1, 2]);
    stage.marks.insert(Partition(5), 1);
    assert_eq!(stage.look(1), []);
    let compared = stage.compare_all(1);
    assert_eq!(pairs(&compared), BTreeSet::from([(Partition(5), StoreId(2))]));
    assert_eq!(stage.look(2), [], "one is missing");
    stage.lives(&[1, 2, 3]);
    stage.look(3);
    let due = stage.schedule.next(s(3), Cause::Marked, &BTreeSet::new()).expect("also in quiet hours");
    assert_eq!((due.id, due.cause, due.mark), ((Partition(5), StoreId(3)), Cause::Marked, Some(1)));
    // It is marked anew while that is under way.
    stage.marks.insert(Partition(5), 2);
    stage.look(4);
    stage.schedule.done(s(4), &due, Ended::Whole);
    assert_eq!(stage.look(5), [], "what was compared before the mark proves nothing");
    assert_eq!(stage.compare_all(5).iter().filter(|due| due.id.0 == Partition(5)).count(), 2);
    assert_eq!(stage.look(6), [(Partition(5), 2)]);
    stage.marks.clear();
    assert_eq!(stage.look(7), []);
}

#[test]
fn nobody_is_waited_for_whose_data_is_gone_nor_for_a_partition_without_a_place() {
    let mut stage = Stage::quiet();
    stage.ring = ring(2, &[(1, Slice { since: epoch(2), ..Slice::at_rest(vec![1, 2, 3]) })]);
    stage.lives(&[1, 2]);
    stage.lost.insert(StoreId(3));
    stage.marks.extend([(Partition(1), 1), (Partition(2), 2)]);
    assert_eq!(stage.look(1), [(Partition(1), 1)]);
    stage.compare_all(1);
    assert_eq!(stage.look(2), [(Partition(1), 1), (Partition(2), 2)]);
}

#[test]
fn what_leaves_something_out_clears_no_mark_and_comes_again() {
    let mut stage = Stage::quiet();
    stage.lives(&[1, 2, 3]);
    stage.marks.insert(Partition(5), 1);
    stage.look(1);
    for _ in 0..2 {
        let due = stage.schedule.next(s(1), Cause::Round, &BTreeSet::new()).expect("two are to be compared");
        stage.schedule.done(s(1), &due, Ended::Skipping);
    }
    assert_eq!((stage.look(1), stage.schedule.next(s(1), Cause::Round, &BTreeSet::new())), (vec![], None));
    assert_eq!(stage.schedule.wakes_at(s(1)), Some(Duration::from_millis(1500)));
    assert!(stage.schedule.next(s(2), Cause::Round, &BTreeSet::new()).is_some());
}

#[test]
fn in_motion_only_marked_partitions_are_compared() {
    let pending =
        Slice { motion: Some(Motion::Pending(vec![0, 1, 3])), since: epoch(2), ..Slice::at_rest(vec![0, 1, 2]) };
    let mut stage = Stage::quiet();
    stage.ring = ring(2, &[(4, pending.clone())]);
    stage.look(1);
    stage.schedule.ask(s(1), true);
    assert!(stage.compare_all(1).iter().all(|due| due.id.0 != Partition(4)));
    stage.marks.insert(Partition(4), 1);
    stage.look(2);
    stage.schedule.done(
        s(2),
        &Due { mark: None, ..stage.schedule.next(s(2), Cause::Round, &BTreeSet::new()).unwrap() },
        Ended::Whole,
    );
    stage.look(3);
    assert_eq!(pairs(&stage.compare_all(3)).len(), 2);
    // A new age of the partition: what was shown was shown of other owners.
    let switched =
        Slice { motion: Some(Motion::Switched(vec![0, 1, 2])), since: epoch(3), ..Slice::at_rest(vec![0, 1, 3]) };
    stage.ring = ring(3, &[(4, switched)]);
    assert_eq!(stage.look(4), []);
    assert_eq!(pairs(&stage.compare_all(4)), BTreeSet::from([(Partition(4), StoreId(2)), (Partition(4), StoreId(4))]));
    assert_eq!(stage.look(5), [(Partition(4), 1)]);
}

#[test]
fn an_exchange_of_another_age_counts_for_nothing() {
    let mut stage = Stage::quiet();
    stage.marks.insert(Partition(4), 1);
    stage.look(1);
    let due = stage.schedule.next(s(1), Cause::Round, &BTreeSet::new()).unwrap();
    stage.ring = ring(2, &[(4, Slice { since: epoch(2), ..Slice::at_rest(vec![0, 1, 2]) })]);
    stage.look(2);
    assert!(!stage.schedule.stands(&due));
    stage.schedule.done(s(2), &due, Ended::Whole);
    stage.look(3);
    assert_eq!(pairs(&stage.compare_all(3)).len(), 2);
}

#[test]
fn quiet_hours_hold_rounds_and_returns() {
    let mut stage = Stage::quiet();
    stage.lives(&[1, 3]);
    stage.look(1);
    stage.lives(&[1, 2, 3]);
    stage.look(2);
    let next = |stage: &Stage, now| stage.schedule.next(s(now), Cause::Marked, &BTreeSet::new());
    assert_eq!(next(&stage, 5000), None);
    stage.schedule.ask(s(5000), false);
    let due = next(&stage, 5000).expect("an operator asks");
    assert_eq!(due.cause, Cause::Asked);
    stage.schedule.done(s(5000), &due, Ended::InPart);
    assert!(!stage.schedule.is_asked(&due.id));
}

#[test]
fn the_others_share_the_load() {
    let mut stage = Stage::new(true);
    stage.lives(&[2, 3]);
    stage.look(0);
    let first = stage.schedule.next(s(0), Cause::Round, &BTreeSet::new()).unwrap();
    let second = stage.schedule.next(s(0), Cause::Round, &BTreeSet::from([first.id])).unwrap();
    assert_ne!(first.id.1, second.id.1);
}

#[test]
fn pauses_grow_and_end_when_the_other_returns() {
    let mut stage = Stage::quiet();
    stage.marks.insert(Partition(0), 1);
    stage.look(1);
    let due = stage.schedule.next(s(1), Cause::Round, &BTreeSet::new()).unwrap();
    (0..20).for_each(|_| stage.schedule.failed(s(1), due.id));
    let comes = |stage: &Stage, now| {
        stage.schedule.next(s(now), Cause::Marked, &BTreeSet::new()).is_some_and(|next| next.id == due.id)
    };
    assert!(!comes(&stage, 60) && comes(&stage, 61));
    stage.live.remove(&due.id.1);
    stage.look(2);
    stage.live.insert(due.id.1);
    stage.look(3);
    assert!(comes(&stage, 3));
}
