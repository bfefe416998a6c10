//! What the replicas of the service agree on: the tree, the sessions that write to it, and the limits of both.
//!
//! [`State::apply`] takes one [`Command`] after another, in the order of the log, and is a function: replicas that applied the
//! same log hold the same bytes. Four rules make that, and the service's promises, hold.
//!
//! - **Time travels in commands**, stamped by the leader. A session expires by an [`Action::Expire`] alone, never because some
//!   replica looked at a clock.
//! - **With a new leader every session begins its timeout again.** A leader is known by its term, which the log gives with
//!   each entry, so no command for this can be forgotten or come late.
//! - **A write applies once.** It carries its session and its number there ([`Sequences`]). A copy gets the first
//!   reply, as long as the writer might still need it; after that it is refused.
//! - **Ephemeral nodes vanish with their session**, in the command that ends it.
//!
//! When a majority of the replicas is lost, [`State::recover`] goes on with what one of the others has.
//!
//! Reads do not pass through here: any replica reads its own tree, at its own revision.

mod command;
mod recover;
mod sequences;
mod sessions;
mod snapshot;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use command::{Action, Answer, Applied, Command, Reply};
pub use recover::GenerationError;
pub use sequences::{Numbered, Sequences};
pub use snapshot::SnapshotError;

use crate::coordination::tree::{Change, Event, Limits, SessionId, Tree};
use sessions::{Known, Sessions};

/// How far a write may be ahead of the oldest one of its session that has no reply. As many replies are kept for it.
pub const IN_FLIGHT_MAX: u64 = 64;

/// The replicated state.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    limits: Limits,
    tree: Tree,
    sessions: Sessions,
}

impl State {
    /// Applies an entry of the log. `term` is the entry's own: that of the leader who put it there.
    pub fn apply(&mut self, term: u64, command: Command) -> Applied {
        self.sessions.observe(term, command.now_ms);
        let (mut events, mut ended) = (vec![], vec![]);
        let reply = match command.action {
            Action::Open { timeout_ms } => self
                .sessions
                .open(timeout_ms, &self.limits)
                .map(|(session, timeout_ms)| Answer::Opened { session, timeout_ms }),
            Action::Renew { session } => self.sessions.renew(session).map(|()| Answer::Done),
            Action::Close { session } => self.sessions.close(session).map(|()| {
                ended.push(session);
                Answer::Done
            }),
            Action::Write { session, sequence, settled_below, changes } => {
                self.write(session, sequence, settled_below, changes, &mut events)
            }
            Action::Expire => {
                ended = self.sessions.expire();
                Ok(Answer::Done)
            }
            Action::SetLimits(limits) => {
                self.limits = limits;
                Ok(Answer::Done)
            }
        };
        for session in &ended {
            events.extend(self.tree.remove_owned(*session));
        }
        Applied { reply, events, ended }
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The open sessions, in the order in which they were opened.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.ids()
    }

    /// The open sessions with their timeouts and how long each gave no sign of life, both in milliseconds: by the clock of
    /// the leader of that term; for any other term at the last command that was applied.
    pub fn session_ages(&self, term: u64, now_ms: u64) -> impl Iterator<Item = (SessionId, u64, u64)> {
        self.sessions.ages(term, now_ms)
    }

    /// Whether a session is open, as far as this replica knows.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.sessions.is_open(session)
    }

    /// Whether the leader of that term should send an [`Action::Expire`] at that time of its clock: a session is over, or
    /// no command of its term was applied yet, so that sessions do not know yet that they live on.
    pub fn is_expiry_due(&self, term: u64, now_ms: u64) -> bool {
        self.sessions.is_due(term, now_ms)
    }

    fn write(
        &mut self,
        session: SessionId,
        sequence: u64,
        settled_below: u64,
        changes: Vec<Change>,
        events: &mut Vec<Event>,
    ) -> Reply {
        if let Known::Replied(reply) = self.sessions.begin_write(session, sequence, settled_below)? {
            return reply;
        }
        let reply = self.tree.apply(session, changes, &self.limits).map(|(outcomes, told)| {
            events.extend(told);
            Answer::Written(outcomes)
        });
        self.sessions.end_write(session, sequence, reply.clone());
        reply
    }
}
