//! Coordination links: how a replica calls another.
//!
//! There is one TCP connection for each peer and direction, apart from all data. Who has something to ask dials
//! ([`dial`]), and many calls share the connection, told apart by a number ([`carry`]); the other side answers each when
//! it can ([`serve`]). What is asked and answered is [`message`]'s matter: here it is bytes.
//!
//! A call that fails says whether the peer may have seen it. Failing fast is the rule: while a peer cannot be reached, and
//! during the pause before it is dialled again, calls are refused at once instead of piling up. A connection on which calls
//! wait while nothing is heard is closed and dialled anew, since a network that lost a connection's bytes may never say so.
//! A link that nobody uses for a while ends, and begins again with the next call.
//!
//! A peer is a store, not an address: whoever answers the dial says who it is, and another store than the one called, or one
//! that this replica judges not to belong here, is told nothing.

mod carry;
mod dial;
pub(super) mod message;
pub(super) mod serve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::Judge;
use super::timing::Timing;
use super::types::{Endpoint, RaftId, Roster};
use crate::core::id::StoreId;
use crate::wire::frame::FrameLimits;
use crate::wire::handshake::{Keeper, Refusal};

/// What a link may carry: an entry of the log, and whatever comes with it.
const LIMITS: FrameLimits = FrameLimits { frame_bytes_max: 1 << 20, message_bytes_max: 64 << 20 };
/// Calls that wait to be sent to one peer; more are refused.
const QUEUE_MAX: usize = 1024;
/// A link that carries nothing for so long ends.
const IDLE: Duration = Duration::from_secs(60);

/// A call or an answer on its way.
#[derive(serde::Serialize, serde::Deserialize)]
struct Envelope {
    /// Which call of this connection.
    call: u64,
    #[serde(with = "crate::core::blob")]
    body: Bytes,
}

/// Why a call has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The peer has not seen it, and never will.
    #[error("{0}")]
    NotSent(String),
    /// The peer may have seen it.
    #[error("{0}")]
    Lost(String),
}

/// A call that waits to be sent.
struct Waiting {
    body: Bytes,
    answer: oneshot::Sender<Result<Bytes, CallError>>,
}

/// What all links of a replica share.
pub(super) struct Common {
    pub own: RaftId,
    pub judge: Judge,
    pub timing: Timing,
    /// Where the links run.
    pub runtime: Handle,
    pub seed: u64,
    /// What this replica says of itself.
    pub keeper: watch::Sender<Keeper>,
    /// A peer's refusal that no further attempt will change.
    pub refused: watch::Sender<Option<Refusal>>,
    /// Turns true when all is to end.
    pub stop: watch::Receiver<bool>,
}

/// All links of a replica.
pub(super) struct Links {
    common: Arc<Common>,
    peers: Mutex<Peers>,
}

#[derive(Default)]
struct Peers {
    links: BTreeMap<RaftId, Link>,
    /// Where stores are by the latest word, which may be newer than Raft's.
    known: BTreeMap<StoreId, Endpoint>,
}

/// The near end of a link.
#[derive(Clone)]
struct Link {
    queue: mpsc::Sender<Waiting>,
    address: watch::Sender<String>,
    heard: watch::Receiver<Option<Instant>>,
}

impl Links {
    pub fn new(common: Common) -> Links {
        Links { common: Arc::new(common), peers: Mutex::default() }
    }

    /// What is said of this replica at the next greeting.
    pub fn set_keeper(&self, keeper: Keeper) {
        self.common.keeper.send_replace(keeper);
    }

    /// Learns where stores are.
    pub fn set_roster(&self, roster: &Roster) {
        let mut peers = self.peers();
        peers.known = roster.members.clone();
        let Peers { links, known } = &mut *peers;
        for (id, link) in links {
            if let Some(endpoint) = known.get(&id.store) {
                link.go_to(&endpoint.address);
            }
        }
    }

    /// Calls a peer and waits for its answer; `endpoint` is where Raft says that it is. May be dropped at any time.
    pub async fn call(&self, to: RaftId, endpoint: &Endpoint, body: Bytes) -> Result<Bytes, CallError> {
        if body.len() > LIMITS.message_bytes_max as usize {
            return Err(CallError::NotSent(format!("a message of {} bytes", body.len())));
        }
        let (answer, answered) = oneshot::channel();
        let link = self.link(to, endpoint);
        if link.queue.try_send(Waiting { body, answer }).is_err() {
            return Err(CallError::NotSent(format!("{QUEUE_MAX} calls wait already, or the link is closing")));
        }
        answered.await.unwrap_or_else(|_| Err(CallError::Lost("the link has ended".into())))
    }

    /// When a peer was last heard on the link that leads to it.
    pub fn heard(&self, from: RaftId) -> Option<Instant> {
        self.peers().links.get(&from).and_then(|link| *link.heard.borrow())
    }

    /// Whether a peer was heard so lately that it is taken to live.
    pub fn is_live(&self, peer: RaftId) -> bool {
        peer == self.common.own || self.heard(peer).is_some_and(|at| at.elapsed() < self.common.timing.silence())
    }

    fn link(&self, to: RaftId, endpoint: &Endpoint) -> Link {
        let mut peers = self.peers();
        let address = peers.known.get(&to.store).unwrap_or(endpoint).address.clone();
        if let Some(link) = peers.links.get(&to).filter(|link| !link.queue.is_closed()) {
            link.go_to(&address);
            return link.clone();
        }
        peers.links.retain(|_, link| !link.queue.is_closed());
        let link = self.begin(to, address);
        peers.links.insert(to, link.clone());
        link
    }

    fn begin(&self, to: RaftId, address: String) -> Link {
        let (queue, calls) = mpsc::channel(QUEUE_MAX);
        let (address, dialled) = watch::channel(address);
        let (heard_at, heard) = watch::channel(None);
        let seed = self.common.seed ^ to.store.0 as u64;
        let rng = StdRng::seed_from_u64(seed);
        let far = dial::Dialer { to, address: dialled, common: self.common.clone(), heard: heard_at, rng };
        self.common.runtime.spawn(far.run(calls));
        Link { queue, address, heard }
    }

    /// Nothing under this lock can panic half-way.
    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn go_to(&self, address: &str) {
        self.address.send_if_modified(|old| {
            let differs = old != address;
            if differs {
                *old = address.into();
            }
            differs
        });
    }
}
