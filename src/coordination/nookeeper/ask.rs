//! Finds the leader, wherever it is, and has it do something.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::leader::Leader;
use super::link::message::{self, Answer, Ask, Call, Told};
use super::link::{CallError, Links};
use super::store::Replica;
use super::timing::Timing;
use super::types::{Endpoint, RaftId, Types};
use crate::coordination::state::Reply;

/// What a leader answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answered {
    /// What the command came to.
    pub reply: Reply,
    /// Whether an earlier attempt may have been carried out before this one.
    pub maybe_repeated: bool,
}

/// Why there was no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unanswered {
    /// Whether it may be carried out all the same.
    pub maybe_done: bool,
    /// What was tried last, and what came of it.
    pub cause: String,
}

/// Asks the leader on behalf of this replica's users.
pub(super) struct Asker {
    pub own: RaftId,
    pub raft: openraft::Raft<Types>,
    pub replica: Arc<Replica>,
    pub leader: Arc<Leader>,
    pub links: Arc<Links>,
    pub timing: Timing,
    pub stop: watch::Receiver<bool>,
}

impl Asker {
    /// Asks whoever leads until one answers, and then waits until this replica shows what it answered, refusals as well.
    /// The question is sent as it is each time, so it must be one that may be carried out twice.
    pub async fn ask(&self, ask: Ask) -> Result<Answered, Unanswered> {
        let mut unanswered = Unanswered { maybe_done: false, cause: "no leader is known".into() };
        let deadline = Instant::now() + self.timing.call_timeout();
        let mut stop = self.stop.clone();
        if let Err(fatal) = &self.raft.metrics().borrow().running_state {
            return Err(Unanswered { cause: fatal.to_string(), ..unanswered });
        }
        let answered = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {
                return Err(Unanswered { cause: "this replica has stopped".into(), ..unanswered });
            }
            answered = timeout_at(deadline, self.search(ask, &mut unanswered)) => answered,
        };
        let Ok((index, answered)) = answered else { return Err(unanswered) };
        if timeout_at(deadline, self.replica.wait_applied(index)).await.is_err() {
            let cause = "the leader answered, but this replica does not show it yet".into();
            return Err(Unanswered { maybe_done: true, cause });
        }
        Ok(answered)
    }

    /// Says what it knows in `unanswered` at any time.
    async fn search(&self, ask: Ask, unanswered: &mut Unanswered) -> (u64, Answered) {
        loop {
            let leader = self.leader_known().await;
            let maybe_repeated = std::mem::replace(&mut unanswered.maybe_done, true);
            let told = tokio::select! {
                biased;
                told = self.ask_one(leader, ask.clone()) => told,
                // A leader that was cut off goes on waiting for its majority.
                () = self.led_by_other_than(leader) => {
                    Told::Lost { cause: format!("{leader} does not lead any more") }
                }
            };
            match told {
                Told::Done { index, reply } => return (index, Answered { reply, maybe_repeated }),
                Told::Refused { cause } => *unanswered = Unanswered { maybe_done: maybe_repeated, cause },
                Told::Lost { cause } => unanswered.cause = cause,
            }
            sleep(self.timing.heartbeat() / 4).await;
        }
    }

    async fn ask_one(&self, leader: RaftId, ask: Ask) -> Told {
        if leader == self.own {
            return self.leader.answer(ask).await;
        }
        let endpoint = self.endpoint(leader);
        let answer = match self.links.call(leader, &endpoint, message::encode(&Call::Ask(ask))).await {
            Ok(answer) => answer,
            Err(CallError::NotSent(cause)) => return Told::Refused { cause },
            Err(CallError::Lost(cause)) => return Told::Lost { cause },
        };
        match message::decode(&answer) {
            Ok(Answer::Told(told)) => told,
            Ok(other) => Told::Lost { cause: format!("{leader} answered something else: {other:?}") },
            Err(error) => Told::Lost { cause: error.to_string() },
        }
    }

    async fn leader_known(&self) -> RaftId {
        let mut metrics = self.raft.server_metrics();
        loop {
            let leader = metrics.borrow_and_update().current_leader;
            match leader {
                Some(leader) => return leader,
                // If Raft has ended, nobody will ever lead.
                None if metrics.changed().await.is_err() => std::future::pending().await,
                None => (),
            }
        }
    }

    async fn led_by_other_than(&self, leader: RaftId) {
        let mut metrics = self.raft.server_metrics();
        // If Raft has ended, nobody leads.
        let _ = metrics.wait_for(|metrics| metrics.current_leader != Some(leader)).await;
    }

    fn endpoint(&self, of: RaftId) -> Endpoint {
        let metrics = self.raft.server_metrics();
        let membership = metrics.borrow().membership_config.clone();
        membership.membership().get_node(&of).cloned().unwrap_or_default()
    }
}
