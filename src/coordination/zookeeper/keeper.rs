//! The task that keeps a session connected, and finds out whether it has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::link::{Close, Link, Phase, patience};
use super::{Ensemble, request, zk};
use crate::coordination::api::{Error, SessionState};

/// How often closing is tried when another connection of the session gets in between.
const CLOSE_ATTEMPTS: usize = 3;

/// Keeps one session until it has ended or nobody holds it.
pub(super) struct Keeper {
    ensemble: Arc<Ensemble>,
    session: zk::SessionInfo,
    timeout: Duration,
    /// The client and its news; `None` while the library has none that lives.
    client: Option<(zk::Client, zk::StateWatcher)>,
    phase: watch::Sender<Phase>,
    state: watch::Sender<SessionState>,
}

impl Keeper {
    /// Keeps the session of this client as long as the link is held.
    pub(super) fn start(ensemble: Arc<Ensemble>, client: zk::Client) -> Link {
        let (session, timeout) = (client.session().clone(), client.session_timeout());
        let (phase, phase_seen) = watch::channel(Phase::Down);
        let (state, state_seen) = watch::channel(Phase::Down.state());
        let (closing, closed) = mpsc::channel(1);
        let link = Link {
            ensemble: ensemble.clone(),
            id: session.id(),
            timeout,
            phase: phase_seen,
            state: state_seen,
            closing,
        };
        let mut keeper = Keeper { ensemble, session, timeout, client: None, phase, state };
        keeper.adopt(client);
        tokio::spawn(keeper.run(closed));
        link
    }

    async fn run(mut self, mut closing: mpsc::Receiver<Close>) {
        while !matches!(*self.phase.borrow(), Phase::Ended) {
            tokio::select! {
                biased;
                close = closing.recv() => match close {
                    Some(reply) => {
                        let closed = self.close().await;
                        // Who asked may have gone.
                        let _ = reply.send(closed);
                    }
                    None => return self.say(Phase::Down),
                },
                () = self.follow() => {}
            }
        }
    }

    /// Waits for the next thing that happens to the connection, and says what comes of it.
    async fn follow(&mut self) {
        let Some((client, states)) = &mut self.client else { return self.take_up().await };
        match states.changed().await {
            zk::SessionState::SyncConnected | zk::SessionState::ConnectedReadOnly => {
                let up = Phase::Up(client.clone());
                self.say(up);
            }
            zk::SessionState::Disconnected => self.say(Phase::Down),
            // The library may have given up by its own clock.
            zk::SessionState::Expired | zk::SessionState::Closed | zk::SessionState::AuthFailed => {
                self.client = None;
                self.say(Phase::Down);
            }
        }
    }

    /// Asks the servers once whether they still know the session, and takes it up.
    async fn take_up(&mut self) {
        match self.connect(true).await {
            Ok(client) => {
                // Reads must not fall behind what the session has seen on earlier connections.
                if request::commit_nothing(&client).await.is_ok() {
                    self.adopt(client);
                    return;
                }
            }
            Err(zk::Error::SessionExpired) => return self.say(Phase::Ended),
            Err(error) => log::debug!("session {} is not taken up: {}", self.session.id(), self.ensemble.cause(&error)),
        }
        tokio::time::sleep(patience(self.timeout) / 8).await;
    }

    async fn connect(&self, detached: bool) -> Result<zk::Client, zk::Error> {
        let connector = self.ensemble.connector(self.timeout).with_session(self.session.clone());
        let connector = if detached { connector.with_detached() } else { connector };
        self.ensemble.below_root(self.ensemble.connect(connector).await?)
    }

    fn adopt(&mut self, client: zk::Client) {
        let states = client.state_watcher();
        let is_up = client.state() == zk::SessionState::SyncConnected;
        self.client = Some((client.clone(), states));
        self.say(if is_up { Phase::Up(client) } else { Phase::Down });
    }

    /// Ends the session, and makes sure that it has ended.
    ///
    /// The library closes a session when its client is dropped, unless the client is detached, as those of open sessions are
    /// here. So another client takes the session over to close it. Whether that worked it does not tell, but the
    /// servers do when they are asked for the session again.
    async fn close(&mut self) -> Result<(), Error> {
        self.say(Phase::Down);
        if let Some((client, states)) = self.client.take() {
            // It would take the session back. Calls that are under way hold it a little longer.
            drop(client);
            let _ = tokio::time::timeout(patience(self.timeout), end(states)).await;
        }
        let mut asked = false;
        for _ in 0..CLOSE_ATTEMPTS {
            match self.connect(false).await {
                Ok(closer) => {
                    let states = closer.state_watcher();
                    drop(closer);
                    asked = true;
                    end(states).await;
                }
                Err(zk::Error::SessionExpired) => {
                    self.say(Phase::Ended);
                    return if asked { Ok(()) } else { Err(Error::SessionExpired) };
                }
                Err(error) if asked => return Err(Error::OutcomeUnknown { cause: self.ensemble.cause(&error) }),
                Err(error) => return Err(self.ensemble.unreachable(&error)),
            }
        }
        Err(Error::OutcomeUnknown { cause: self.ensemble.cause(&"the session was closed and is still there") })
    }

    fn say(&self, phase: Phase) {
        let state = phase.state();
        self.phase.send_replace(phase);
        self.state.send_if_modified(|known| std::mem::replace(known, state) != state);
    }
}

/// Waits until a client does nothing any more.
async fn end(mut states: zk::StateWatcher) {
    while !is_terminal(states.peek_state()) {
        states.changed().await;
    }
}

fn is_terminal(state: zk::SessionState) -> bool {
    matches!(state, zk::SessionState::Expired | zk::SessionState::Closed | zk::SessionState::AuthFailed)
}
