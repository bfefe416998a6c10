//! Failures: named for whoever asked, counted for operators.

use std::time::Duration;

use super::Coordinator;
use crate::core::id::StoreId;
use crate::core::quorum::Shortfall;
use crate::core::request::{Failure, Kind};
use crate::node::stats::Counter;
use crate::node::view::RingView;

impl Coordinator {
    pub(super) fn count_failure(&self, failure: &Failure) {
        self.parts.stats.count(match failure {
            Failure::QuorumNotMet { .. } | Failure::OutcomeUnknown(_) => Counter::QuorumFailures,
            Failure::Timeout { .. } => Counter::Timeouts,
            Failure::Overloaded { .. } | Failure::ShuttingDown => Counter::Overloaded,
            Failure::RingMayBeStale { .. } => Counter::RingMayBeStale,
            _ => Counter::Refused,
        });
    }
}

/// Names the nodes in a shortfall.
pub(super) fn failure(view: &RingView, kind: Kind, short: Shortfall, waited: Duration) -> Failure {
    let Shortfall { needed, got, primaries_needed, primaries_got, missing, unleased, applied, timed_out } = short;
    let nodes = |stores: Vec<StoreId>| {
        let mut nodes: Vec<_> = stores.into_iter().map(|store| view.ring.node_of(store)).collect();
        nodes.sort();
        nodes
    };
    let missing = nodes(missing);
    if timed_out {
        let after_ms = waited.as_millis() as u32;
        return Failure::Timeout { kind, needed, got, waiting_for: missing, after_ms, applied };
    }
    let unleased = nodes(unleased);
    Failure::QuorumNotMet { kind, needed, got, primaries_needed, primaries_got, missing, unleased, applied }
}
