//! The service as its users see it, whoever provides it.
//!
//! A [`Service`] opens [`Session`]s. Through a session its holder reads, writes and watches the [tree](super::tree), and with it
//! the holder's ephemeral nodes vanish. The semantics are ZooKeeper's, where they are not weaker so that more than one provider
//! can keep them. All that a user may rely on:
//!
//! - Writes are linearizable. Each happens whole or not at all, and once, however often it was sent on the way.
//! - Reads may be stale, but within a session they never go back, and they see all writes of that session that were answered,
//!   also with a refusal. After [`Session::sync`] they see everything that was acknowledged to anyone before it was called.
//! - Calls of one session that overlap may happen in any order. Who needs an order waits for the answer.
//! - A call does nothing until it is polled, and may be dropped at any time. Of a write that was dropped half-way the outcome is
//!   unknown; once a later write that overlapped no other of its session was answered, it cannot happen any more.
//! - After a change that a [`Watch`] watches can be read, [`Watch::changed`] returns.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::tree::{Change, Content, CreateMode, Listing, Outcome, Path, Refusal, Revision, SessionId, Stat};
use super::watch::Watched;

/// An answer that is on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Opens sessions.
pub trait Service: Send + Sync {
    /// Opens a session that lives for `timeout` without a sign of life; what is granted is [`Session::timeout`].
    fn open(&self, timeout: Duration) -> Answer<'_, Box<dyn Session>>;
}

/// A session: the right to own ephemeral nodes, as long as the service gets signs of life.
///
/// The service alone judges whether it has ended; a holder that cannot reach it does not know. Dropping the handle is no
/// close: without one, the session ends when its timeout is over.
pub trait Session: Send + Sync {
    /// The number that the service gave it.
    fn id(&self) -> SessionId;

    /// How long it lives without a sign of life.
    fn timeout(&self) -> Duration;

    /// What is known of its state here, and all changes of that.
    fn state(&self) -> watch::Receiver<SessionState>;

    /// Gives a sign of life and waits until the service has it. The session then lives at least for its timeout from the
    /// moment at which this was *called*, which is what a lease is to be counted from. Its holder does so at least every third
    /// of the timeout: a provider need not do it by itself.
    fn renew(&self) -> Answer<'_, ()>;

    /// Ends the session at once.
    fn close(&self) -> Answer<'_, ()>;

    /// Makes a node; answers its path, with its number if it is sequential.
    fn create(&self, path: &Path, data: Bytes, mode: CreateMode) -> Answer<'_, (Path, Stat)> {
        let create = Change::Create { path: path.clone(), data, mode };
        Box::pin(one(self.multi(vec![create]), |outcome| match outcome {
            Outcome::Created { path, stat } => Some((path, stat)),
            _ => None,
        }))
    }

    /// Replaces a node's data if it is at the expected version, or at any.
    fn set(&self, path: &Path, data: Bytes, expected: Option<u64>) -> Answer<'_, Stat> {
        let set = Change::Set { path: path.clone(), data, expected };
        Box::pin(one(self.multi(vec![set]), |outcome| match outcome {
            Outcome::Set(stat) => Some(stat),
            _ => None,
        }))
    }

    /// Deletes a node without children if it is at the expected version, or at any.
    fn delete(&self, path: &Path, expected: Option<u64>) -> Answer<'_, ()> {
        let delete = Change::Delete { path: path.clone(), expected };
        Box::pin(one(self.multi(vec![delete]), |outcome| (outcome == Outcome::Deleted).then_some(())))
    }

    /// Makes all changes or none, each seeing those before it; answers one outcome for each. A refusal is that of the first
    /// change that cannot be.
    fn multi(&self, changes: Vec<Change>) -> Answer<'_, Vec<Outcome>>;

    /// Reads a node's data.
    fn get(&self, path: &Path) -> Answer<'_, Read<Content>>;

    /// Reads what is known of a node; `None` if it is not there.
    fn exists(&self, path: &Path) -> Answer<'_, Read<Option<Stat>>>;

    /// Reads the names below a node.
    fn children(&self, path: &Path) -> Answer<'_, Read<Listing>>;

    /// Catches up: reads that begin after the answer see all writes that were acknowledged before the call.
    fn sync(&self) -> Answer<'_, ()>;

    /// Watches a path, whether there is a node or not. To miss nothing, read after the answer, and again each time
    /// [`Watch::changed`] returns. Dropping the watch ends it.
    fn watch(&self, path: &Path, watched: Watched) -> Answer<'_, Box<dyn Watch>>;
}

/// The outcome of a write of one step.
async fn one<T>(written: Answer<'_, Vec<Outcome>>, pick: impl FnOnce(Outcome) -> Option<T>) -> Result<T, Error> {
    written.await?.pop().and_then(pick).ok_or_else(Error::strange)
}

/// Tells that something watched may have changed.
pub trait Watch: Send {
    /// Returns when there may be something new to read since the watch began or this last returned: after changes (one
    /// return may stand for many, values between may never be seen), and after a reconnect. May be dropped and called again.
    ///
    /// # Errors
    /// [`Error::SessionExpired`] when the session has ended; nothing will be told any more.
    fn changed(&mut self) -> Answer<'_, ()>;
}

/// What was read, and how old it may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read<T> {
    /// What was read.
    pub value: T,
    /// The revision at which it was so. A provider that is not told it gives the newest one that it knows to be contained.
    pub revision: Revision,
}

/// What a session's holder knows of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// The service answers.
    Connected,
    /// The service does not answer. The session may live or have ended; its holder must not act as if it lived longer than
    /// its timeout from its last confirmed sign of life.
    Suspended,
    /// The session has ended, for ever, and its ephemeral nodes are gone.
    Expired,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The service looked and said no. Nothing was changed.
    #[error(transparent)]
    Refused(Refusal),
    /// The session has ended, by its timeout or by closing it. Nothing was changed. Open another.
    #[error("the session has ended; open another")]
    SessionExpired,
    /// The service cannot be reached, or has no leader. Nothing was changed. The same call may succeed later.
    #[error("the coordination service does not answer ({cause}); nothing was changed, try again")]
    ConnectionLoss {
        /// What was tried, and what came of it.
        cause: String,
    },
    /// A write was sent and its reply never came: it may have happened, or may yet happen. Read before deciding.
    #[error("the outcome of the write is unknown ({cause}); read before writing again")]
    OutcomeUnknown {
        /// What was tried, and what came of it.
        cause: String,
    },
}

impl Error {
    /// Whether the same call, made again as it was, may succeed and does no harm.
    pub fn retryable(&self) -> bool {
        matches!(self, Error::ConnectionLoss { .. })
    }

    /// A reply of another kind than the call's: what it did cannot be told.
    pub(super) fn strange() -> Error {
        Error::OutcomeUnknown { cause: "the reply is not of the call's kind".into() }
    }

    /// Whether the call may have changed something all the same.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Error::OutcomeUnknown { .. })
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::SessionExpired { .. } => Error::SessionExpired,
            Refusal::GivenUp { .. } => Error::OutcomeUnknown { cause: refusal.to_string() },
            refusal => Error::Refused(refusal),
        }
    }
}
