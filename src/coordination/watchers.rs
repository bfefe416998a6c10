//! Those who hold sessions and watches at a replica, and how they are told.
//!
//! A holder has the receiving end of a channel whose last value alone counts: of a session its state, of a watch nothing but
//! that something happened. What ends loses its sending end, and its holder notices. Whoever applies commands calls
//! [`Watchers::tell`] under the lock that readers take, so that nobody reads a change before it can be told.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::api::SessionState;
use super::state::{Applied, State};
use super::tree::{Path, SessionId};
use super::watch::{WatchId, Watched, Watches};

/// The holders at one replica.
#[derive(Debug, Default)]
pub struct Watchers {
    watches: Watches,
    tellers: BTreeMap<WatchId, (SessionId, watch::Sender<()>)>,
    sessions: BTreeMap<SessionId, watch::Sender<SessionState>>,
}

impl Watchers {
    /// Attends to a session that is open; answers what its holder looks at. A session whose holders are all gone is
    /// forgotten here.
    pub fn attend(&mut self, session: SessionId) -> watch::Receiver<SessionState> {
        self.sessions.retain(|_, state| !state.is_closed());
        let state = self.sessions.entry(session).or_insert_with(|| watch::channel(SessionState::Connected).0);
        state.subscribe()
    }

    /// Says whether the service answers the holders of a session, unless it has ended.
    pub fn set_connected(&mut self, session: SessionId, connected: bool) {
        let state = if connected { SessionState::Connected } else { SessionState::Suspended };
        if let Some(teller) = self.sessions.get(&session) {
            teller.send_if_modified(|known| std::mem::replace(known, state) != state);
        }
    }

    /// Adds a watch of a session that is open. It is told of everything from now on.
    pub fn add(&mut self, session: SessionId, path: Path, watched: Watched) -> (WatchId, watch::Receiver<()>) {
        let (teller, receiver) = watch::channel(());
        let id = self.watches.add(path, watched);
        self.tellers.insert(id, (session, teller));
        (id, receiver)
    }

    /// Removes a watch; one that is gone already is no harm.
    pub fn remove(&mut self, id: WatchId) {
        self.watches.remove(id);
        self.tellers.remove(&id);
    }

    /// Tells what a command did.
    pub fn tell(&mut self, applied: &Applied) {
        for id in self.watches.concerned(&applied.events) {
            self.wake(id);
        }
        applied.ended.iter().for_each(|session| self.end(*session));
    }

    /// Tells that the state was replaced, by commands that nobody here saw: every watch may have missed something, and every
    /// session that is not open any more has ended.
    pub fn tell_all(&mut self, state: &State) {
        self.watches.all().for_each(|id| self.wake(id));
        let watching = self.tellers.values().map(|(session, _)| session);
        let over: Vec<SessionId> =
            self.sessions.keys().chain(watching).filter(|session| !state.is_open(**session)).copied().collect();
        over.into_iter().for_each(|session| self.end(session));
    }

    fn wake(&self, id: WatchId) {
        if let Some((_, teller)) = self.tellers.get(&id) {
            teller.send_replace(());
        }
    }

    fn end(&mut self, session: SessionId) {
        if let Some(state) = self.sessions.remove(&session) {
            state.send_replace(SessionState::Expired);
        }
        // Without its teller a watch ends.
        let ended = self.tellers.extract_if(.., |_, (holder, _)| *holder == session);
        ended.for_each(|(id, _)| self.watches.remove(id));
    }
}
