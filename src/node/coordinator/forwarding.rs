//! Who coordinates a write: this node if its store may mint the dot, else somebody who may. A write is forwarded once.

use super::failing::failure;
use super::reading::millis_left;
use super::table::{Ask, Head, Operation, OperationKind};
use super::{Coordinator, Turn};
use crate::core::id::{Epoch, StoreId};
use crate::core::quorum::Shortfall;
use crate::core::quorum::size::QuorumSizes;
use crate::core::request::{Failure, Kind};
use crate::core::ring::Route;
use crate::node::connection_pool::messages::Origin;
use crate::node::stats::Counter;
use crate::wire::message::{ReplicaError, ToReplica};

/// Who coordinates a write.
pub(super) enum Coordinates {
    /// This node.
    Here,
    /// The first of these that can be reached.
    Another(Vec<StoreId>),
    /// Whoever a ring says in which the partition is of this age: this node has yet to hear of it.
    ByRing(Epoch),
}

impl Coordinator {
    /// Dots are minted by those who are read from. A node that was forwarded a write and is none of them goes by whoever has the
    /// newer ring, itself or the forwarder.
    pub(super) fn who_coordinates(
        &self,
        route: &Route,
        sizes: QuorumSizes,
        forwarded: Option<Epoch>,
    ) -> Result<Coordinates, Failure> {
        let owns = route.owners(sizes.n).contains(&self.parts.store);
        match forwarded {
            Some(epoch) if !owns && epoch < route.since => Err(Failure::Moved { epoch: route.since }),
            Some(epoch) if !owns && epoch > route.since && self.hears_of_rings() => Ok(Coordinates::ByRing(epoch)),
            Some(_) => Ok(Coordinates::Here),
            None if owns && self.parts.gate.is_open() => Ok(Coordinates::Here),
            None => {
                let others = self.other_coordinators(route, sizes, owns);
                Ok(if others.is_empty() { Coordinates::Here } else { Coordinates::Another(others) })
            }
        }
    }

    /// Who else could mint: live owners, the quickest first; if there is none and the write is sloppy, live fallbacks.
    fn other_coordinators(&self, route: &Route, sizes: QuorumSizes, owns: bool) -> Vec<StoreId> {
        let (own, live) = (self.parts.store, self.live());
        let is_other = |store: &StoreId| *store != own && live(*store);
        let mut others: Vec<StoreId> = route.owners(sizes.n).iter().copied().filter(is_other).collect();
        others.sort_by_key(|&store| self.latencies.p50_us(store));
        // A fallback itself, this node may be the first of them: it only yields if it takes no writes, or none of this partition.
        let has_a_place = route.others.contains(&own) || route.strangers.contains(&own);
        let may_stand_in = has_a_place && self.parts.gate.is_open();
        if others.is_empty() && sizes.sloppy && !owns && !may_stand_in {
            let arriving_or_departing = route.others(sizes.n).iter().copied();
            others = arriving_or_departing.chain(route.fallbacks(sizes.n)).filter(is_other).collect();
        }
        others
    }

    pub(super) fn forward(&mut self, turn: &mut Turn, head: Head, ask: Box<Ask>, mut others: Vec<StoreId>) -> u64 {
        self.parts.stats.count(Counter::Forwards);
        let id = self.table.number();
        let to = others.remove(0);
        self.table.insert(id, Operation { head, kind: OperationKind::Forward { to, others, ask } });
        self.send_forward(turn, id);
        id
    }

    fn send_forward(&mut self, turn: &mut Turn, id: u64) {
        let Some(Operation { head, kind: OperationKind::Forward { to, ask, .. } }) = self.table.get(id) else { return };
        let (id, epoch, deadline_ms) = (Origin::Coordinator.number(id), head.route.since, millis_left(head.deadline));
        turn.remote(*to, ToReplica::Forward { id, epoch, deadline_ms, request: ask.request.clone() });
    }

    /// `from` did nothing with a forwarded write, and surely will not: somebody else may get it.
    pub(super) fn forward_elsewhere(&mut self, turn: &mut Turn, id: u64, from: StoreId, error: &ReplicaError) {
        let Some(Operation { kind: OperationKind::Forward { to, others, .. }, .. }) = self.table.get(id) else {
            return;
        };
        if others.is_empty() {
            let node = self.parts.ring.load().ring.node_of(from);
            return self.finish(id, Err(Failure::Unavailable { node, reason: error.to_string() }));
        }
        *to = others.remove(0);
        self.send_forward(turn, id);
    }

    /// A message for operation `id` never left this node.
    pub(super) fn on_refused(&mut self, turn: &mut Turn, id: u64, from: StoreId, error: ReplicaError) {
        match self.table.get(id).map(|operation| &operation.kind) {
            Some(OperationKind::Forward { .. }) => self.forward_elsewhere(turn, id, from, &error),
            _ => self.on_failed(turn, id, from, error),
        }
    }

    /// Time is up for a write that this node has not minted: it waits for a ring, or for whoever it was forwarded to.
    pub(super) fn unminted_timed_out(&mut self, id: u64) {
        let view = self.parts.ring.load_full();
        let Some(Operation { head, kind }) = self.table.get(id) else { return };
        let missing = match kind {
            OperationKind::Forward { to, .. } => vec![*to],
            _ => vec![],
        };
        let short = Shortfall {
            needed: 1,
            got: 0,
            primaries_needed: 0,
            primaries_got: 0,
            // Nobody but a coordinator can have done anything.
            applied: !missing.is_empty(),
            missing,
            unleased: vec![],
            timed_out: true,
        };
        let waited = head.arrived.elapsed();
        self.finish(id, Err(failure(&view, Kind::Write, short, waited)));
    }
}
