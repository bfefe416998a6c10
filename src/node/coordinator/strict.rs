//! Strict requests need a lease.
//!
//! A request is strict when it asks for owners (pr or pw more than zero). The coordinator looks at its lease twice: before it
//! sends anything, and when it is about to answer with success. In between the lease may have ended; a read is then refused, and
//! of a write, which its replicas hold, the outcome is unknown. Sloppy requests never come here.

use super::Coordinator;
use super::table::OperationKind;
use crate::core::quorum::size::QuorumSizes;
use crate::core::request::{Failure, Kind};
use crate::node::lease::Term;
use crate::node::view::RingView;

impl Coordinator {
    /// Refuses a strict request that is to begin by `view` without a lease that was seen before that ring.
    pub(super) fn check_lease(
        &self,
        view: &RingView,
        term: Term,
        sizes: QuorumSizes,
        kind: Kind,
    ) -> Result<(), Failure> {
        if !sizes.is_strict() || term.is_held(self.parts.env.boot_time()) {
            return Ok(());
        }
        Err(Failure::RingMayBeStale { kind, node: view.ring.node_of(self.parts.store), applied: false })
    }

    /// Refuses to call an operation a success if it is strict and the lease has ended meanwhile.
    pub(super) fn check_lease_again(&mut self, id: u64, kind: Kind) -> Result<(), Failure> {
        let is_strict = match self.table.get(id).map(|operation| &operation.kind) {
            Some(OperationKind::Read(machine)) => machine.sizes().is_strict(),
            Some(OperationKind::Write { machine, .. }) => machine.is_strict(),
            Some(OperationKind::Forward { .. } | OperationKind::Waiting { .. }) | None => false,
        };
        if !is_strict {
            return Ok(());
        }
        if !self.parts.lease.is_held(self.parts.env.boot_time()) {
            let node = self.parts.ring.load().ring.node_of(self.parts.store);
            return Err(Failure::RingMayBeStale { kind, node, applied: kind == Kind::Write });
        }
        if let Some(observer) = self.parts.env.observer() {
            observer.strict_counted(self.parts.store);
        }
        Ok(())
    }
}
