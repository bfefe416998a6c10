//! Where each partition should be.

use std::collections::BTreeMap;

use crate::core::id::{Partition, StoreId};
use crate::core::ring::Slice;

use super::Direction;

/// The partitions that a change moves: owners before, and owners in the end.
pub type Moves = BTreeMap<Partition, (Vec<StoreId>, Vec<StoreId>)>;

/// The owners that each partition should have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// What the change moves.
    pub moves: Moves,
    /// Which way it goes.
    pub direction: Direction,
    /// Stores that are lost, each with the one that its node serves instead.
    pub heirs: BTreeMap<StoreId, StoreId>,
}

impl Target {
    /// The owners that a partition should have. One that the change does not move keeps its owners, and heirs take the places of those
    /// they follow.
    pub fn of(&self, partition: Partition, slice: &Slice) -> Vec<StoreId> {
        let wanted = match (self.moves.get(&partition), self.direction) {
            (Some((_, goal)), Direction::Forward) => goal,
            (Some((before, _)), Direction::TurningBack) => before,
            (None, _) => &slice.owners,
        };
        inherited(wanted, &self.heirs)
    }

    /// Whether a partition is where it should be, and nobody drains it.
    pub fn is_reached(&self, partition: Partition, slice: &Slice) -> bool {
        slice.motion.is_none() && slice.draining.is_empty() && self.of(partition, slice) == slice.owners
    }
}

/// The same places with each lost store's heir instead of it, unless that one has a place already.
pub(super) fn inherited(owners: &[StoreId], heirs: &BTreeMap<StoreId, StoreId>) -> Vec<StoreId> {
    let heir = |store: &StoreId| heirs.get(store).filter(|heir| !owners.contains(heir)).copied();
    owners.iter().map(|store| heir(store).unwrap_or(*store)).collect()
}
