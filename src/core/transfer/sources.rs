//! From whom an arriving store copies.
//!
//! Its place in a quorum could have acknowledged any write that its predecessor acknowledged. So it must come to hold what the
//! predecessor holds; or, if that cannot be had, what all others hold together, because each write that the predecessor
//! acknowledged was acknowledged by some of them as well, nobody knows which. Who is lost for good is not waited for: what it alone
//! held is gone. An empty set of sources proves nothing and never completes a transfer.

use std::collections::BTreeSet;

use crate::core::id::StoreId;
use crate::core::ring::{Motion, Slice};

/// Whether a store can be copied from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// It is live, and holds what it acknowledged.
    Good,
    /// It is not live.
    Down,
    /// It may have lost what it acknowledged, and has not yet compared itself with the other owners.
    NeedsSync,
    /// What it held is gone for good: its node came with another store, or an operator declared it destroyed.
    Lost,
}

/// From whom to copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sources {
    /// From each of these, all they hold. Never empty.
    From(Vec<StoreId>),
    /// From nobody yet: these are needed, and each is not as it should be.
    Waiting(Vec<(StoreId, Condition)>),
    /// There is no owner left to copy from. Only an operator can decide what to do.
    Nobody,
}

/// The place at which `store` arrives in a partition: it is to have it, and has it not yet.
pub fn arrival_place(slice: &Slice, store: StoreId) -> Option<usize> {
    let Some(Motion::Pending(arriving)) = &slice.motion else { return None };
    let place = arriving.iter().position(|&member| member == store)?;
    (slice.owners.get(place) != Some(&store)).then_some(place)
}

/// From whom `store`, which arrives at `place`, is to copy.
pub fn sources(slice: &Slice, store: StoreId, place: usize, condition: impl Fn(StoreId) -> Condition) -> Sources {
    let predecessor = predecessor(slice, store, place);
    if let Some(predecessor) = predecessor
        && condition(predecessor) == Condition::Good
    {
        return Sources::From(vec![predecessor]);
    }
    let is_lost = |owner| condition(owner) == Condition::Lost;
    let remaining = remaining(slice, store, predecessor, is_lost);
    let predecessor = predecessor.filter(|&owner| !is_lost(owner));
    let unfit: Vec<_> = remaining.iter().map(|&owner| (owner, condition(owner))).collect();
    let unfit: Vec<_> = unfit.into_iter().filter(|(_, condition)| *condition != Condition::Good).collect();
    match (remaining.is_empty(), predecessor) {
        // Nobody else ever had it: the predecessor may come back.
        (true, Some(predecessor)) => Sources::Waiting(vec![(predecessor, condition(predecessor))]),
        (true, None) => Sources::Nobody,
        (false, _) if unfit.is_empty() => Sources::From(remaining),
        (false, predecessor) => {
            let predecessor = predecessor.map(|owner| (owner, condition(owner)));
            Sources::Waiting(predecessor.into_iter().chain(unfit).collect())
        }
    }
}

/// Whether a store that arrives at `place` holds everything that is not lost, when its transfers from `done` are complete.
pub fn has_arrived(
    slice: &Slice,
    store: StoreId,
    place: usize,
    done: &BTreeSet<StoreId>,
    is_lost: impl Fn(StoreId) -> bool,
) -> bool {
    let predecessor = predecessor(slice, store, place);
    if predecessor.is_some_and(|owner| done.contains(&owner)) {
        return true;
    }
    let remaining = remaining(slice, store, predecessor, is_lost);
    !remaining.is_empty() && remaining.iter().all(|owner| done.contains(owner))
}

/// Who has the place now. A place that is new has nobody.
fn predecessor(slice: &Slice, store: StoreId, place: usize) -> Option<StoreId> {
    slice.owners.get(place).copied().filter(|&owner| owner != store)
}

fn remaining(
    slice: &Slice,
    store: StoreId,
    predecessor: Option<StoreId>,
    is_lost: impl Fn(StoreId) -> bool,
) -> Vec<StoreId> {
    let others = slice.owners.iter().copied();
    others.filter(|&owner| owner != store && Some(owner) != predecessor && !is_lost(owner)).collect()
}

#[cfg(test)]
mod tests {
    use super::Condition::{Down, Good, Lost, NeedsSync};
    use super::*;

    const NEW: StoreId = StoreId(9);

    fn stores(of: &[u128]) -> Vec<StoreId> {
        of.iter().copied().map(StoreId).collect()
    }

    fn pending(owners: &[u128], arriving: &[u128]) -> Slice {
        Slice { motion: Some(Motion::Pending(stores(arriving))), ..Slice::at_rest(stores(owners)) }
    }

    fn from(slice: &Slice, conditions: &[(u128, Condition)]) -> Sources {
        let place = arrival_place(slice, NEW).expect("it arrives");
        sources(slice, NEW, place, |store| {
            conditions.iter().find(|(s, _)| StoreId(*s) == store).map_or(Good, |(_, condition)| *condition)
        })
    }

    #[test]
    fn only_who_is_to_have_a_place_that_it_has_not_arrives() {
        let slice = pending(&[1, 2, 3], &[1, 9, 3]);
        let place = |store| arrival_place(&slice, StoreId(store));
        assert_eq!((place(9), place(1), place(2), place(7)), (Some(1), None, None, None));
        assert_eq!(arrival_place(&Slice::at_rest(stores(&[9])), NEW), None);
        let switched = Slice { motion: Some(Motion::Switched(stores(&[9]))), ..Slice::at_rest(stores(&[1])) };
        assert_eq!(arrival_place(&switched, NEW), None);
    }

    #[test]
    fn it_copies_from_its_predecessor_or_from_everybody_else() {
        let slice = pending(&[1, 2, 3], &[1, 9, 3]);
        assert_eq!(from(&slice, &[]), Sources::From(stores(&[2])));
        assert_eq!(from(&slice, &[(1, Down), (3, Down)]), Sources::From(stores(&[2])), "it alone is enough");
        assert_eq!(from(&slice, &[(2, Down)]), Sources::From(stores(&[1, 3])));
        assert_eq!(from(&slice, &[(2, NeedsSync)]), Sources::From(stores(&[1, 3])));
        let waiting = Sources::Waiting(vec![(StoreId(2), Down), (StoreId(3), NeedsSync)]);
        assert_eq!(from(&slice, &[(2, Down), (3, NeedsSync)]), waiting, "one of the others is not enough");
    }

    #[test]
    fn who_is_lost_is_not_waited_for() {
        let slice = pending(&[1, 2, 3], &[1, 9, 3]);
        assert_eq!(from(&slice, &[(2, Lost), (3, Lost)]), Sources::From(stores(&[1])));
        assert_eq!(from(&slice, &[(2, Down), (3, Lost)]), Sources::From(stores(&[1])));
        let waiting = Sources::Waiting(vec![(StoreId(1), Down)]);
        assert_eq!(from(&slice, &[(1, Down), (2, Lost), (3, Lost)]), waiting);
    }

    #[test]
    fn a_new_place_copies_from_everybody() {
        let slice = pending(&[1, 2], &[1, 2, 9]);
        assert_eq!(from(&slice, &[]), Sources::From(stores(&[1, 2])));
        assert_eq!(from(&slice, &[(1, Down)]), Sources::Waiting(vec![(StoreId(1), Down)]));
    }

    #[test]
    fn nobody_is_no_source() {
        let alone = pending(&[1], &[9]);
        assert_eq!(from(&alone, &[(1, Down)]), Sources::Waiting(vec![(StoreId(1), Down)]));
        let nothing = pending(&[], &[9]);
        assert_eq!(from(&nothing, &[]), Sources::Nobody);
        assert_eq!(from(&alone, &[(1, Lost)]), Sources::Nobody);
        assert_eq!(from(&pending(&[1, 2], &[9, 2]), &[(1, Lost), (2, Lost)]), Sources::Nobody);
        for slice in [alone, nothing] {
            assert!(!has_arrived(&slice, NEW, 0, &BTreeSet::new(), |_| false));
            assert!(!has_arrived(&slice, NEW, 0, &BTreeSet::new(), |_| true));
        }
    }

    #[test]
    fn it_has_arrived_with_its_predecessor_or_with_all_others() {
        let slice = pending(&[1, 2, 3], &[1, 9, 3]);
        let arrived = |done: &[u128], lost: &[u128]| {
            has_arrived(&slice, NEW, 1, &stores(done).into_iter().collect(), |store| lost.contains(&store.0))
        };
        assert_eq!([arrived(&[], &[]), arrived(&[1], &[]), arrived(&[3], &[2])], [false; 3]);
        assert_eq!([arrived(&[2], &[]), arrived(&[1, 3], &[2]), arrived(&[1], &[2, 3])], [true; 3]);
    }
}
