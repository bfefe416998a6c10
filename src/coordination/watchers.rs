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

    /// How many watches there are.
    pub fn watches(&self) -> usize {
        self.tellers.len()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::state::{Action, Answer, Command};
    use crate::coordination::tree::{Change, CreateMode};

    fn apply(state: &mut State, watchers: &mut Watchers, action: Action) -> Answer {
        let applied = state.apply(1, Command { now_ms: 0, action });
        watchers.tell(&applied);
        applied.reply.unwrap()
    }

    fn open(state: &mut State, watchers: &mut Watchers) -> SessionId {
        match apply(state, watchers, Action::Open { timeout_ms: 1_000 }) {
            Answer::Opened { session, .. } => session,
            other => panic!("{other:?}"),
        }
    }

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    #[test]
    fn a_holder_learns_of_changes_and_of_the_end() {
        let (mut state, mut watchers) = (State::default(), Watchers::default());
        let (session, other) = (open(&mut state, &mut watchers), open(&mut state, &mut watchers));
        let (mut ends, mut stays) = (watchers.attend(session), watchers.attend(other));
        let (_, mut watch) = watchers.add(session, path("/a"), Watched::Node);
        let (_, mut elsewhere) = watchers.add(other, path("/b"), Watched::Node);

        let changes = vec![Change::Create { path: path("/a"), data: "".into(), mode: CreateMode::Persistent }];
        apply(&mut state, &mut watchers, Action::Write { session: other, sequence: 0, settled_below: 0, changes });
        assert!(watch.has_changed().unwrap() && !elsewhere.has_changed().unwrap());
        watch.mark_unchanged();

        apply(&mut state, &mut watchers, Action::Close { session });
        assert_eq!(*ends.borrow_and_update(), SessionState::Expired);
        assert_eq!(*stays.borrow_and_update(), SessionState::Connected);
        assert!(watch.has_changed().is_err() && elsewhere.has_changed().is_ok());
        assert_eq!(watchers.watches(), 1);
        elsewhere.mark_unchanged();
    }

    /// The one session ended and the other one lives in the state that was jumped to.
    #[test]
    fn after_a_jump_everybody_looks_again() {
        let (mut state, mut watchers) = (State::default(), Watchers::default());
        let (ended, lives) = (open(&mut state, &mut watchers), open(&mut state, &mut watchers));
        let unattended = open(&mut state, &mut watchers);
        let (of_ended, of_lives) = (watchers.attend(ended), watchers.attend(lives));
        let watches = [ended, lives, unattended].map(|session| watchers.add(session, path("/a"), Watched::Node).1);

        for session in [ended, unattended] {
            state.apply(1, Command { now_ms: 0, action: Action::Close { session } });
        }
        watchers.tell_all(&state);
        assert_eq!((*of_ended.borrow(), *of_lives.borrow()), (SessionState::Expired, SessionState::Connected));
        assert!(watches[0].has_changed().is_err() && watches[1].has_changed().unwrap());
        assert!(watches[2].has_changed().is_err());
    }

    #[test]
    fn connections_come_and_go_until_the_end() {
        let (mut state, mut watchers) = (State::default(), Watchers::default());
        let session = open(&mut state, &mut watchers);
        let mut holder = watchers.attend(session);
        watchers.set_connected(session, true);
        assert!(!holder.has_changed().unwrap());
        watchers.set_connected(session, false);
        assert_eq!(*holder.borrow_and_update(), SessionState::Suspended);
        assert_eq!(*watchers.attend(session).borrow(), SessionState::Suspended);
        apply(&mut state, &mut watchers, Action::Close { session });
        watchers.set_connected(session, true);
        assert_eq!(*holder.borrow_and_update(), SessionState::Expired);
    }

    #[test]
    fn sessions_without_holders_are_forgotten() {
        let (mut state, mut watchers) = (State::default(), Watchers::default());
        let (one, other) = (open(&mut state, &mut watchers), open(&mut state, &mut watchers));
        drop(watchers.attend(one));
        let _held = watchers.attend(other);
        assert_eq!(watchers.sessions.keys().collect::<Vec<_>>(), [&other]);
    }
}
