//! What calls know of their session's connection.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Ensemble, zk};
use crate::coordination::api::{Error, SessionState};

/// Longest wait for a connection, of sessions with long timeouts.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// Asks the keeper to end the session, and takes its answer.
pub(super) type Close = oneshot::Sender<Result<(), Error>>;

/// What the keeper says of the session.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Connected by this client.
    Up(zk::Client),
    /// Not connected, or not known to be.
    Down,
    /// The session has ended.
    Ended,
}

impl Phase {
    pub(super) fn state(&self) -> SessionState {
        match self {
            Phase::Up(_) => SessionState::Connected,
            Phase::Down => SessionState::Suspended,
            Phase::Ended => SessionState::Expired,
        }
    }

    /// Whether a call can be made or refused now. A client that gave up is of no use, though the keeper may not have seen it.
    fn is_settled(&self) -> bool {
        match self {
            Phase::Up(client) => client.state() == zk::SessionState::SyncConnected,
            Phase::Down => false,
            Phase::Ended => true,
        }
    }
}

/// The users' end of a keeper. When all links that hold `closing` are gone, the keeper leaves the session to its timeout.
pub(super) struct Link {
    pub(super) ensemble: Arc<Ensemble>,
    pub(super) id: zk::SessionId,
    pub(super) timeout: Duration,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) state: watch::Receiver<SessionState>,
    pub(super) closing: mpsc::Sender<Close>,
}

impl Link {
    /// How long a call waits for a connection before it fails.
    pub(super) fn patience(&self) -> Duration {
        patience(self.timeout)
    }

    /// The client of the present connection, or of the next one.
    pub(super) async fn client(&self) -> Result<zk::Client, Error> {
        match tokio::time::timeout(self.patience(), connected(&self.phase)).await {
            Ok(client) => client.ok_or(Error::SessionExpired),
            Err(_) => {
                Err(self.ensemble.unreachable(&format!("no server took the session within {:?}", self.patience())))
            }
        }
    }
}

/// How long is waited for a connection of a session with this timeout.
pub(super) fn patience(timeout: Duration) -> Duration {
    (timeout / 3).min(PATIENCE_MAX)
}

/// The client of the present connection, or of the next one; `None` if there will be none.
pub(super) fn connected(phase: &watch::Receiver<Phase>) -> impl Future<Output = Option<zk::Client>> + Send + use<> {
    let mut phase = phase.clone();
    async move {
        match &*phase.wait_for(Phase::is_settled).await.ok()? {
            Phase::Up(client) => Some(client.clone()),
            Phase::Down | Phase::Ended => None,
        }
    }
}
