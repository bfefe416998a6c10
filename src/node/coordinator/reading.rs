//! Reads: choosing whom to ask, answering, repairing.

use std::time::Duration;

use super::failing::failure;
use super::table::{Alarm, Head, Operation, OperationKind};
use super::{Coordinator, Turn};
use crate::core::id::StoreId;
use crate::core::quorum::age::Reading;
use crate::core::quorum::read::{Candidates, ReadAction, ReadMachine};
use crate::core::quorum::size::{QuorumSizes, read_sizes};
use crate::core::request::{Answer, Failure, Kind, Options, Value};
use crate::core::ring::{Motion, Route};
use crate::mutant;
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
        let bucket = view.buckets.get(&head.key.bucket);
        let sizes = read_sizes(options, bucket, view.ring.replication)?;
        self.check_lease(view, term, sizes, Kind::Read)?;
        let candidates = self.candidates(view, &head.route, sizes);
        let (machine, actions) = ReadMachine::start(sizes, bucket.conflict, candidates)
            .map_err(|short| failure(view, Kind::Read, short, Duration::ZERO))?;
        let id = self.table.number();
        self.table.insert(id, Operation { head, kind: OperationKind::Read(machine) });
        self.ask(turn, id, actions);
        Ok(id)
    }

    /// Sends a read's first questions.
    pub(super) fn ask(&mut self, turn: &mut Turn, id: u64, actions: Vec<ReadAction>) {
        let patience = self.patience(&actions);
        self.table.set_alarm(now() + patience, id, Alarm::Hedge);
        self.act_read(turn, id, actions);
    }

    /// Live owners, this one first and then the quickest; fallbacks only where an owner is down.
    pub(super) fn candidates(&self, view: &RingView, route: &Route, sizes: QuorumSizes) -> Candidates {
        let (own, is_live) = (self.parts.store, self.live());
        let motion = &view.ring.slices()[route.partition.0 as usize].motion;
        let owners = match motion {
            Some(Motion::Pending(_)) if mutant!(ReadFromNewOwnersEarly) => route.others(sizes.n),
            _ => route.owners(sizes.n),
        };
        let (mut live, down): (Vec<_>, Vec<_>) = owners.iter().partition(|&&store| is_live(store));
        live.sort_by_key(|&store| (store != own, self.latencies.p50_us(store)));
        let fallbacks = if sizes.sloppy {
            route.fallbacks(sizes.n).filter(|&store| is_live(store)).take(sizes.n as usize).collect()
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
        let own = self.parts.store;
        let Some(Operation { head, kind: OperationKind::Read(machine) }) = self.table.get(id) else { return };
        let (sizes, route) = (machine.sizes(), head.route.clone());
        let reading = match route.is_owner(from, sizes.n) {
            true if sizes.is_strict() => Reading::Strict,
            true => Reading::Sloppy,
            false => Reading::StandIn,
        };
        let (key, epoch, deadline) = (head.key.clone(), route.since, head.deadline);
        if from == own {
            let arbiter = self.arbiter_of(route.partition);
            turn.local(arbiter, ReplicaCall::Fetch { id, epoch, key, reading, expires: deadline });
        } else {
            let (id, deadline_ms) = (Origin::Coordinator.number(id), millis_left(deadline));
            turn.remote(from, ToReplica::Fetch { id, epoch, deadline_ms, key, reading });
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
        let siblings = machine.merged().map(|object| object.values(now_ms)).unwrap_or_default();
        let values: Vec<Value> = siblings.into_iter().filter_map(Value::of).collect();
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
        let own = self.parts.store;
        let (timing, reap) = (&self.parts.config.node.timing, &self.parts.config.node.reap);
        let Some(Operation { head, kind: OperationKind::Read(machine) }) = self.table.get(id) else { return };
        // Nothing of it was read before the request came.
        let age = reap.grace().version_age_max().saturating_sub(head.arrived.elapsed());
        let timeout = timing.request_timeout().min(age);
        let Some(object) = machine.merged().map(|object| object.encode()) else { return };
        let (key, route) = (head.key.clone(), head.route.clone());
        if !self.repairs.take(object.len() as u64) {
            self.parts.stats.count(Counter::ReadRepairsSkipped);
            return;
        }
        self.parts.stats.count(Counter::ReadRepairs);
        if to == own {
            let (arbiter, epoch, expires) = (self.arbiter_of(route.partition), route.since, now() + timeout);
            turn.local(arbiter, ReplicaCall::Store { id: NOBODY, epoch, key, object, hint: None, expires });
        } else {
            let (epoch, deadline_ms) = (route.since, timeout.as_millis() as u32);
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
