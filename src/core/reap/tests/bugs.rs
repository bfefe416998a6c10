//! The classic bugs, named for what they are.

use super::world::{AGE_MS, GRACE_MS, OWNERS, World};
use crate::core::id::StoreId;
use crate::core::reap::{Block, Stray};

const STAND_IN: usize = 3;

/// A value that all owners hold, and a reader's context of it.
fn written() -> World {
    let mut world = World::new();
    world.write(0, None, Some(0));
    world.exchange();
    world.read(0);
    world
}

/// The same, and a stand-in keeps a copy.
fn with_copy() -> World {
    let mut world = written();
    let copy = world.post(0, STAND_IN).expect("it holds it");
    world.arrive(copy);
    world
}

/// It is deleted at all owners, and the grace is over.
fn deleted(mut world: World) -> World {
    world.write(0, None, None);
    world.exchange();
    world.pass(GRACE_MS + AGE_MS + 1);
    world
}

fn gone(world: &World) -> bool {
    (0..OWNERS).all(|owner| world.holds(owner).is_none())
}

#[test]
fn a_tombstone_that_everybody_holds_is_reaped() {
    let mut world = deleted(written());
    assert_eq!(world.reap_to_the_end(0), Ok(()));
    assert!(gone(&world));
}

#[test]
fn a_tombstone_is_reaped_while_a_crashed_fallback_still_holds_the_old_value() {
    let mut world = with_copy();
    world.turn_off(STAND_IN);
    let mut world = deleted(world);
    assert_eq!(world.reap_to_the_end(0), Err(Block::Unreachable(StoreId(STAND_IN as u128))));
    world.start(STAND_IN);
    let hint = Stray::Hint(StoreId((STAND_IN % OWNERS) as u128));
    assert_eq!(world.reap_to_the_end(0), Err(Block::Holds(StoreId(STAND_IN as u128), hint)));
    world.hand_off(STAND_IN);
    world.check();
    assert_eq!(world.reap_to_the_end(0), Ok(()));
    assert!(gone(&world));
}

#[test]
fn a_tombstone_is_reaped_while_a_lapsed_departing_owner_still_holds_the_old_value() {
    let mut world = with_copy();
    world.leave_or_return(STAND_IN);
    let mut world = deleted(world);
    assert_eq!(world.reap_to_the_end(0), Err(Block::Absent(StoreId(STAND_IN as u128))));
    world.leave_or_return(STAND_IN);
    assert!(world.reap_to_the_end(0).is_err(), "it has returned with what it holds");
    world.hand_off(STAND_IN);
    assert_eq!(world.reap_to_the_end(0), Ok(()));
    assert!(gone(&world));
    world.check();
}

#[test]
fn a_tombstone_is_reaped_while_an_exchange_in_flight_still_holds_the_old_value() {
    // The stand-in had it until a moment ago, and sent it to an owner.
    let mut world = deleted(with_copy());
    let sent = world.post(STAND_IN, 1).expect("it holds it");
    world.hand_off(STAND_IN);
    // The others agree at once. The rest is for what is under way.
    while !world.rests(0) {
        assert_eq!(world.reap(0, 0), None);
    }
    world.arrive(sent);
    world.check();
    assert_eq!(world.reap_to_the_end(0), Ok(()));
    world.arrive(sent);
    world.check();
    assert!(gone(&world));
}

/// A round has looked twice when the key is deleted, and what was read before that is still under way.
pub fn reap_at_once() {
    let mut world = written();
    while !world.has_looked(0) {
        assert_eq!(world.reap(0, 0), None);
        world.pass(AGE_MS / 4);
    }
    let stale = world.post(0, 1).expect("it holds it");
    world.write(0, None, None);
    world.exchange();
    while world.reap(0, 0).is_none() {}
    world.arrive(stale);
    world.check();
}

#[test]
fn a_tombstone_is_reaped_before_what_was_under_way_when_it_was_written_has_arrived() {
    reap_at_once();
}

#[test]
fn a_write_after_delete_and_reap_is_swallowed_by_a_late_tombstone() {
    let mut world = deleted(written());
    let late = world.post(0, 1).expect("it holds it");
    assert_eq!(world.reap_to_the_end(0), Ok(()));
    world.write(1, None, Some(0));
    world.arrive_late(late);
    assert_eq!(world.values(1), 1);
    world.check();
}

#[test]
fn an_actor_is_continued_after_the_reap() {
    let mut world = deleted(written());
    let before = world.mark(0).expect("it has minted");
    assert_eq!(world.reap_to_the_end(0), Ok(()));
    world.write(0, Some(0), Some(0));
    assert_ne!(world.mark(0), Some(before));
}

#[test]
fn an_actor_is_continued_after_its_entry_was_pruned() {
    let mut world = written();
    world.write(1, None, Some(0));
    world.exchange();
    world.pass(GRACE_MS + AGE_MS + 1);
    let before = world.mark(0).expect("it has minted");
    assert_eq!(world.reap_to_the_end(0), Ok(()));
    assert_eq!((world.mark(0), world.values(0)), (None, 1));
    assert_eq!(world.holds(0).map(|record| record.object.context.entries()), Some(1));
    world.write(0, None, Some(0));
    assert_ne!(world.mark(0), Some(before));
    world.exchange();
    world.check();
}

#[test]
fn an_expired_value_is_covered_by_nobody_and_reaped_all_the_same() {
    let mut world = World::new();
    world.write(0, None, Some(10 * GRACE_MS));
    world.exchange();
    world.pass(10 * GRACE_MS);
    assert_eq!(world.values(0), 0, "it has expired");
    world.pass(GRACE_MS / 2);
    assert_eq!(world.reap_to_the_end(0), Ok(()));
    assert!(!gone(&world), "its grace counts from the expiry");
    world.pass(GRACE_MS);
    assert_eq!(world.reap_to_the_end(0), Ok(()));
    assert!(gone(&world));
}

#[test]
fn a_removal_that_one_owner_missed_is_completed_by_it() {
    let mut world = deleted(written());
    while world.holds(1).is_some() {
        assert_eq!(world.reap(0, 1), None);
        world.pass(AGE_MS / 4);
    }
    // The first owner stops in the middle of it.
    world.start(0);
    assert!(world.holds(0).is_some() || world.holds(2).is_some());
    for owner in 0..OWNERS {
        assert_eq!(world.reap_to_the_end(owner), Ok(()));
    }
    assert!(gone(&world));
}

#[test]
fn a_tombstone_that_an_exchange_brings_back_in_the_middle_of_the_reap_covers_nothing_and_goes_again() {
    let mut world = deleted(written());
    while world.holds(1).is_some() {
        assert_eq!(world.reap(0, 1), None);
        world.pass(AGE_MS / 4);
    }
    world.exchange();
    world.write(2, None, Some(0));
    world.exchange();
    world.check();
    assert_eq!(world.values(1), 1);
}
