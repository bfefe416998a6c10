//! What goes through the replicated log, and what comes back.

use serde::{Deserialize, Serialize};

use crate::coordination::tree::{Change, Event, Limits, Outcome, Refusal, SessionId};

/// An entry of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Command {
    /// The leader's clock when it put the command into the log: milliseconds from any moment, never going back while it
    /// leads. Nobody but the leader may set it.
    pub now_ms: u64,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Action {
    /// Opens a session. Answered by [`Answer::Opened`]. Repeated, it opens another: if the answer is lost the first one
    /// expires.
    Open {
        /// How long it is to live without a sign of life. What is granted keeps to the limits.
        timeout_ms: u64,
    },
    /// A sign of life of a session. May be repeated.
    Renew {
        /// Which.
        session: SessionId,
    },
    /// Ends a session; its ephemeral nodes vanish. Repeated, it is refused with [`Refusal::SessionExpired`].
    Close {
        /// Which.
        session: SessionId,
    },
    /// Changes the tree; a sign of life too. Repeated, it gets its first reply and changes nothing.
    Write {
        /// Who writes.
        session: SessionId,
        /// The write's number in its session.
        sequence: u64,
        /// The writer needs no replies to writes with smaller numbers any more: it has them, or has given up.
        settled_below: u64,
        /// All or nothing.
        changes: Vec<Change>,
    },
    /// Ends the sessions that gave no sign of life for their timeout.
    Expire,
    /// Replaces the limits. What is there already stays.
    SetLimits(Limits),
}

/// What a command came to.
pub type Reply = Result<Answer, Refusal>;

/// What an applied command answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Action::Open`].
    Opened {
        /// The new session.
        session: SessionId,
        /// The timeout that was granted.
        timeout_ms: u64,
    },
    /// To [`Action::Write`]: one for each change, in order.
    Written(Vec<Outcome>),
    /// To all others.
    Done,
}

/// What applying a command did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// For whoever sent it.
    pub reply: Reply,
    /// What happened in the tree, in order.
    pub events: Vec<Event>,
    /// Sessions that ended.
    pub ended: Vec<SessionId>,
}
