//! Calls in flight on one connection, and how long it has been silent.
//!
//! A connection is dead when something is awaited on it and nothing at all has been heard for a while. A node that works on
//! long calls still answers pings, so silence means that the node is stopped or the network swallows what is sent.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{LinkError, Queued, Told};
use crate::wire::message::ToNode;

/// Calls that were written and wait for their answers. Shared by a connection's reader, writer and watch; never locked
/// across an await.
pub(super) struct Flight {
    state: Mutex<State>,
    /// Told when the writer has something to look at: room, a ping to send, a goodbye.
    pub changed: Notify,
}

struct State {
    calls: BTreeMap<u64, Reply>,
    room_for: usize,
    next_id: u64,
    silent_since: Instant,
    ping: Ping,
    goodbye: Option<String>,
}

type Reply = tokio::sync::oneshot::Sender<Result<Told, LinkError>>;

#[derive(PartialEq)]
enum Ping {
    None,
    Wanted,
    Sent,
}

impl Flight {
    /// Nothing in flight, and no room until [`Flight::open`].
    pub fn new() -> Flight {
        let state = State {
            calls: BTreeMap::new(),
            room_for: 0,
            next_id: 0,
            silent_since: Instant::now(),
            ping: Ping::None,
            goodbye: None,
        };
        Flight { state: Mutex::new(state), changed: Notify::new() }
    }

    /// The node takes so many calls at once.
    pub fn open(&self, in_flight_max: u32) {
        self.lock().room_for = in_flight_max.max(1) as usize;
    }

    /// Whether another call may be written now.
    pub fn has_room(&self) -> bool {
        let state = self.lock();
        state.calls.len() < state.room_for && state.goodbye.is_none()
    }

    /// Takes a call from the queue into flight and returns what to write; `None` if its caller does not wait any more or its
    /// time is over. From here on it counts as sent.
    pub fn admit(&self, queued: Queued) -> Option<ToNode> {
        let left = queued.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || queued.reply.is_closed() || !queued.claim.take() {
            return None;
        }
        let mut state = self.lock();
        let id = state.number();
        if state.calls.is_empty() && state.ping != Ping::Sent {
            state.silent_since = Instant::now();
        }
        state.calls.insert(id, queued.reply);
        Some(queued.ask.message(id, left))
    }

    /// The answer to a call came.
    pub fn complete(&self, id: u64, told: Told) {
        let mut state = self.lock();
        let was_full = state.calls.len() >= state.room_for;
        if let Some(reply) = state.calls.remove(&id) {
            // A caller that gave up has dropped its end, and that is all right.
            let _ = reply.send(Ok(told));
        }
        if was_full {
            self.changed.notify_one();
        }
    }

    /// The node closes after the answers in flight: nothing more is to be sent.
    pub fn say_goodbye(&self, reason: String) {
        self.lock().goodbye = Some(reason);
        self.changed.notify_one();
    }

    /// Why nothing more may be sent, if so.
    pub fn goodbye(&self) -> Option<String> {
        self.lock().goodbye.clone()
    }

    /// Bytes arrived.
    pub fn heard(&self) {
        self.lock().silent_since = Instant::now();
    }

    /// The ping was answered.
    pub fn pong(&self) {
        self.lock().ping = Ping::None;
    }

    /// For how long something has been awaited in silence; zero if nothing is awaited.
    pub fn silence(&self) -> Duration {
        let state = self.lock();
        if state.calls.is_empty() && state.ping != Ping::Sent { Duration::ZERO } else { state.silent_since.elapsed() }
    }

    /// Asks the writer for a ping if calls are in flight, or nothing was heard for `idle`.
    pub fn want_ping(&self, idle: Duration) {
        let mut state = self.lock();
        if state.ping == Ping::None && (!state.calls.is_empty() || state.silent_since.elapsed() >= idle) {
            state.ping = Ping::Wanted;
            self.changed.notify_one();
        }
    }

    /// The ping to write now, if one is wanted.
    pub fn take_ping(&self) -> Option<ToNode> {
        let mut state = self.lock();
        if state.ping != Ping::Wanted {
            return None;
        }
        if state.calls.is_empty() {
            state.silent_since = Instant::now();
        }
        state.ping = Ping::Sent;
        Some(ToNode::Ping(state.number()))
    }

    /// The connection is over: what was sent has no answer and will get none.
    pub fn lose_all(&self, reason: &str) {
        for (_, reply) in std::mem::take(&mut self.lock().calls) {
            let _ = reply.send(Err(LinkError::Lost(reason.into())));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
