//! Executing works step by step.
//!
//! A [`Work`](crate::core::transfer::Work) says what it wants next and is told what came of it; here its wishes are sent. Questions to
//! other stores go through a pool, those to this one to its own Replicas as if they had come from another store; what is stored counts when it
//! is durable. Whoever owns a [`Works`] is an actor: it decides whose turn it is and how fast, takes the replies in, and judges
//! what has [landed](Landed). A task has at most one step under way, and a step that is not answered in time has failed.

mod flight;
mod known;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use self::flight::{Envelope, Flight};
use super::connection_pool::messages::{Origin, PeerEvent, PeerSend};
use super::env::now;
use super::replica::Replica;
use super::replica::messages::{ReplicaBatch, ReplicaReply, ReplicaSink};
use crate::core::id::StoreId;
use crate::core::transfer::{Answer, Step, Whom, turn};
use crate::wire::message::ReplicaError;

pub use flight::{Came, Outcome};
pub use known::LookedUp;
pub use task::{AsWork, Id, Task};

/// The works of an actor, and what is under way for them.
pub struct Works<I, J> {
    origin: Origin,
    replicas: Arc<Vec<Addr<Replica>>>,
    /// Known once the pools are there.
    pool: Option<Recipient<PeerSend>>,
    /// All of them.
    pub tasks: BTreeMap<I, Task<I, J>>,
    flights: BTreeMap<u64, Flight<I>>,
    /// The flight of each call that was not answered.
    calls: BTreeMap<u64, u64>,
    last: u64,
}

/// What all steps have in common.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// When a step is given up.
    pub patience: Duration,
    /// How old what is stored may be, counted from when it was read: what it was read from may have been reaped since.
    pub version_age_max: Duration,
    /// Bytes of objects asked for at once.
    pub page_bytes_max: u32,
}

/// A step that is over.
#[derive(Debug)]
pub struct Landed<I> {
    /// Whose.
    pub task: I,
    /// Who was asked.
    pub whom: Whom,
    /// When it began.
    pub began: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

/// What became of a wish to do a step.
#[derive(Debug)]
pub enum Stepped<I> {
    /// It is under way.
    UnderWay,
    /// The work is complete.
    Complete,
    /// There was nothing to send.
    Landed(Landed<I>),
}

impl<I: Id, J: AsWork> Works<I, J> {
    /// None yet. Calls are numbered as of this origin.
    pub fn new(origin: Origin, replicas: Arc<Vec<Addr<Replica>>>) -> Works<I, J> {
        let (tasks, flights, calls) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Works { origin, replicas, pool: None, tasks, flights, calls, last: 0 }
    }

    /// Other stores are asked through this.
    pub fn ask_through(&mut self, pool: Recipient<PeerSend>) {
        self.pool = Some(pool);
    }

    /// Whether other stores can be asked.
    pub fn can_ask(&self) -> bool {
        self.pool.is_some()
    }

    /// Steps under way.
    pub fn under_way(&self) -> usize {
        self.flights.len()
    }

    /// Whose turn it is, if not `at_once_max` steps are under way.
    pub fn turn(&self, clock: Duration, at_once_max: usize) -> Option<I> {
        let candidates = self.tasks.values().filter_map(Task::candidate);
        let busy = self.tasks.values().filter_map(Task::busy);
        turn(clock, candidates, busy, at_once_max)
    }

    /// When to look again at the latest: something may go on then, or is to be given up.
    pub fn wakes_at(&self, clock: Duration) -> Option<Duration> {
        let wakes = self.tasks.values().filter_map(Task::wakes_at).filter(|at| *at > clock);
        wakes.chain(self.flights.values().map(|flight| flight.deadline)).min()
    }

    /// Keeps these tasks. What is under way for the others will not land.
    pub fn retain(&mut self, keep: impl Fn(&I, &Task<I, J>) -> bool) {
        self.tasks.retain(|id, task| keep(id, task));
        let (tasks, calls) = (&self.tasks, &mut self.calls);
        self.flights.retain(|_, flight| {
            let goes_on = tasks.contains_key(&flight.task);
            if !goes_on {
                calls.retain(|id, _| !flight.waiting().contains(id));
            }
            goes_on
        });
    }

    /// Does what a task wants next. Own Replicas reply to `own`.
    pub fn step(&mut self, id: I, clock: Duration, terms: Terms, own: Arc<dyn ReplicaSink>) -> Stepped<I> {
        let Some(task) = self.tasks.get_mut(&id) else { return Stepped::Complete };
        let Terms { mut patience, version_age_max, page_bytes_max } = terms;
        let mut step = task.job.work().next();
        match &step {
            Step::Ask(..) => task.read_at = clock,
            // What has waited for its turn too long is read again.
            Step::Store(..) if clock >= task.read_at + version_age_max => {
                task.job.work().failed();
                (step, task.read_at) = (task.job.work().next(), clock);
            }
            Step::Store(..) => patience = patience.min(task.read_at + version_age_max - clock),
            Step::Drop(_) | Step::Done => {}
        }
        let whom = match step {
            Step::Done => return Stepped::Complete,
            Step::Ask(whom, _) | Step::Store(whom, _) => whom,
            Step::Drop(_) => Whom::Own,
        };
        task.begins_step(clock);
        let (deadline_ms, expires) = (patience.as_millis() as u32, now() + patience);
        let envelope = Envelope { partition: id.partition(), since: id.since(), page_bytes_max, deadline_ms, expires };
        let (first, origin, last) = (self.last + 1, self.origin, &mut self.last);
        let mut number = || {
            *last += 1;
            origin.number(*last)
        };
        let wanted = step.clone();
        let is_empty = match whom {
            Whom::Own => {
                let calls = flight::to_own(step, envelope, &mut number);
                let is_empty = calls.is_empty();
                let replica = &self.replicas[id.partition().0 as usize % self.replicas.len()];
                replica.do_send(ReplicaBatch { calls, sink: own });
                is_empty
            }
            Whom::Peer(to) => {
                let messages = flight::to_peer(step, envelope, &mut number);
                let is_empty = messages.is_empty();
                if let Some(pool) = &self.pool {
                    pool.do_send(PeerSend { to, messages });
                }
                is_empty
            }
        };
        let calls = (first..=self.last).map(|sequence| origin.number(sequence)).collect();
        let flight = Flight::new(id, whom, clock, patience, wanted, calls);
        self.calls.extend(flight.waiting().iter().map(|call| (*call, first)));
        if is_empty {
            return Stepped::Landed(Landed { task: id, whom, began: clock, outcome: flight.outcome() });
        }
        self.flights.insert(first, flight);
        Stepped::UnderWay
    }

    /// Takes in what own Replicas replied. Returns the steps that are over.
    pub fn own_replied(&mut self, replies: Vec<ReplicaReply>) -> Vec<Landed<I>> {
        let came = replies.into_iter().filter_map(flight::from_own);
        came.filter_map(|(id, came)| self.came(Whom::Own, id, came)).collect()
    }

    /// Takes in what came from another store, or did not. Returns the steps that are over.
    pub fn heard(&mut self, event: PeerEvent) -> Vec<Landed<I>> {
        match event {
            PeerEvent::Replies { from, replies } => {
                let came = replies.into_iter().filter_map(flight::from_peer);
                came.filter_map(|(id, came)| self.came(Whom::Peer(from), id, came)).collect()
            }
            PeerEvent::Refused { from, refused } => {
                let came = refused.into_iter().map(|(id, error)| (id, Came::Failed(error)));
                came.filter_map(|(id, came)| self.came(Whom::Peer(from), id, came)).collect()
            }
            PeerEvent::Lost { from } => self.lost(from),
        }
    }

    /// Nothing that was asked of this store will be answered.
    fn lost(&mut self, store: StoreId) -> Vec<Landed<I>> {
        self.fail(|flight| flight.whom == Whom::Peer(store), ReplicaError::Unreachable)
    }

    /// Gives up what has not been answered in time.
    pub fn give_up(&mut self, clock: Duration) -> Vec<Landed<I>> {
        self.fail(|flight| flight.deadline <= clock, ReplicaError::Late)
    }

    fn fail(&mut self, which: impl Fn(&Flight<I>) -> bool, error: ReplicaError) -> Vec<Landed<I>> {
        let failed: Vec<u64> = self.flights.iter().filter(|(_, flight)| which(flight)).map(|(n, _)| *n).collect();
        let mut landed = vec![];
        for number in failed {
            let Some(flight) = self.flights.get(&number) else { continue };
            let (whom, calls) = (flight.whom, flight.waiting().clone());
            landed.extend(calls.into_iter().filter_map(|call| self.came(whom, call, Came::Failed(error.clone()))));
        }
        landed
    }

    /// One call was answered, or failed. Returns its step, if that is over.
    fn came(&mut self, whom: Whom, id: u64, came: Came) -> Option<Landed<I>> {
        let number = *self.calls.get(&id)?;
        let flight = self.flights.get_mut(&number).filter(|flight| flight.whom == whom)?;
        self.calls.remove(&id);
        if !flight.came(id, came) {
            return None;
        }
        let flight = self.flights.remove(&number)?;
        Some(Landed { task: flight.task, whom, began: flight.begun, outcome: flight.outcome() })
    }
}

/// Bytes that came from another store.
pub fn weight(whom: Whom, answer: &Answer) -> u64 {
    /// Of a version, beside its key.
    const CLOCK_BYTES: usize = 20;
    let bytes: usize = match (whom, answer) {
        (Whom::Own, _) | (_, Answer::Stored | Answer::Dropped { .. }) => 0,
        (_, Answer::Holding(holding)) => holding.leaves.bytes(),
        (_, Answer::Sums(sums)) => size_of_val(&sums.0[..]),
        (_, Answer::Versions(page)) => page.clocks.iter().map(|(key, _)| key.len() + CLOCK_BYTES).sum(),
        (_, Answer::Objects(page)) => page.objects.iter().map(|(key, object)| key.name.len() + object.len()).sum(),
    };
    bytes as u64
}
