//! The order in which a key's replicas are asked.

use super::super::id::{Partition, StoreId};
use super::Ring;

/// Whom to ask for a key: its owners in the order of their places, then everybody else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreferenceList {
    /// The first n owners.
    pub primaries: Vec<StoreId>,
    /// All other members, in the order in which they stand in. Owners beyond n come first: they hold the partition anyway.
    pub fallbacks: Vec<StoreId>,
}

impl Ring {
    /// The preference list of a partition for a bucket with `n` replicas.
    pub fn preference(&self, partition: Partition, n: u8) -> PreferenceList {
        let owners: Vec<StoreId> = self.owners(partition).map(|m| m.store).collect();
        let primaries: Vec<StoreId> = owners.iter().copied().take(n as usize).collect();
        let fallbacks = self.members().iter().map(|m| m.store).filter(|s| !primaries.contains(s)).collect();
        PreferenceList { primaries, fallbacks }
    }
}
