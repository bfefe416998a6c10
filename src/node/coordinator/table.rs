//! Operations in flight and when to look at them again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::id::{Epoch, StoreId};
use crate::core::key::Key;
use crate::core::quorum::read::ReadMachine;
use crate::core::quorum::write::WriteMachine;
use crate::core::request::{Answer, Failure, Request};
use crate::core::ring::Route;
use crate::node::admission::Permit;
use crate::node::coordinator::messages::Answers;
use crate::node::env::Moment;

/// Why an operation is looked at without a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Alarm {
    /// A replica is slower than usual.
    Hedge,
    /// Time is up.
    Deadline,
}

/// What every operation has.
pub struct Head {
    /// Whose key.
    pub key: Key,
    /// By what ring it goes.
    pub route: Arc<Route>,
    /// Who asked; taken when answered.
    pub asker: Option<Asker>,
    /// When it came.
    pub arrived: Moment,
    /// When time is up.
    pub deadline: Moment,
    /// When its first messages left.
    pub sent: Moment,
}

/// Who waits for an answer.
pub struct Asker {
    /// Its number there.
    pub id: u64,
    /// Where the answer goes.
    pub caller: Arc<dyn Answers>,
    /// Dropped with the answer.
    pub permit: Permit,
}

impl Asker {
    /// Answers, and gives the permit back.
    pub fn answer(self, epoch: Epoch, result: Result<Answer, Failure>) {
        let Asker { id, caller, permit } = self;
        caller.answer(id, epoch, result);
        drop(permit);
    }
}

/// One operation in flight.
pub struct Operation {
    /// What every operation has.
    pub head: Head,
    /// What it is.
    pub kind: OperationKind,
}

/// What an operation is.
pub enum OperationKind {
    /// A read.
    Read(ReadMachine),
    /// A write that this node coordinates.
    Write {
        /// Its quorum.
        machine: WriteMachine,
        /// As it was asked for, until it is minted.
        ask: Option<Box<Ask>>,
        /// The answer, once minted: context and siblings.
        minted: Option<(bytes::Bytes, u32)>,
        /// The merged object, encoded, for whoever is still to get it.
        object: bytes::Bytes,
    },
    /// A write that another node coordinates.
    Forward {
        /// Who has it.
        to: StoreId,
        /// Others that could have it, should it not reach the first.
        others: Vec<StoreId>,
        /// What to send.
        ask: Box<Ask>,
    },
    /// A write that has not begun, because this node's ring is older than that of somebody who was asked, or asks.
    Waiting {
        /// The age of its partition that is waited for.
        until: Epoch,
        /// What begins then.
        ask: Box<Ask>,
    },
}

impl OperationKind {
    /// The request of a write that was not minted here.
    pub fn into_ask(self) -> Option<Box<Ask>> {
        match self {
            OperationKind::Write { ask, .. } => ask,
            OperationKind::Forward { ask, .. } | OperationKind::Waiting { ask, .. } => Some(ask),
            OperationKind::Read(_) => None,
        }
    }
}

/// A request as it came.
pub struct Ask {
    /// What to do.
    pub request: Request,
    /// If another node forwarded it: the age of its partition there.
    pub forwarded: Option<Epoch>,
}

/// All operations in flight, by number, and their alarms, by time.
#[derive(Default)]
pub struct Table {
    operations: BTreeMap<u64, Operation>,
    alarms: BTreeSet<(Moment, u64, Alarm)>,
    last: u64,
}

impl Table {
    /// A number that no operation has had.
    pub fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Adds an operation; its deadline rings.
    pub fn insert(&mut self, id: u64, operation: Operation) {
        self.alarms.insert((operation.head.deadline, id, Alarm::Deadline));
        self.operations.insert(id, operation);
    }

    /// An operation, if it is still in flight.
    pub fn get(&mut self, id: u64) -> Option<&mut Operation> {
        self.operations.get_mut(&id)
    }

    /// Ends an operation.
    pub fn remove(&mut self, id: u64) -> Option<Operation> {
        let operation = self.operations.remove(&id)?;
        self.alarms.remove(&(operation.head.deadline, id, Alarm::Deadline));
        Some(operation)
    }

    /// Gives an operation another number: replies to the old one find nothing.
    pub fn renumber(&mut self, id: u64) -> Option<u64> {
        let operation = self.remove(id)?;
        let number = self.number();
        self.insert(number, operation);
        Some(number)
    }

    /// Rings at `at`.
    pub fn set_alarm(&mut self, at: Moment, id: u64, alarm: Alarm) {
        self.alarms.insert((at, id, alarm));
    }

    /// When the next alarm rings. Alarms of operations that are over may ring too.
    pub fn next_alarm(&self) -> Option<Moment> {
        self.alarms.first().map(|(at, ..)| *at)
    }

    /// An alarm that is due.
    pub fn due(&mut self, now: Moment) -> Option<(u64, Alarm)> {
        let first = *self.alarms.first()?;
        (first.0 <= now).then(|| {
            self.alarms.remove(&first);
            (first.1, first.2)
        })
    }

    /// The numbers of all operations in flight.
    pub fn ids(&self) -> Vec<u64> {
        self.operations.keys().copied().collect()
    }

    /// Operations in flight, answered ones included.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Operations that somebody waits for.
    pub fn unanswered(&self) -> usize {
        self.operations.values().filter(|op| op.head.asker.is_some()).count()
    }
}
