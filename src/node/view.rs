//! What every actor may look at without asking: the ring, the buckets, who is reachable.
//!
//! The [`super::ring_manager`] publishes the ring, each [`super::connection_pool`] the health of its own links. Both are
//! immutable snapshots behind one pointer, so the hot path neither locks nor sends a message for them.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::core::bucket::Buckets;
use crate::core::id::{Partition, StoreId};
use crate::core::ring::{Ring, Route};

/// The ring and the buckets of one epoch.
#[derive(Debug)]
pub struct RingView {
    /// Who owns what.
    pub ring: Ring,
    /// The buckets' properties.
    pub buckets: Buckets,
    /// What each partition's requests go by, made when it is first needed.
    routes: Vec<OnceLock<Arc<Route>>>,
}

impl RingView {
    /// A snapshot.
    pub fn new(ring: Ring, buckets: Buckets) -> RingView {
        let routes = (0..ring.partitions()).map(|_| OnceLock::new()).collect();
        RingView { ring, buckets, routes }
    }

    /// What the requests of a partition go by.
    pub fn route(&self, partition: Partition) -> &Arc<Route> {
        self.routes[partition.0 as usize].get_or_init(|| Arc::new(self.ring.route(partition)))
    }
}

/// The present ring.
pub type SharedRing = Arc<ArcSwap<RingView>>;

/// Which stores one arbiter's links reach now. Sorted.
pub type SharedHealth = Arc<ArcSwap<Vec<StoreId>>>;

/// Nobody is reachable yet.
pub fn no_health() -> SharedHealth {
    Arc::new(ArcSwap::from_pointee(vec![]))
}
