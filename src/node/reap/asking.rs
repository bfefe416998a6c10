//! Doing what rounds want, and bringing them what comes back.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::messages::OwnReplies;
use super::{Reaper, due};
use crate::core::id::{Partition, StoreId};
use crate::core::reap::{Answer, Block, Candidate, Question, Step};
use crate::node::connection_pool::messages::{Origin, PeerSend};
use crate::node::replica::messages::{ReplicaBatch, ReplicaCall, ReplicaReply, ReplicaSink};
use crate::storage::{Batch, Space, StorageError};
use crate::wire::message::{ReplicaError, ToCoordinator, ToReplica};

/// What came of a call.
type Came = Result<Answer, ReplicaError>;

struct OwnSink(Addr<Reaper>);

impl ReplicaSink for OwnSink {
    fn reply(&self, replies: Vec<ReplicaReply>) {
        self.0.do_send(OwnReplies(replies));
    }
}

/// What an own replica's reply says; `None` for what is never asked.
pub(super) fn from_own(reply: ReplicaReply) -> Option<(u64, Came)> {
    match reply {
        ReplicaReply::Reap { id, result } => Some((id, result)),
        ReplicaReply::Failed { id, error } => Some((id, Err(error))),
        _ => None,
    }
}

/// What a peer's reply says; `None` for what is never asked.
pub(super) fn from_peer(reply: ToCoordinator) -> Option<(u64, Came)> {
    match reply {
        ToCoordinator::Reap { id, result } => Some((id, result)),
        ToCoordinator::Failed { id, error } => Some((id, Err(error))),
        _ => None,
    }
}

fn block(store: StoreId, error: &ReplicaError) -> Block {
    match error {
        ReplicaError::Moved(_) => Block::OtherRing(store),
        ReplicaError::Unreachable | ReplicaError::Late | ReplicaError::Overloaded(_) => Block::Unreachable(store),
        ReplicaError::ReadOnly(_) | ReplicaError::Unreadable(_) | ReplicaError::Malformed(_) => Block::Unable(store),
    }
}

impl Reaper {
    /// Goes on with a round as far as it can.
    pub(super) fn advance(&mut self, partition: Partition, ctx: &mut Context<Self>) {
        let (clock, epoch) = (self.clock(), self.parts.ring.load().ring.epoch);
        while let Some(running) = self.rounds.get_mut(&partition) {
            if running.epoch != epoch {
                return self.blocks(partition, Block::RingChanged(epoch));
            }
            if !running.waiting.is_empty() {
                return;
            }
            running.round.rested(clock);
            match running.round.next() {
                Step::Ask(whom, question) => return self.ask(partition, whom, question, ctx),
                Step::Rest(until) => return self.again(partition, until.saturating_sub(clock), ctx),
                Step::Fill => {
                    let wait = self.pace.wait(clock);
                    if !wait.is_zero() {
                        return self.again(partition, wait, ctx);
                    }
                    match self.fill(partition, ctx) {
                        Ok(candidates) => {
                            self.pace.spend(candidates.len() as u64);
                            if let Some(running) = self.rounds.get_mut(&partition) {
                                running.round.fill(candidates);
                            }
                        }
                        Err(error) => {
                            log::warn!("cannot read what is due in partition {partition}: {error}");
                            return self.blocks(partition, Block::Unable(self.parts.own));
                        }
                    }
                }
                Step::Done => return self.end(partition),
            }
        }
    }

    /// Goes on after a while.
    fn again(&self, partition: Partition, wait: Duration, ctx: &mut Context<Self>) {
        ctx.run_later(wait, move |this, ctx| this.advance(partition, ctx));
    }

    /// The next keys of a partition that are due.
    fn fill(&mut self, partition: Partition, ctx: &mut Context<Self>) -> Result<Vec<Candidate>, StorageError> {
        let limit = self.parts.config.node.reap.batch.into();
        while let Some(running) = self.rounds.get_mut(&partition).filter(|running| !running.at_end) {
            let (engine, after) = (&*self.parts.engine, running.after.as_ref());
            let page = due::queued(engine, partition, running.until_ms, after, limit)?;
            (running.at_end, running.after) = (page.next.is_none(), page.next);
            if !page.stale.is_empty() {
                let mut batch = Batch::default();
                page.stale.into_iter().for_each(|key| batch.remove(Space::Meta, key));
                self.parts.disk.submit(ctx.address().recipient(), 0, batch);
            }
            if !page.due.is_empty() {
                return Ok(page.due);
            }
        }
        Ok(self.search.take(partition, limit))
    }

    fn ask(&mut self, partition: Partition, whom: Vec<StoreId>, question: Question, ctx: &mut Context<Self>) {
        let patience = self.parts.config.node.timing.request_timeout();
        let Some(running) = self.rounds.get_mut(&partition) else { return };
        let epoch = running.epoch;
        running.deadline = self.started.elapsed() + patience;
        for store in whom {
            self.last += 1;
            let (id, question) = (Origin::Reaper.number(self.last), question.clone());
            running.waiting.insert(id);
            self.calls.insert(id, (partition, store));
            if store == self.parts.own {
                let replica = &self.parts.replicas[partition.0 as usize % self.parts.replicas.len()];
                let calls = vec![ReplicaCall::Reap { id, epoch, partition, question }];
                replica.do_send(ReplicaBatch { calls, sink: Arc::new(OwnSink(ctx.address())) });
            } else if let Some(pool) = &self.pool {
                let messages = vec![ToReplica::Reap { id, epoch, partition, question }];
                pool.do_send(PeerSend { to: store, messages });
            }
        }
        ctx.run_later(patience, move |this, _| this.give_up(partition));
    }

    /// A step that was not answered in time ends its round.
    fn give_up(&mut self, partition: Partition) {
        let clock = self.clock();
        let Some(running) = self.rounds.get(&partition).filter(|running| running.deadline <= clock) else { return };
        let silent = running.waiting.iter().find_map(|id| self.calls.get(id));
        if let Some(&(_, store)) = silent {
            self.blocks(partition, Block::Unreachable(store));
        }
    }

    /// What one call came to.
    pub(super) fn came(&mut self, id: u64, came: Came, ctx: &mut Context<Self>) {
        let Some((partition, store)) = self.calls.remove(&id) else { return };
        let clock = self.clock();
        let Some(running) = self.rounds.get_mut(&partition) else { return };
        running.waiting.remove(&id);
        let result = match came {
            Ok(answer) => running.round.answered(store, answer, clock),
            Err(error) => Err(block(store, &error)),
        };
        match result {
            Ok(()) => self.advance(partition, ctx),
            Err(block) => self.blocks(partition, block),
        }
    }

    /// Nobody of those who were asked there will answer.
    pub(super) fn lost(&mut self, store: StoreId) {
        let asked = self.calls.values().filter(|(_, asked)| *asked == store);
        let partitions: Vec<Partition> = asked.map(|(partition, _)| *partition).collect();
        partitions.into_iter().for_each(|partition| self.blocks(partition, Block::Unreachable(store)));
    }
}
