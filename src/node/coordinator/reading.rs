//! Reads: choosing whom to ask, answering, repairing.

use std::time::Duration;

use super::failing::failure;
use super::table::{Alarm, Head, Operation, OperationKind};
use super::{Coordinator, Turn};
use crate::core::id::StoreId;
use crate::core::quorum::read::{Candidates, ReadAction, ReadMachine};
use crate::core::quorum::size::{QuorumSizes, read_sizes};
use crate::core::request::{Answer, Failure, Kind, Options, Value};
use crate::core::version::Payload;
use crate::node::connection_pool::messages::Origin;
use crate::node::env::{Moment, now};
use crate::node::lease::Term;
use crate::node::replica::messages::ReplicaCall;
use crate::node::stats::Counter;
use crate::node::view::RingView;
use crate::wire::message::{Object, ReplicaError, ToReplica};

/// Repairs are sent, and not waited for.
const NOBODY: u64 = 0;

impl Coordinator {
    pub(super) fn read(
        &mut self,
        turn: &mut Turn,
        view: &RingView,
        term: Term,
        head: Head,
        options: &Options,
    ) -> Result<u64, Failure> {
        self.parts.stats.count(Counter::Reads);
        let bucket = view.buckets.get(&head.key.bucket);
        let sizes = read_sizes(options, bucket, view.ring.replication)?;
        self.check_lease(view, term, sizes, Kind::Read)?;
        let candidates = self.candidates(&view.order(view.ring.partition_of(&head.key)), sizes);
        let (machine, actions) = ReadMachine::start(sizes, bucket.conflict, candidates)
            .map_err(|short| failure(view, Kind::Read, short, Duration::ZERO))?;
        let id = self.table.number();
        let patience = self.patience(&actions);
        self.table.set_alarm(head.sent + patience, id, Alarm::Hedge);
        self.table.insert(id, Operation { head, kind: OperationKind::Read(machine) });
        self.act_read(turn, id, actions);
        Ok(id)
    }

    /// Live owners, this one first and then the quickest; fallbacks only where an owner is down.
    fn candidates(&self, order: &[StoreId], sizes: QuorumSizes) -> Candidates {
        let (own, is_live) = (self.parts.store, self.live());
        let (owners, rest) = order.split_at((sizes.n as usize).min(order.len()));
        let (mut live, down): (Vec<_>, Vec<_>) = owners.iter().partition(|&&store| is_live(store));
        live.sort_by_key(|&store| (store != own, self.latencies.p50_us(store)));
        let fallbacks = if sizes.sloppy {
            rest.iter().copied().filter(|&store| is_live(store)).take(sizes.n as usize).collect()
        } else {
            vec![]
        };
        Candidates { live, down, fallbacks }
    }

    /// How long the slowest of those asked usually takes, within the configured bounds.
    fn patience(&self, actions: &[ReadAction]) -> Duration {
        let timing = &self.parts.config.node.timing;
        let (least, most) = (Duration::from_millis(timing.hedge_min_ms), Duration::from_millis(timing.hedge_max_ms));
        let usual = actions.iter().filter_map(|action| match action {
            ReadAction::Fetch { from } if *from != self.parts.store => Some(self.latencies.p95(*from).unwrap_or(most)),
            _ => None,
        });
        usual.max().unwrap_or(most).clamp(least, most)
    }

    pub(super) fn act_read(&mut self, turn: &mut Turn, id: u64, actions: Vec<ReadAction>) {
        for action in actions {
            match action {
                ReadAction::Fetch { from } => self.fetch(turn, id, from),
                ReadAction::Answer(result) => {
                    let result = match result {
                        Ok(()) => self.check_lease_again(id, Kind::Read).and_then(|()| self.read_answer(id)),
                        Err(short) => {
                            let waited = self.table.get(id).map_or(Duration::ZERO, |op| op.head.arrived.elapsed());
                            Err(failure(&self.parts.ring.load(), Kind::Read, short, waited))
                        }
                    };
                    self.answer(id, result);
                }
                ReadAction::Repair { to } => self.repair(turn, id, to),
            }
        }
        if let Some(Operation { kind: OperationKind::Read(machine), .. }) = self.table.get(id)
            && machine.is_done()
        {
            self.table.remove(id);
        }
    }

    fn fetch(&mut self, turn: &mut Turn, id: u64, from: StoreId) {
        let view = self.parts.ring.load_full();
        let own = self.parts.store;
        let Some(operation) = self.table.get(id) else { return };
        let (key, deadline) = (operation.head.key.clone(), operation.head.deadline);
        if from == own {
            let arbiter = self.arbiter_of(view.ring.partition_of(&key));
            turn.local(arbiter, ReplicaCall::Fetch { id, key, expires: deadline });
        } else {
            let deadline_ms = millis_left(deadline);
            let message =
                ToReplica::Fetch { id: Origin::Coordinator.number(id), epoch: view.ring.epoch, deadline_ms, key };
            turn.remote(from, message);
        }
    }

    pub(super) fn on_fetched(
        &mut self,
        turn: &mut Turn,
        id: u64,
        from: StoreId,
        result: Result<Option<Object>, ReplicaError>,
        leased: bool,
    ) {
        let Some(Operation { head, kind: OperationKind::Read(machine) }) = self.table.get(id) else { return };
        let took = head.sent.elapsed();
        let actions = match result {
            Ok(object) => match machine.on_fetched(from, object.map(|object| object.0), leased) {
                Ok(actions) => Ok(actions),
                Err(malformed) => Err(ReplicaError::Malformed(malformed.to_string())),
            },
            Err(error) => Err(error),
        };
        match actions {
            Ok(actions) => {
                if from != self.parts.store {
                    self.latencies.record(from, took);
                }
                self.act_read(turn, id, actions);
            }
            Err(error) => self.on_failed(turn, id, from, error),
        }
    }

    fn read_answer(&mut self, id: u64) -> Result<Answer, Failure> {
        let (view, now_ms) = (self.parts.ring.load_full(), self.parts.env.wall_ms());
        let Some(Operation { head, kind: OperationKind::Read(machine) }) = self.table.get(id) else {
            return Err(Failure::ShuttingDown);
        };
        let replicas = machine.answerers().map(|store| view.ring.node_of(store)).collect();
        let values: Vec<Value> = machine.merged().map_or(vec![], |object| {
            let values = object.values(now_ms).into_iter();
            values
                .filter_map(|sibling| match &sibling.payload {
                    Payload::Value(bytes) => Some(Value {
                        bytes: bytes.clone(),
                        written_ms: sibling.written_ms(),
                        expires_ms: sibling.expires_ms,
                    }),
                    Payload::Tombstone => None,
                })
                .collect()
        });
        let context = machine.merged().map(|object| object.context.encode(&head.key));
        match values.len() {
            0 => self.parts.stats.count(Counter::NotFound),
            1 => {}
            _ => self.parts.stats.count(Counter::SiblingReads),
        }
        Ok(Answer::Read { values, context, replicas })
    }

    /// Sends the merged object to an owner that was behind.
    fn repair(&mut self, turn: &mut Turn, id: u64, to: StoreId) {
        let view = self.parts.ring.load_full();
        let own = self.parts.store;
        let timeout = Duration::from_millis(self.parts.config.node.timing.request_timeout_ms);
        let Some(Operation { head, kind: OperationKind::Read(machine) }) = self.table.get(id) else { return };
        let Some(object) = machine.merged().map(|object| object.encode()) else { return };
        let key = head.key.clone();
        if !self.repairs.take(object.len() as u64) {
            self.parts.stats.count(Counter::ReadRepairsSkipped);
            return;
        }
        self.parts.stats.count(Counter::ReadRepairs);
        if to == own {
            let arbiter = self.arbiter_of(view.ring.partition_of(&key));
            let expires = now() + timeout;
            turn.local(arbiter, ReplicaCall::Store { id: NOBODY, key, object, hint: None, expires });
        } else {
            let (epoch, deadline_ms) = (view.ring.epoch, timeout.as_millis() as u32);
            let id = Origin::Coordinator.number(NOBODY);
            turn.remote(to, ToReplica::Store { id, epoch, deadline_ms, key, object, hint: None });
        }
    }
}

/// What travels instead of a deadline.
pub(super) fn millis_left(deadline: Moment) -> u32 {
    deadline.saturating_duration_since(now()).as_millis().min(u32::MAX as u128) as u32
}

/// Bytes that may be spent on repairs: so many a second, saved up for a second at most.
pub(super) struct RepairBudget {
    bytes_per_s: u64,
    left: u64,
    filled: Moment,
}

impl RepairBudget {
    pub(super) fn new(bytes_per_s: u64) -> RepairBudget {
        RepairBudget { bytes_per_s, left: bytes_per_s, filled: now() }
    }

    /// An object larger than the whole budget passes when the budget is full.
    fn take(&mut self, bytes: u64) -> bool {
        let earned = self.filled.elapsed().as_micros() as u64 * self.bytes_per_s / 1_000_000;
        if earned > 0 {
            self.left = (self.left + earned).min(self.bytes_per_s);
            self.filled = now();
        }
        let cost = bytes.min(self.bytes_per_s);
        let enough = self.left >= cost;
        self.left -= if enough { cost } else { 0 };
        enough
    }
}
