//! The history in the making, for all writers.

use std::sync::Mutex;
use std::time::Instant;

use bytes::Bytes;

use crate::history::{Answer, Call, ClientId, History, Micros};
use crate::lock::lock;

/// Writes it down.
pub struct Record {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    history: History,
    writes: u64,
}

impl Record {
    /// Without an event.
    pub fn new() -> Record {
        Record { began: Instant::now(), state: Mutex::default() }
    }

    /// How old it is.
    pub fn now(&self) -> Micros {
        self.began.elapsed().as_micros() as Micros
    }

    /// Data that no other write brings.
    pub fn next_data(&self) -> Bytes {
        let mut state = lock(&self.state);
        state.writes += 1;
        format!("w{}", state.writes).into()
    }

    /// A client asks, in no session of its own, and is answered.
    pub async fn call(&self, client: ClientId, call: Call, answer: impl Future<Output = Answer>) -> Answer {
        let operation = lock(&self.state).history.invoke(self.now(), client, None, call);
        let answer = answer.await;
        lock(&self.state).history.answer(self.now(), operation, answer.clone());
        answer
    }

    /// Something happens to the service.
    pub fn note(&self, what: String) {
        lock(&self.state).history.note(self.now(), what);
    }

    /// The history so far.
    pub fn history(&self) -> History {
        lock(&self.state).history.clone()
    }
}
