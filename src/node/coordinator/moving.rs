//! Carrying operations over from one ring to the next.
//!
//! An operation goes by the ring that it began with until its partition changes in a newer one: when that is published, or when a
//! replica that has it already says *moved*. Then
//!
//! - a read that is not answered begins anew, asking the new owners;
//! - a write that has its dot keeps it: its shares are planned anew, and whoever does not hold the object yet is sent it again;
//! - a write without a dot does nothing: its own replica either mints by the older ring, and the write goes on as above, or says
//!   *moved*, and the write begins anew;
//! - a forwarded write stays where it is, since it may have been minted there; only one that was surely not begins anew.
//!
//! Operations get a new number with each ring, so that nothing that is said of what was sent by the older one counts by the newer.
//!
//! Who is told of a ring that this node does not have yet waits for it until the deadline, if the node holds a lease and so will hear
//! of it. Without a lease it may never; then whoever has moved counts as failed, and a sloppy request goes on with those who are left.

use super::failing::failure;
use super::table::{Ask, Head, Operation, OperationKind};
use super::{Coordinator, Turn};
use crate::core::id::Epoch;
use crate::core::request::Kind;
use crate::mutant;
use crate::node::env::now;
use crate::node::stats::Counter;

impl Coordinator {
    /// A ring was published: nothing unanswered goes by an older one any more, but for what has no dot yet.
    pub(super) fn follow_ring(&mut self, turn: &mut Turn) {
        for id in self.table.ids() {
            self.rebase(turn, id);
        }
    }

    /// Carries an operation over to the published ring, if that is newer for its partition. Answers whether it did.
    pub(super) fn rebase(&mut self, turn: &mut Turn, id: u64) -> bool {
        let view = self.parts.ring.load_full();
        let Some(Operation { head, kind }) = self.table.get(id) else { return false };
        let (partition, since) = (head.route.partition, view.ring.since(head.route.partition));
        let is_newer = since > head.route.since;
        match kind {
            OperationKind::Read(machine) if is_newer && !machine.is_answered() => {
                let (machine, route) = (machine.clone(), view.route(partition).clone());
                let candidates = self.candidates(&view, &route, machine.sizes());
                match machine.restart(candidates) {
                    Ok((machine, actions)) => {
                        let Some(id) = self.carry_over(id) else { return false };
                        if let Some(operation) = self.table.get(id) {
                            (operation.head.route, operation.head.sent) = (route, now());
                            operation.kind = OperationKind::Read(machine);
                        }
                        self.ask(turn, id, actions);
                    }
                    Err(short) => {
                        let waited = self.table.get(id).map_or(Default::default(), |op| op.head.arrived.elapsed());
                        self.finish(id, Err(failure(&view, Kind::Read, short, waited)));
                    }
                }
            }
            OperationKind::Write { .. } if mutant!(AcknowledgeWithWritesInFlight) => return false,
            OperationKind::Write { machine, .. } if is_newer && machine.is_minted() => {
                let (live, route) = (self.live(), view.route(partition).clone());
                let Some(id) = self.carry_over(id) else { return false };
                let Some(Operation { head, kind: OperationKind::Write { machine, .. } }) = self.table.get(id) else {
                    return false;
                };
                head.route = route.clone();
                let actions = machine.rebase(route, &live);
                self.act_write(turn, id, actions);
            }
            OperationKind::Waiting { until, .. } if since >= *until => self.begin_anew(turn, id),
            _ => return false,
        }
        true
    }

    /// Somebody who was asked for operation `id` has a ring in which its partition changed at `since`. Answers whether that was
    /// dealt with; if not, whoever said so has failed.
    pub(super) fn on_moved(&mut self, turn: &mut Turn, id: u64, since: Epoch) -> bool {
        let view = self.parts.ring.load_full();
        let Some(Operation { head, kind }) = self.table.get(id) else { return true };
        let (known, own) = (head.route.since, view.ring.since(head.route.partition));
        let is_unminted = match kind {
            OperationKind::Write { machine, .. } => !machine.is_minted(),
            OperationKind::Forward { .. } => true,
            OperationKind::Read(machine) if machine.is_answered() => return false,
            OperationKind::Read(_) | OperationKind::Waiting { .. } => false,
        };
        if own > known {
            if is_unminted {
                self.begin_anew(turn, id);
                return true;
            }
            return self.rebase(turn, id);
        }
        if since <= known || !self.hears_of_rings() {
            return false;
        }
        if is_unminted {
            let Some(Operation { head, kind }) = self.table.remove(id) else { return true };
            if let Some(ask) = kind.into_ask() {
                self.wait(head, ask, since);
            }
        } else {
            // The place of whoever has moved stays open: the new ring closes it.
            self.parts.stats.count(Counter::RingAwaited);
        }
        true
    }

    /// Begins when the partition is of this age.
    pub(super) fn wait(&mut self, head: Head, ask: Box<Ask>, until: Epoch) -> u64 {
        self.parts.stats.count(Counter::RingAwaited);
        let id = self.table.number();
        self.table.insert(id, Operation { head, kind: OperationKind::Waiting { until, ask } });
        id
    }

    /// Starts a write that has no dot from its beginning.
    fn begin_anew(&mut self, turn: &mut Turn, id: u64) {
        let Some(Operation { mut head, kind }) = self.table.remove(id) else { return };
        // Unanswered as it is, somebody asked for it.
        if let (Some(asker), Some(ask)) = (head.asker.take(), kind.into_ask()) {
            self.parts.stats.count(Counter::Rebased);
            self.launch(turn, asker, head.arrived, head.deadline, ask);
        }
    }

    /// Gives an operation the number under which it goes by a new ring.
    fn carry_over(&mut self, id: u64) -> Option<u64> {
        self.parts.stats.count(Counter::Rebased);
        self.table.renumber(id)
    }

    /// Whether this node will surely be told of a newer ring soon: it has a session with the coordination service.
    pub(super) fn hears_of_rings(&self) -> bool {
        self.parts.lease.is_held(self.parts.env.boot_time())
    }
}
