//! Writes the history down, for all clients.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use kv::coordination::tree::SessionId;

use crate::history::{Answer, Call, ClientId, History, Micros, OperationId, Replica, WatchNumber};
use crate::lock::lock;

/// Says how many microseconds the run is old; never less than before.
pub type Clock = Box<dyn Fn() -> Micros + Send + Sync>;

/// The history in the making.
pub struct Recorder {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    history: History,
    clients: u32,
    writes: u64,
    watches: u32,
}

impl Recorder {
    /// A history without an event.
    pub fn new(clock: Clock) -> Arc<Recorder> {
        Arc::new(Recorder { clock, state: Mutex::default() })
    }

    /// How old the run is.
    pub fn now(&self) -> Micros {
        (self.clock)()
    }

    /// A client that was not there before.
    pub fn next_client(&self) -> ClientId {
        let mut state = self.state();
        state.clients += 1;
        ClientId(state.clients)
    }

    /// Data that no other write brings.
    pub fn next_data(&self) -> Bytes {
        let mut state = self.state();
        state.writes += 1;
        format!("w{}", state.writes).into()
    }

    /// A name for a watch.
    pub fn next_watch(&self) -> WatchNumber {
        let mut state = self.state();
        state.watches += 1;
        WatchNumber(state.watches)
    }

    /// Somebody asks. Dropped without an answer, the call counts as given up.
    pub fn invoke(self: &Arc<Self>, client: ClientId, session: Option<SessionId>, call: Call) -> Asked {
        let operation = self.state().history.invoke(self.now(), client, session, call);
        Asked { recorder: self.clone(), operation }
    }

    /// A replica is looked at.
    pub fn replica(&self, replica: Replica) {
        self.state().history.replica(replica);
    }

    /// Something happens to the service.
    pub fn note(&self, what: String) {
        let now = self.now();
        self.state().history.note(now, what);
    }

    /// The history so far.
    pub fn history(&self) -> History {
        self.state().history.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A call that is under way.
pub struct Asked {
    recorder: Arc<Recorder>,
    operation: OperationId,
}

impl Asked {
    /// It is answered.
    pub fn answered(self, answer: Answer) {
        let now = self.recorder.now();
        self.recorder.state().history.answer(now, self.operation, answer);
    }

    /// It opened a session.
    pub fn opened(self, session: SessionId, timeout: Duration) {
        let now = self.recorder.now();
        self.recorder.state().history.opened(now, self.operation, session, timeout);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let now = self.recorder.now();
        self.recorder.state().history.abandon(now, self.operation);
    }
}
