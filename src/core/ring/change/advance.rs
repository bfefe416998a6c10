//! The next ring of a change.

use std::collections::BTreeMap;

use crate::core::id::{Epoch, Partition, StoreId};
use crate::core::ring::{Motion, Slice};
use crate::mutant;

use super::{Facts, Target, arrivals};

/// How many partitions may be pending at once for each arriving store.
pub const WINDOW_DEFAULT: u32 = 16;

/// What happened to a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It became pending, or is pending to a goal that is another one by now.
    Pending,
    /// It was pending to what is not its goal any more, and is at rest as before.
    TurnedBack,
    /// The new owners are read from.
    Switched,
    /// The new owners alone are written to.
    Retired,
    /// This store holds nothing of it any more, or nobody waits for it to say so.
    Drained(StoreId),
}

/// A ring's slices after one step of as many partitions as were due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advance {
    /// All slices, in the order of the partitions.
    pub slices: Vec<Slice>,
    /// What is different.
    pub steps: Vec<(Partition, Step)>,
}

/// Takes every step that is due; `None` if none is. Partitions that change hands get `epoch` as their [`Slice::since`], which is that
/// of the new ring. `window` bounds how many are pending for each arriving store.
pub fn advance(slices: &[Slice], target: &Target, facts: &Facts, epoch: Epoch, window: u32) -> Option<Advance> {
    let mut slots = Slots::taken(slices, window);
    let mut steps = vec![];
    let mut next = slices.to_vec();
    // Those that leave make room for others in the same ring.
    for first in [true, false] {
        for (p, slice) in next.iter_mut().enumerate() {
            let partition = Partition(p as u16);
            if slice.since == epoch {
                continue;
            }
            let goal = target.of(partition, slice);
            if first {
                steps
                    .extend(rested(slice, partition, facts).into_iter().map(|store| (partition, Step::Drained(store))));
                if is_redirected(slice, &goal, facts) {
                    let redirected = redirected(slice, goal, epoch, facts);
                    if slots.exchange(slice, &redirected) {
                        *slice = redirected;
                        steps.push((partition, Step::Pending));
                    }
                } else if let Some(step) = moved_on(slice, partition, &goal, facts) {
                    slots.free(&slices[p]);
                    slice.since = epoch;
                    steps.push((partition, step));
                }
            } else if slice.motion.is_none() && slice.owners != goal && may_begin(slice, &goal, facts) {
                let pending = Slice { motion: Some(Motion::Pending(goal)), since: epoch, ..slice.clone() };
                if slots.take(&pending) {
                    *slice = pending;
                    steps.push((partition, Step::Pending));
                }
            }
        }
    }
    (!steps.is_empty()).then_some(Advance { slices: next, steps })
}

/// Whether a partition at rest may become pending: everybody that comes is there, and is not just about to throw away what it holds.
fn may_begin(slice: &Slice, goal: &[StoreId], facts: &Facts) -> bool {
    !goal.is_empty() && goal.iter().all(|store| facts.members.contains(store) && !slice.draining.contains(store))
}

/// Whether a partition is pending to something else than a goal that is new as well, and may begin to be: an owner was lost meanwhile,
/// and has an heir.
pub(super) fn is_redirected(slice: &Slice, goal: &[StoreId], facts: &Facts) -> bool {
    let others = slice.others();
    let is_other = matches!(slice.motion, Some(Motion::Pending(_))) && others != goal && slice.owners != goal;
    is_other && may_begin(slice, goal, facts)
}

/// The same partition, pending to its goal. Who arrives as before need not drain what it has copied, which it could not deliver to the
/// one that was lost.
fn redirected(slice: &Slice, goal: Vec<StoreId>, epoch: Epoch, facts: &Facts) -> Slice {
    let mut redirected = Slice { motion: Some(Motion::Pending(goal)), since: epoch, ..slice.clone() };
    drain(&mut redirected, slice.others(), facts);
    redirected
}

/// Takes a partition in motion one step on, if it may take it.
fn moved_on(slice: &mut Slice, partition: Partition, goal: &[StoreId], facts: &Facts) -> Option<Step> {
    let is_acknowledged = facts.behind(slice.since).next().is_none();
    match slice.motion.clone()? {
        Motion::Pending(others) if others != goal => {
            slice.motion = None;
            drain(slice, &others, facts);
            Some(Step::TurnedBack)
        }
        Motion::Pending(others) => {
            let have_arrived = arrivals(slice).all(|(_, store, _)| facts.has_arrived(store, partition, slice.since));
            let is_proven = have_arrived || mutant!(SwitchBeforeProof);
            if !is_proven || !is_acknowledged && !mutant!(SwitchBeforeAcknowledged) {
                return None;
            }
            slice.motion = Some(Motion::Switched(std::mem::replace(&mut slice.owners, others)));
            Some(Step::Switched)
        }
        Motion::Switched(departing) => {
            if !is_acknowledged && !mutant!(RetireBeforeAcknowledged) {
                return None;
            }
            slice.motion = None;
            drain(slice, &departing, facts);
            Some(Step::Retired)
        }
    }
}

/// Lets those of `departed` drain who have no place and of whom it can be expected.
fn drain(slice: &mut Slice, departed: &[StoreId], facts: &Facts) {
    for store in departed {
        let is_named = slice.named().any(|named| named == store);
        if !is_named && facts.members.contains(store) && !facts.absent.contains(store) {
            slice.draining.push(*store);
        }
    }
}

/// Forgets those who have drained, or of whom it cannot be expected.
fn rested(slice: &mut Slice, partition: Partition, facts: &Facts) -> Vec<StoreId> {
    let has_rested =
        |store: &StoreId| facts.absent.contains(store) || facts.has_drained(*store, partition, slice.since);
    let (gone, draining) = slice.draining.iter().copied().partition(has_rested);
    slice.draining = draining;
    gone
}

/// Partitions that are pending, for each arriving store.
struct Slots {
    taken: BTreeMap<StoreId, u32>,
    window: u32,
}

impl Slots {
    fn taken(slices: &[Slice], window: u32) -> Slots {
        let mut slots = Slots { taken: BTreeMap::new(), window };
        for slice in slices.iter().filter(|slice| matches!(slice.motion, Some(Motion::Pending(_)))) {
            arrivals(slice).for_each(|(_, store, _)| *slots.taken.entry(store).or_default() += 1);
        }
        slots
    }

    /// Gives back what a partition took that is not pending any more.
    fn free(&mut self, slice: &Slice) {
        if matches!(slice.motion, Some(Motion::Pending(_))) {
            for (_, store, _) in arrivals(slice) {
                self.taken.entry(store).and_modify(|taken| *taken -= 1);
            }
        }
    }

    /// Takes those of `new` instead of those of `old`, or leaves everything as it was.
    fn exchange(&mut self, old: &Slice, new: &Slice) -> bool {
        let taken = self.taken.clone();
        self.free(old);
        let has_room = self.take(new);
        if !has_room {
            self.taken = taken;
        }
        has_room
    }

    /// Takes a slot of each store that arrives with this partition, or none if one of them has none left.
    fn take(&mut self, pending: &Slice) -> bool {
        let stores: Vec<StoreId> = arrivals(pending).map(|(_, store, _)| store).collect();
        if stores.iter().any(|store| self.taken.get(store).copied().unwrap_or(0) >= self.window) {
            return false;
        }
        stores.into_iter().for_each(|store| *self.taken.entry(store).or_default() += 1);
        true
    }
}
