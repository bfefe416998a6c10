//! The service for one process: one [`State`], nothing stored, nothing replicated.
//!
//! `--dev` and tests use it. It has no clock: its owner tells it the time with [`Local::tick`], and only then do sessions
//! expire. A call is carried out when its future is first polled; nobody ever waits but for a [`Watch`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::api::{self, Error, Read, Service, Session, SessionState, Watch};
use super::state::{Action, Answer, Command, Numbered, Sequences, State};
use super::tree::{Change, Content, Listing, Outcome, Path, SessionId, Stat, Tree};
use super::watch::{WatchId, Watched};
use super::watchers::Watchers;

/// There is no other leader, so there is one term.
const TERM: u64 = 1;

/// The service. Clones are the same.
#[derive(Clone, Default)]
pub struct Local(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    state: State,
    now_ms: u64,
    watchers: Watchers,
}

impl Local {
    /// A service whose tree is empty and whose clock stands at 0.
    pub fn new() -> Local {
        Local::default()
    }

    /// Tells the time, in milliseconds from any moment, and ends the sessions whose time is over. A time before the last one
    /// told counts as that one.
    pub fn tick(&self, now_ms: u64) {
        let mut shared = self.shared();
        shared.now_ms = shared.now_ms.max(now_ms);
        // Expiring is never refused.
        let _ = shared.apply(Action::Expire);
    }

    /// The replicated state as it would be stored.
    pub fn state(&self) -> State {
        self.shared().state.clone()
    }

    /// No call panics between two changes, so a lock that a panicking test left holds a whole state.
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn apply(&mut self, action: Action) -> Result<Answer, Error> {
        let applied = self.state.apply(TERM, Command { now_ms: self.now_ms, action });
        self.watchers.tell(&applied);
        Ok(applied.reply?)
    }
}

impl Service for Local {
    fn open(&self, timeout: Duration) -> api::Answer<'_, Box<dyn Session>> {
        Box::pin(async move {
            let mut shared = self.shared();
            let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            let Answer::Opened { session: id, timeout_ms } = shared.apply(Action::Open { timeout_ms })? else {
                return Err(Error::strange());
            };
            let state = shared.watchers.attend(id);
            let timeout = Duration::from_millis(timeout_ms);
            let session = LocalSession { service: self.clone(), id, timeout, state, sequences: Mutex::default() };
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }
}

struct LocalSession {
    service: Local,
    id: SessionId,
    timeout: Duration,
    state: watch::Receiver<SessionState>,
    sequences: Mutex<Sequences>,
}

impl LocalSession {
    fn write(&self, changes: Vec<Change>) -> Result<Vec<Outcome>, Error> {
        let mut sequences = self.sequences.lock().unwrap_or_else(PoisonError::into_inner);
        let Numbered { sequence, settled_below } = sequences.begin()?;
        let write = Action::Write { session: self.id, sequence, settled_below, changes };
        let answer = self.service.shared().apply(write);
        sequences.settle(sequence);
        match answer? {
            Answer::Written(outcomes) => Ok(outcomes),
            _ => Err(Error::strange()),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Tree) -> Result<T, Error>) -> Result<Read<T>, Error> {
        let shared = self.service.shared();
        if !shared.state.is_open(self.id) {
            return Err(Error::SessionExpired);
        }
        let tree = shared.state.tree();
        Ok(Read { value: read(tree)?, revision: tree.revision() })
    }
}

impl Session for LocalSession {
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
        Box::pin(async { self.service.shared().apply(Action::Renew { session: self.id }).map(drop) })
    }

    fn close(&self) -> api::Answer<'_, ()> {
        Box::pin(async { self.service.shared().apply(Action::Close { session: self.id }).map(drop) })
    }

    fn multi(&self, changes: Vec<Change>) -> api::Answer<'_, Vec<Outcome>> {
        Box::pin(async { self.write(changes) })
    }

    fn get(&self, path: &Path) -> api::Answer<'_, Read<Content>> {
        let path = path.clone();
        Box::pin(async move { self.read(|tree| Ok(tree.get(&path)?)) })
    }

    fn exists(&self, path: &Path) -> api::Answer<'_, Read<Option<Stat>>> {
        let path = path.clone();
        Box::pin(async move { self.read(|tree| Ok(tree.stat(&path))) })
    }

    fn children(&self, path: &Path) -> api::Answer<'_, Read<Listing>> {
        let path = path.clone();
        Box::pin(async move { self.read(|tree| Ok(tree.children(&path)?)) })
    }

    fn sync(&self) -> api::Answer<'_, ()> {
        Box::pin(async { self.read(|_| Ok(())).map(drop) })
    }

    fn watch(&self, path: &Path, watched: Watched) -> api::Answer<'_, Box<dyn Watch>> {
        let path = path.clone();
        Box::pin(async move {
            let mut shared = self.service.shared();
            if !shared.state.is_open(self.id) {
                return Err(Error::SessionExpired);
            }
            let (id, receiver) = shared.watchers.add(self.id, path, watched);
            Ok(Box::new(LocalWatch { service: self.service.clone(), id, receiver }) as Box<dyn Watch>)
        })
    }
}

struct LocalWatch {
    service: Local,
    id: WatchId,
    receiver: watch::Receiver<()>,
}

impl Watch for LocalWatch {
    fn changed(&mut self) -> api::Answer<'_, ()> {
        Box::pin(async { self.receiver.changed().await.map_err(|_| Error::SessionExpired) })
    }
}

impl Drop for LocalWatch {
    fn drop(&mut self) {
        self.service.shared().watchers.remove(self.id);
    }
}

#[cfg(test)]
mod tests;
