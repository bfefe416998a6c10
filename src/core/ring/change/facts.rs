//! What is known of how far everybody is.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::id::{Epoch, Partition, StoreId};
use crate::core::ring::Slice;

/// What a store says of some partitions, each as of the [`Slice::since`] that it was said of. What is said of another one counts
/// for nothing.
pub type Marks = BTreeMap<Partition, Epoch>;

/// What the driver of a change knows beside the ring.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// The members. Nobody else can be given anything.
    pub members: BTreeSet<StoreId>,
    /// The stores whose nodes hold a session, with the ring that each has acknowledged in it, if any.
    pub live: BTreeMap<StoreId, Option<Epoch>>,
    /// What arriving stores hold whole.
    pub arrived: BTreeMap<StoreId, Marks>,
    /// What draining stores hold nothing of any more.
    pub drained: BTreeMap<StoreId, Marks>,
    /// Stores that nobody waits for to drain: removed, replaced or forgotten.
    pub absent: BTreeSet<StoreId>,
}

impl Facts {
    /// Live stores that have not acknowledged an epoch yet.
    pub(super) fn behind(&self, epoch: Epoch) -> impl Iterator<Item = StoreId> {
        self.live.iter().filter(move |(_, acknowledged)| **acknowledged < Some(epoch)).map(|(store, _)| *store)
    }

    pub(super) fn has_arrived(&self, store: StoreId, partition: Partition, since: Epoch) -> bool {
        said(&self.arrived, store, partition, since)
    }

    pub(super) fn has_drained(&self, store: StoreId, partition: Partition, since: Epoch) -> bool {
        said(&self.drained, store, partition, since)
    }
}

fn said(marks: &BTreeMap<StoreId, Marks>, store: StoreId, partition: Partition, since: Epoch) -> bool {
    marks.get(&store).and_then(|marks| marks.get(&partition)) == Some(&since)
}

/// The stores that come to places at which they were not, with the place and whom they replace there: those of `others` for a
/// partition that is pending. A store that moves up because there are fewer places than before arrives as well: it held nothing of
/// the buckets that use the first places alone.
pub fn arrivals<M: Copy + PartialEq>(slice: &Slice<M>) -> impl Iterator<Item = (usize, M, Option<M>)> {
    let places = slice.others().iter().enumerate();
    places
        .map(|(place, &store)| (place, store, slice.owners.get(place).copied()))
        .filter(|(_, s, old)| *old != Some(*s))
}
