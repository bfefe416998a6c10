//! The sessions, and what each has been answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::IN_FLIGHT_MAX;
use super::command::Reply;
use crate::coordination::tree::{Limit, Limits, Refusal, SessionId, in_generation};

/// All open sessions, and the clock that they are judged by.
///
/// The clock is that of the leader, and only differences within one term are looked at: with a new term all sessions begin
/// their timeout again. So leaders' clocks need not agree, and nobody loses a session because there was no leader to renew it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sessions {
    term: u64,
    now_ms: u64,
    opened: u64,
    open: BTreeMap<SessionId, Session>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Session {
    timeout_ms: u64,
    renewed_ms: u64,
    /// Replies to writes with smaller numbers are forgotten.
    settled_below: u64,
    replies: BTreeMap<u64, Reply>,
}

impl Session {
    fn deadline_ms(&self) -> u64 {
        self.renewed_ms.saturating_add(self.timeout_ms)
    }
}

/// What is known of a write before it is applied.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// Nothing; it is to be applied.
    New,
    /// It was applied, and this was its reply.
    Replied(Reply),
}

impl Sessions {
    /// Learns the time of a command, and of a new leader by its term.
    pub fn observe(&mut self, term: u64, now_ms: u64) {
        if term != self.term {
            (self.term, self.now_ms) = (term, now_ms);
            self.open.values_mut().for_each(|session| session.renewed_ms = now_ms);
        } else {
            // Commands may enter the log in another order than they were stamped.
            self.now_ms = self.now_ms.max(now_ms);
        }
    }

    /// Opens a session; answers its id and the timeout granted.
    pub fn open(&mut self, timeout_ms: u64, limits: &Limits) -> Result<(SessionId, u64), Refusal> {
        if self.open.len() as u64 >= limits.sessions_max {
            return Err(Refusal::TooMuch { limit: Limit::Sessions, max: limits.sessions_max });
        }
        self.opened += 1;
        let id = SessionId(self.opened);
        let timeout_ms = timeout_ms.min(limits.session_timeout_max_ms).max(limits.session_timeout_min_ms);
        let session = Session { timeout_ms, renewed_ms: self.now_ms, settled_below: 0, replies: BTreeMap::new() };
        self.open.insert(id, session);
        Ok((id, timeout_ms))
    }

    /// Notes a sign of life.
    pub fn renew(&mut self, id: SessionId) -> Result<(), Refusal> {
        let now_ms = self.now_ms;
        self.session(id).map(|session| session.renewed_ms = now_ms)
    }

    pub fn close(&mut self, id: SessionId) -> Result<(), Refusal> {
        self.open.remove(&id).map(drop).ok_or(Refusal::SessionExpired { session: id })
    }

    /// Takes away the sessions whose time is over.
    pub fn expire(&mut self) -> Vec<SessionId> {
        let is_over = |session: &Session| session.deadline_ms() <= self.now_ms;
        let over: Vec<SessionId> =
            self.open.iter().filter(|(_, session)| is_over(session)).map(|(id, _)| *id).collect();
        for id in &over {
            self.open.remove(id);
        }
        over
    }

    /// Ends all, and gives ids of a new generation from now on.
    pub fn recover(&mut self, generation: u32) -> Vec<SessionId> {
        self.opened = in_generation(generation, self.opened);
        std::mem::take(&mut self.open).into_keys().collect()
    }

    /// Whether [`Sessions::expire`] might do something at that time.
    pub fn is_due(&self, term: u64, now_ms: u64) -> bool {
        term != self.term || self.open.values().any(|session| session.deadline_ms() <= now_ms)
    }

    /// Begins a write: a sign of life, and the word that earlier ones are settled.
    ///
    /// The window is judged by the write alone, so that a copy of a refused one that arrives later is refused as well.
    pub fn begin_write(&mut self, id: SessionId, sequence: u64, settled_below: u64) -> Result<Known, Refusal> {
        self.renew(id)?;
        let session = self.session(id)?;
        if sequence.saturating_sub(settled_below) >= IN_FLIGHT_MAX {
            return Err(Refusal::TooMuch { limit: Limit::InFlight, max: IN_FLIGHT_MAX });
        }
        if settled_below > session.settled_below {
            session.settled_below = settled_below;
            session.replies = session.replies.split_off(&settled_below);
        }
        if sequence < session.settled_below {
            return Err(Refusal::GivenUp { sequence });
        }
        Ok(session.replies.get(&sequence).cloned().map_or(Known::New, Known::Replied))
    }

    /// Remembers the reply to a write that was begun.
    pub fn end_write(&mut self, id: SessionId, sequence: u64, reply: Reply) {
        if let Some(session) = self.open.get_mut(&id) {
            session.replies.insert(sequence, reply);
        }
    }

    pub fn is_open(&self, id: SessionId) -> bool {
        self.open.contains_key(&id)
    }

    pub fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.open.keys().copied()
    }

    /// The open sessions: the timeout of each, and how long it gave no sign of life at that time of that term's leader.
    pub fn ages(&self, term: u64, now_ms: u64) -> impl Iterator<Item = (SessionId, u64, u64)> {
        let now_ms = if term == self.term { now_ms.max(self.now_ms) } else { self.now_ms };
        self.open.iter().map(move |(id, session)| (*id, session.timeout_ms, now_ms - session.renewed_ms))
    }

    fn session(&mut self, id: SessionId) -> Result<&mut Session, Refusal> {
        self.open.get_mut(&id).ok_or(Refusal::SessionExpired { session: id })
    }
}
