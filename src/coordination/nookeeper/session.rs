//! A session at one replica.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::ask::{Answered, Asker, Unanswered};
use super::link::message::Ask;
use crate::coordination::api::{self, Error, Read, Session, SessionState, Watch};
use crate::coordination::state::{Action, Answer, Numbered, Sequences};
use crate::coordination::tree::{Change, Content, Listing, Outcome, Path, Refusal, SessionId, Stat, Tree};
use crate::coordination::watch::{WatchId, Watched};
use crate::mutant;

/// Opens a session by way of a replica.
pub(super) async fn open(asker: Arc<Asker>, timeout: Duration) -> Result<Box<dyn Session>, Error> {
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    // Asked again, it opens another one; the first expires, since nobody has its number.
    let answered = asker.ask(Ask::Act(Action::Open { timeout_ms })).await.map_err(harmless)?;
    let Answer::Opened { session: id, timeout_ms } = answered.reply? else { return Err(Error::strange()) };
    let state = asker.replica.session_state(id);
    let timeout = Duration::from_millis(timeout_ms);
    Ok(Box::new(Held { asker, id, timeout, state, sequences: Mutex::default() }))
}

struct Held {
    asker: Arc<Asker>,
    id: SessionId,
    timeout: Duration,
    state: watch::Receiver<SessionState>,
    sequences: Mutex<Sequences>,
}

impl Held {
    async fn act(&self, action: Action) -> Result<Answered, Unanswered> {
        let answered = self.asker.ask(Ask::Act(action)).await;
        self.asker.replica.set_connected(self.id, answered.is_ok());
        answered
    }

    async fn write(&self, changes: Vec<Change>) -> Result<Vec<Outcome>, Error> {
        let in_flight = InFlight::begin(&self.sequences)?;
        let Numbered { sequence, settled_below } = in_flight.numbered;
        let write = Action::Write { session: self.id, sequence, settled_below, changes };
        written(self.act(write).await.map_err(harmful)?)
    }

    fn read<T>(&self, read: impl FnOnce(&Tree) -> Result<T, Refusal>) -> Result<Read<T>, Error> {
        self.asker.replica.read(|state| {
            if !state.is_open(self.id) {
                return Err(Error::SessionExpired);
            }
            let tree = state.tree();
            Ok(Read { value: read(tree)?, revision: tree.revision() })
        })
    }

    async fn end(&self) -> Result<(), Error> {
        let Answered { reply, maybe_repeated } = self.act(Action::Close { session: self.id }).await.map_err(harmful)?;
        match reply {
            // By the attempt whose answer was lost.
            Err(Refusal::SessionExpired { .. }) if maybe_repeated => Ok(()),
            reply => Ok(reply.map(drop)?),
        }
    }
}

/// What a write came to.
fn written(Answered { reply, maybe_repeated }: Answered) -> Result<Vec<Outcome>, Error> {
    match reply {
        Ok(Answer::Written(outcomes)) => Ok(outcomes),
        Ok(_) => Err(Error::strange()),
        // An earlier attempt may have been applied while the session lived; the reply to it was forgotten with the session.
        Err(Refusal::SessionExpired { .. }) if maybe_repeated => {
            Err(Error::OutcomeUnknown { cause: "the session ended before the reply came".into() })
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// A write that waits for its reply. Dropped, with its reply or without, it waits no more.
struct InFlight<'a> {
    sequences: &'a Mutex<Sequences>,
    numbered: Numbered,
}

impl InFlight<'_> {
    fn begin(sequences: &Mutex<Sequences>) -> Result<InFlight<'_>, Refusal> {
        let numbered = sequences.lock().unwrap_or_else(PoisonError::into_inner).begin()?;
        Ok(InFlight { sequences, numbered })
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.sequences.lock().unwrap_or_else(PoisonError::into_inner).settle(self.numbered.sequence);
    }
}

/// No answer, of a call that changes nothing that anyone sees.
fn harmless(unanswered: Unanswered) -> Error {
    Error::ConnectionLoss { cause: unanswered.cause }
}

/// No answer, of a call that changes the tree.
fn harmful(Unanswered { maybe_done, cause }: Unanswered) -> Error {
    if maybe_done { Error::OutcomeUnknown { cause } } else { Error::ConnectionLoss { cause } }
}

impl Session for Held {
    fn id(&self) -> SessionId {
        self.id
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn state(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    fn renew(&self) -> api::Answer<'_, ()> {
        Box::pin(async {
            let answered = self.act(Action::Renew { session: self.id }).await;
            Ok(answered.map_err(harmless)?.reply.map(drop)?)
        })
    }

    fn close(&self) -> api::Answer<'_, ()> {
        Box::pin(self.end())
    }

    fn multi(&self, changes: Vec<Change>) -> api::Answer<'_, Vec<Outcome>> {
        Box::pin(self.write(changes))
    }

    fn get(&self, path: &Path) -> api::Answer<'_, Read<Content>> {
        let path = path.clone();
        Box::pin(async move { self.read(|tree| tree.get(&path)) })
    }

    fn exists(&self, path: &Path) -> api::Answer<'_, Read<Option<Stat>>> {
        let path = path.clone();
        Box::pin(async move { self.read(|tree| Ok(tree.stat(&path))) })
    }

    fn children(&self, path: &Path) -> api::Answer<'_, Read<Listing>> {
        let path = path.clone();
        Box::pin(async move { self.read(|tree| tree.children(&path)) })
    }

    fn sync(&self) -> api::Answer<'_, ()> {
        Box::pin(async {
            if !mutant!(LearnerReadAsCurrent) {
                // The leader says how long the log is that holds all that was acknowledged; by now this replica shows it.
                self.asker.ask(Ask::ReadIndex).await.map_err(harmless)?.reply?;
            }
            self.read(|_| Ok(())).map(drop)
        })
    }

    fn watch(&self, path: &Path, watched: Watched) -> api::Answer<'_, Box<dyn Watch>> {
        let path = path.clone();
        Box::pin(async move {
            let added = self.asker.replica.add_watch(self.id, path, watched);
            let (id, changes) = added.ok_or(Error::SessionExpired)?;
            Ok(Box::new(HeldWatch { asker: self.asker.clone(), id, changes }) as Box<dyn Watch>)
        })
    }
}

struct HeldWatch {
    asker: Arc<Asker>,
    id: WatchId,
    changes: watch::Receiver<()>,
}

impl Watch for HeldWatch {
    fn changed(&mut self) -> api::Answer<'_, ()> {
        Box::pin(async { self.changes.changed().await.map_err(|_| Error::SessionExpired) })
    }
}

impl Drop for HeldWatch {
    fn drop(&mut self) {
        self.asker.replica.remove_watch(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_whose_session_ended_may_have_happened_if_it_was_sent_before() {
        let refused = |maybe_repeated| {
            let reply = Err(Refusal::SessionExpired { session: SessionId(1) });
            written(Answered { reply, maybe_repeated }).unwrap_err()
        };
        assert_eq!(refused(false), Error::SessionExpired);
        assert!(refused(true).outcome_unknown());
    }
}
