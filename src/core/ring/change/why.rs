//! What a partition waits for.

use serde::{Deserialize, Serialize};

use crate::core::id::{Epoch, Partition, StoreId};
use crate::core::ring::{Motion, Slice};

use super::advance::is_redirected;
use super::{Facts, Target, arrivals};

/// Why a partition does not take its next step yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waits {
    /// For nothing but the next write of the ring.
    Due,
    /// Others are moved first.
    Turn,
    /// These live members have not acknowledged the ring yet.
    Acknowledgement {
        /// By their stores.
        of: Vec<StoreId>,
        /// The ring, or any later one.
        since: Epoch,
    },
    /// These do not hold everything yet.
    Transfer {
        /// Arriving stores; a pair says whether its node is alive.
        to: Vec<(StoreId, bool)>,
    },
    /// These still hold some of it.
    Drain {
        /// Draining stores; a pair says whether its node is alive.
        of: Vec<(StoreId, bool)>,
    },
    /// A store that is to arrive still drains what it held before.
    ArrivalDrains {
        /// Which.
        store: StoreId,
    },
    /// A store that is to arrive is no member any more.
    NotAMember {
        /// Which.
        store: StoreId,
    },
}

impl Waits {
    /// Whether nobody in particular is waited for.
    pub fn is_idle(&self) -> bool {
        matches!(self, Waits::Due | Waits::Turn)
    }
}

/// Why a partition is not where it should be; `None` if it is.
pub fn why(slice: &Slice, partition: Partition, target: &Target, facts: &Facts) -> Option<Waits> {
    let goal = target.of(partition, slice);
    let with_life = |stores: Vec<StoreId>| stores.into_iter().map(|s| (s, facts.live.contains_key(&s))).collect();
    match &slice.motion {
        // Pending to something else than its goal: it takes slots of the window as one at rest does, or goes back to rest.
        Some(Motion::Pending(others)) if *others != goal => {
            return Some(if is_redirected(slice, &goal, facts) { Waits::Turn } else { Waits::Due });
        }
        Some(motion) => {
            let of: Vec<StoreId> = facts.behind(slice.since).collect();
            if !of.is_empty() {
                return Some(Waits::Acknowledgement { of, since: slice.since });
            }
            let is_missing = |(_, store, _): &(_, StoreId, _)| !facts.has_arrived(*store, partition, slice.since);
            let missing: Vec<StoreId> = match motion {
                Motion::Pending(_) => arrivals(slice).filter(is_missing).map(|(_, store, _)| store).collect(),
                Motion::Switched(_) => vec![],
            };
            return Some(if missing.is_empty() { Waits::Due } else { Waits::Transfer { to: with_life(missing) } });
        }
        None => {}
    }
    if slice.owners != goal {
        let stranger = goal.iter().find(|store| !facts.members.contains(store));
        let draining = goal.iter().find(|store| slice.draining.contains(store));
        return Some(match (stranger, draining) {
            (Some(store), _) => Waits::NotAMember { store: *store },
            (None, Some(store)) => Waits::ArrivalDrains { store: *store },
            (None, None) => Waits::Turn,
        });
    }
    let has_drained =
        |store: &&StoreId| facts.absent.contains(store) || facts.has_drained(**store, partition, slice.since);
    if slice.draining.is_empty() {
        return None;
    }
    let of: Vec<StoreId> = slice.draining.iter().filter(|store| !has_drained(store)).copied().collect();
    Some(if of.is_empty() { Waits::Due } else { Waits::Drain { of: with_life(of) } })
}
