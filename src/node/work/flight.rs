//! A step under way: what is sent for it, and what came back.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::id::{Epoch, Partition};
use crate::core::key::Key;
use crate::core::transfer::{Answer, Ask, Holding, Objects, Step, Versions, Whom};
use crate::node::env::Moment;
use crate::node::replica::messages::{ReplicaCall, ReplicaReply};
use crate::wire::exchange::{ClocksPage, LeavesAnswer, ObjectsPage, SumsAnswer};
use crate::wire::message::{ReplicaError, ToCoordinator, ToReplica};

/// Versions asked for at once. A replica may give fewer.
const CLOCKS_MAX: u32 = 1024;

/// What the calls of a step have in common.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// Which partition.
    pub partition: Partition,
    /// Its age.
    pub since: Epoch,
    /// Bytes of objects asked for at once.
    pub page_bytes_max: u32,
    /// When it is too late to begin, in milliseconds from now.
    pub deadline_ms: u32,
    /// The same as a moment here.
    pub expires: Moment,
}

/// What one call came to.
#[derive(Clone, PartialEq, Debug)]
pub enum Came {
    /// To this.
    Answer(Answer),
    /// Leaves are being made, and are this far.
    Building(u64),
    /// Nothing.
    Failed(ReplicaError),
}

/// What a step came to.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// To this.
    Answered(Answer),
    /// Leaves are being made, and so many keys are in them. To be asked again.
    Building(u64),
    /// To nothing, for this reason. To be done again.
    Failed(ReplicaError),
}

/// A step under way.
#[derive(Debug)]
pub struct Flight<I> {
    /// Whose.
    pub task: I,
    /// Who is asked.
    pub whom: Whom,
    /// When it began,
    pub begun: Duration,
    /// and when it is given up.
    pub deadline: Duration,
    step: Step,
    waiting: BTreeSet<u64>,
    came: Vec<Came>,
}

impl<I> Flight<I> {
    /// A step whose calls have these numbers.
    pub fn new(
        task: I,
        whom: Whom,
        begun: Duration,
        patience: Duration,
        step: Step,
        calls: BTreeSet<u64>,
    ) -> Flight<I> {
        Flight { task, whom, begun, deadline: begun + patience, step, waiting: calls, came: vec![] }
    }

    /// The numbers of the calls that were not answered.
    pub fn waiting(&self) -> &BTreeSet<u64> {
        &self.waiting
    }

    /// What one call came to. Returns whether it was the last one.
    pub fn came(&mut self, id: u64, came: Came) -> bool {
        if self.waiting.remove(&id) {
            self.came.push(came);
        }
        self.waiting.is_empty()
    }

    /// What all calls together came to: a failure, if one failed.
    pub fn outcome(self) -> Outcome {
        let mut kept = 0;
        for came in self.came {
            match (&self.step, came) {
                (_, Came::Failed(error)) => return Outcome::Failed(error),
                (_, Came::Building(keys)) => return Outcome::Building(keys),
                (Step::Ask(_, ask), Came::Answer(answer)) if answers(ask, &answer) => return Outcome::Answered(answer),
                (Step::Store(..), Came::Answer(Answer::Stored)) => {}
                (Step::Drop(_), Came::Answer(Answer::Dropped { kept: one })) => kept += one,
                (_, Came::Answer(_)) => {
                    return Outcome::Failed(ReplicaError::Malformed("an answer to another question".into()));
                }
            }
        }
        match self.step {
            Step::Drop(_) => Outcome::Answered(Answer::Dropped { kept }),
            _ => Outcome::Answered(Answer::Stored),
        }
    }
}

fn answers(ask: &Ask, answer: &Answer) -> bool {
    matches!(
        (ask, answer),
        (Ask::Leaves, Answer::Holding(_))
            | (Ask::Sums { .. }, Answer::Sums(_))
            | (Ask::Clocks { .. }, Answer::Versions(_))
            | (Ask::Pull { .. } | Ask::Objects { .. }, Answer::Objects(_))
    )
}

/// What a step sends to a peer; `number` numbers the calls.
pub fn to_peer(step: Step, of: Envelope, mut number: impl FnMut() -> u64) -> Vec<ToReplica> {
    let Envelope { partition, since: epoch, deadline_ms, .. } = of;
    match step {
        Step::Ask(_, ask) => {
            let id = number();
            vec![match ask {
                Ask::Leaves => ToReplica::Leaves { id, epoch, partition },
                Ask::Sums { depth, nodes } => ToReplica::Sums { id, epoch, partition, depth, nodes },
                Ask::Clocks { leaves, after } => {
                    ToReplica::Clocks { id, epoch, partition, leaves, after, limit: CLOCKS_MAX }
                }
                Ask::Pull { after } => ToReplica::Pull { id, epoch, partition, after, bytes_max: of.page_bytes_max },
                Ask::Objects { keys } => ToReplica::Objects { id, epoch, partition, keys },
            }]
        }
        Step::Store(_, objects) => {
            let store = |(key, object)| ToReplica::Store { id: number(), epoch, deadline_ms, key, object, hint: None };
            objects.into_iter().map(store).collect()
        }
        Step::Drop(_) | Step::Done => vec![],
    }
}

/// What a step asks of this store's own replica; `number` numbers the calls.
pub fn to_own(step: Step, of: Envelope, mut number: impl FnMut() -> u64) -> Vec<ReplicaCall> {
    let Envelope { partition, since: epoch, expires, .. } = of;
    match step {
        Step::Ask(_, ask) => {
            let id = number();
            vec![match ask {
                Ask::Leaves => ReplicaCall::Leaves { id, epoch, partition },
                Ask::Sums { depth, nodes } => ReplicaCall::Sums { id, epoch, partition, depth, nodes },
                Ask::Clocks { leaves, after } => {
                    ReplicaCall::Clocks { id, epoch, partition, leaves, after, limit: CLOCKS_MAX as usize }
                }
                Ask::Pull { after } => {
                    ReplicaCall::Pull { id, epoch, partition, after, bytes_max: of.page_bytes_max as usize }
                }
                Ask::Objects { keys } => ReplicaCall::Objects { id, epoch, partition, keys },
            }]
        }
        Step::Store(_, objects) => {
            let store = |(key, object)| ReplicaCall::Store { id: number(), epoch, key, object, hint: None, expires };
            objects.into_iter().map(store).collect()
        }
        Step::Drop(drops) => {
            drops.into_iter().map(|(key, clock)| ReplicaCall::Drop { id: number(), key, clock }).collect()
        }
        Step::Done => vec![],
    }
}

/// What an own replica's reply says; `None` for what is never asked.
pub fn from_own(reply: ReplicaReply) -> Option<(u64, Came)> {
    let id = reply.id();
    let came = match reply {
        ReplicaReply::Leaves { result, .. } => leaves(result),
        ReplicaReply::Sums { result, .. } => sums(result),
        ReplicaReply::Clocks { result, .. } => clocks(result),
        ReplicaReply::Page { result, .. } => page(result),
        ReplicaReply::Stored { result, .. } => result.map_or_else(Came::Failed, |()| Came::Answer(Answer::Stored)),
        ReplicaReply::Dropped { dropped, .. } => Came::Answer(Answer::Dropped { kept: (!dropped).into() }),
        ReplicaReply::Failed { error, .. } => Came::Failed(error),
        _ => return None,
    };
    Some((id, came))
}

/// What a peer's reply says; `None` for what is never asked.
pub fn from_peer(reply: ToCoordinator) -> Option<(u64, Came)> {
    let id = reply.id();
    let came = match reply {
        ToCoordinator::Leaves { result, .. } => leaves(result),
        ToCoordinator::Sums { result, .. } => sums(result),
        ToCoordinator::Clocks { result, .. } => clocks(result),
        ToCoordinator::Page { result, .. } => page(result),
        ToCoordinator::Stored { result, .. } => result.map_or_else(Came::Failed, |()| Came::Answer(Answer::Stored)),
        ToCoordinator::Failed { error, .. } => Came::Failed(error),
        _ => return None,
    };
    Some((id, came))
}

fn leaves(result: Result<LeavesAnswer, ReplicaError>) -> Came {
    match result {
        Ok(LeavesAnswer::Whole { leaves, keys, bytes }) => {
            Came::Answer(Answer::Holding(Holding { leaves, keys, bytes }))
        }
        Ok(LeavesAnswer::Building { done_keys }) => Came::Building(done_keys),
        Err(error) => Came::Failed(error),
    }
}

fn sums(result: Result<SumsAnswer, ReplicaError>) -> Came {
    match result {
        Ok(SumsAnswer::Whole(sums)) => Came::Answer(Answer::Sums(sums)),
        Ok(SumsAnswer::Building { done_keys }) => Came::Building(done_keys),
        Err(error) => Came::Failed(error),
    }
}

fn clocks(result: Result<ClocksPage, ReplicaError>) -> Came {
    match result {
        Ok(ClocksPage { clocks, next }) => Came::Answer(Answer::Versions(Versions { clocks, next })),
        Err(error) => Came::Failed(error),
    }
}

fn page(result: Result<ObjectsPage, ReplicaError>) -> Came {
    match result {
        Ok(ObjectsPage { objects, unreadable, left_over, next }) => {
            let objects = objects.into_iter().map(|(key, object): (Key, _)| (key, object.0)).collect();
            Came::Answer(Answer::Objects(Objects { objects, unreadable, left_over, next }))
        }
        Err(error) => Came::Failed(error),
    }
}
