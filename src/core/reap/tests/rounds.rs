//! One round, question by question.

use std::time::Duration;

use bytes::Bytes;

use crate::core::id::StoreId;
use crate::core::reap::{Answer, Block, Candidate, Question, Removal, Round, Standing, Step, Stray, Vouched};
use crate::core::version::Clock;

const OWNERS: [StoreId; 2] = [StoreId(0), StoreId(1)];
const OTHER: StoreId = StoreId(2);
const GRACE: Duration = Duration::from_secs(100);
const LASTING: Duration = Duration::from_secs(10);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn round() -> Round {
    Round::new(OWNERS.to_vec(), vec![OTHER], &[], Duration::ZERO).expect("nobody is absent")
}

/// How somebody stands who has run for so long.
fn well(ran: u64) -> Vouched {
    Vouched { life: 1, ran: secs(ran), taken: 0, lasting: LASTING, grace: GRACE, stray: None }
}

fn look(round: &mut Round, now: u64, how: impl Fn(StoreId) -> Vouched) -> Result<(), Block> {
    for store in [OWNERS[0], OWNERS[1], OTHER] {
        round.answered(store, Answer::Looked(how(store)), secs(now))?;
    }
    Ok(())
}

fn candidates(count: u8) -> Vec<Candidate> {
    let candidate = |i| Candidate { stored: Bytes::copy_from_slice(&[0, 0, i]), clock: Clock(i.into()), prunes: i > 1 };
    (0..count).map(candidate).collect()
}

/// A round that has looked twice and is to be told what is due.
fn cleared() -> Round {
    let mut round = round();
    look(&mut round, 0, |_| well(5)).unwrap();
    round.rested(LASTING);
    look(&mut round, 10, |_| well(15)).unwrap();
    assert_eq!(round.next(), Step::Fill);
    round
}

#[test]
fn everybody_is_asked_twice_and_then_the_owners() {
    let mut round = round();
    let everybody = vec![OWNERS[0], OWNERS[1], OTHER];
    assert_eq!(round.next(), Step::Ask(everybody.clone(), Question::Look));
    round.answered(OWNERS[1], Answer::Looked(well(0)), secs(0)).unwrap();
    assert_eq!(round.next(), Step::Ask(vec![OWNERS[0], OTHER], Question::Look), "who has answered is not asked again");
    look(&mut round, 1, |_| well(0)).unwrap();
    assert_eq!(round.next(), Step::Rest(secs(11)));
    round.rested(secs(10));
    assert_eq!(round.next(), Step::Rest(secs(11)));
    round.rested(secs(11));
    assert_eq!(round.next(), Step::Ask(everybody, Question::Look));
    look(&mut round, 11, |_| well(10)).unwrap();
    round.fill(candidates(3));
    let keys = candidates(3).into_iter().map(|key| (key.stored, key.clock)).collect();
    assert_eq!(round.next(), Step::Ask(OWNERS.to_vec(), Question::Held(keys)));
    // The first is held for too short a time by one, of the last, which is to be pruned, one owner has nothing.
    let held = |held: [Standing; 3]| Answer::Held(held.to_vec());
    let enough = Standing::Held(GRACE + secs(12));
    round.answered(OWNERS[0], held([enough, enough, enough]), secs(12)).unwrap();
    round
        .answered(OWNERS[1], held([Standing::Held(GRACE + secs(11)), Standing::Nothing, Standing::Nothing]), secs(12))
        .unwrap();
    let removal = Removal { stored: Bytes::from_static(&[0, 0, 1]), clock: Clock(1), prunes: false };
    assert_eq!(round.next(), Step::Ask(OWNERS.to_vec(), Question::Remove(vec![removal])));
    OWNERS.iter().for_each(|owner| round.answered(*owner, Answer::Removed(vec![true]), secs(13)).unwrap());
    assert_eq!(round.next(), Step::Fill);
    round.fill(vec![]);
    assert_eq!(round.next(), Step::Done);
}

#[test]
fn who_is_absent_or_holds_something_blocks() {
    let absent = Round::new(OWNERS.to_vec(), vec![], &[OTHER], Duration::ZERO);
    assert_eq!(absent.err(), Some(Block::Absent(OTHER)));
    for stray in [Stray::Hint(OWNERS[0]), Stray::Copy, Stray::NeedsSync] {
        let held = |store| Vouched { stray: (store == OTHER).then_some(stray), ..well(0) };
        assert_eq!(look(&mut round(), 0, held), Err(Block::Holds(OTHER, stray)));
    }
}

#[test]
fn who_has_changed_between_the_looks_blocks() {
    let again = |change: fn(Vouched) -> Vouched| {
        let mut round = round();
        look(&mut round, 0, |_| well(5)).unwrap();
        round.rested(LASTING);
        look(&mut round, 10, |store| if store == OTHER { change(well(15)) } else { well(15) })
    };
    assert_eq!(again(|same| same), Ok(()));
    assert_eq!(again(|one| Vouched { taken: 1, ..one }), Err(Block::Took(OTHER)));
    assert_eq!(again(|one| Vouched { life: 2, ..one }), Err(Block::Restarted(OTHER)));
    assert_eq!(again(|one| Vouched { stray: Some(Stray::Copy), ..one }), Err(Block::Holds(OTHER, Stray::Copy)));
}

#[test]
fn who_stood_still_is_waited_for() {
    let mut round = round();
    look(&mut round, 0, |_| well(5)).unwrap();
    round.rested(LASTING);
    look(&mut round, 10, |store| well(if store == OTHER { 8 } else { 15 })).unwrap();
    assert_eq!(round.next(), Step::Rest(secs(17)), "it has run for three seconds of ten");
    round.rested(secs(17));
    look(&mut round, 17, |_| well(22)).unwrap();
    assert_eq!(round.next(), Step::Fill);
}

#[test]
fn one_version_at_all_owners_or_none() {
    let mut round = cleared();
    round.fill(candidates(1));
    round.answered(OWNERS[0], Answer::Held(vec![Standing::Held(secs(1000))]), secs(10)).unwrap();
    round.answered(OWNERS[1], Answer::Held(vec![Standing::Other]), secs(10)).unwrap();
    assert_eq!(round.next(), Step::Fill, "nothing is removed");
    assert_eq!(round.differing().get(&OWNERS[1]), Some(&1));
}

#[test]
fn an_answer_without_all_keys_is_none() {
    let mut round = cleared();
    round.fill(candidates(2));
    OWNERS.iter().for_each(|owner| {
        round.answered(*owner, Answer::Held(vec![Standing::Held(secs(1000))]), secs(10)).unwrap();
    });
    assert!(matches!(round.next(), Step::Ask(_, Question::Remove(removals)) if removals.len() == 1));
}
