//! What works look up.

use bytes::Bytes;

use crate::core::key::Key;
use crate::core::transfer::Known;
use crate::node::drain;
use crate::node::replica::HintGauge;
use crate::node::view::RingView;
use crate::storage::Engine;

/// In the ring at hand and in this store.
pub struct LookedUp<'a> {
    /// The ring and the buckets.
    pub view: &'a RingView,
    /// For whom something is kept here.
    pub hints: &'a HintGauge,
    /// Where it is kept.
    pub engine: &'a dyn Engine,
}

impl Known for LookedUp<'_> {
    fn replicas(&self, key: &Key) -> usize {
        self.view.buckets.get(&key.bucket).n.unwrap_or(self.view.ring.replication).into()
    }

    fn is_hinted(&self, stored: &Bytes) -> bool {
        let targets = self.hints.targets();
        // What cannot be read may be a hint.
        drain::is_hinted(self.engine, stored, &targets).unwrap_or(true)
    }
}
