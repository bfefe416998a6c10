//! Writes down what clients asked and were told, and counts it.
//!
//! Each key has a history of its own, since nothing is promised about two keys together. An invocation is recorded before the
//! request leaves, and an answer after it came, all under one lock: so what a history has in this order happened in this order.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use kv::client::{ClientError, Failure};
use kv::core::key::Key;

use crate::history::{Call, ClientId, History, Micros, OperationId, Outcome, Quorums, What, WriteId};

/// What clients have done, in numbers.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// Requests that were answered, whatever the answer.
    pub requests: u64,
    /// Those that failed, by how.
    pub failures: BTreeMap<&'static str, u64>,
    /// The longest time in which no sloppy write succeeded, of the times in which clients worked.
    pub longest_without_write: Duration,
    /// When the last one did, or clients began.
    last_write: Option<Instant>,
}

impl Tally {
    fn wrote(&mut self, now: Instant) {
        let since = self.last_write.replace(now).map_or(Duration::ZERO, |last| now - last);
        self.longest_without_write = self.longest_without_write.max(since);
    }
}

/// The histories in the making.
pub struct Recorder {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    histories: BTreeMap<Key, History>,
    writes: u64,
    tally: Tally,
}

impl Recorder {
    /// Nothing has happened yet.
    pub fn new() -> Recorder {
        Recorder { began: Instant::now(), state: Mutex::default() }
    }

    /// A number for a write.
    pub fn next_write(&self) -> WriteId {
        let mut state = self.state();
        state.writes += 1;
        WriteId(state.writes)
    }

    /// Clients begin to work, after a rest.
    pub fn work_begins(&self) {
        self.state().tally.last_write = Some(Instant::now());
    }

    /// Clients rest.
    pub fn work_ends(&self) {
        let mut state = self.state();
        state.tally.wrote(Instant::now());
        state.tally.last_write = None;
    }

    /// A client asks.
    pub fn invoke(&self, client: ClientId, key: &Key, quorums: Quorums, call: Call) -> OperationId {
        let mut state = self.state();
        let at = self.now();
        let history = state.histories.entry(key.clone()).or_default();
        history.is_untraced = true;
        history.invoke(at, client, key, quorums, call)
    }

    /// A client has read.
    pub fn read(&self, key: &Key, operation: OperationId, values: Vec<WriteId>) {
        let mut state = self.state();
        state.tally.requests += 1;
        self.answer(&mut state, key, operation, Outcome::Read(values));
    }

    /// A client's write was acknowledged.
    pub fn written(&self, key: &Key, operation: OperationId, is_sloppy: bool) {
        let mut state = self.state();
        state.tally.requests += 1;
        if is_sloppy {
            state.tally.wrote(Instant::now());
        }
        self.answer(&mut state, key, operation, Outcome::Written);
    }

    /// A client was told that it failed, or that it may have.
    pub fn failed(&self, key: &Key, operation: OperationId, is_sloppy: bool, error: &ClientError) {
        let mut state = self.state();
        state.tally.requests += 1;
        *state.tally.failures.entry(kind(error, is_sloppy)).or_default() += 1;
        let is_unknown = error.outcome_unknown();
        let outcome = if is_unknown { Outcome::Unknown(error.to_string()) } else { Outcome::Failed(error.to_string()) };
        self.answer(&mut state, key, operation, outcome);
    }

    /// Anything else happens to a key that somebody asked for.
    pub fn record(&self, key: &Key, what: What) {
        let at = self.now();
        if let Some(history) = self.state().histories.get_mut(key) {
            history.record(at, what);
        }
    }

    /// All keys that anybody asked for.
    pub fn keys(&self) -> Vec<Key> {
        self.state().histories.keys().cloned().collect()
    }

    /// What has been done so far.
    pub fn tally(&self) -> Tally {
        self.state().tally.clone()
    }

    /// The histories, at the end.
    pub fn histories(&self) -> BTreeMap<Key, History> {
        std::mem::take(&mut self.state().histories)
    }

    fn answer(&self, state: &mut State, key: &Key, operation: OperationId, outcome: Outcome) {
        let history = state.histories.get_mut(key).expect("it was invoked");
        history.answer(self.now(), operation, outcome);
    }

    fn now(&self) -> Micros {
        self.began.elapsed().as_micros() as Micros
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// What a failure is called where failures are counted.
fn kind(error: &ClientError, is_sloppy: bool) -> &'static str {
    match error {
        error if error.outcome_unknown() => "outcome unknown",
        ClientError::Timeout { .. } | ClientError::Failure(Failure::Timeout { .. }) => "timed out",
        ClientError::Connect { .. } => "no node reached",
        ClientError::Failure(Failure::QuorumNotMet { .. }) if is_sloppy => "refused: sloppy quorum not met",
        ClientError::Failure(Failure::QuorumNotMet { .. }) => "refused: strict quorum not met",
        ClientError::Failure(Failure::RingMayBeStale { .. }) => "refused: no lease",
        ClientError::Failure(Failure::Unavailable { .. }) => "refused: disk",
        ClientError::Failure(Failure::Overloaded { .. }) => "refused: overloaded",
        ClientError::Failure(Failure::TooMany { .. }) => "refused: too many siblings",
        _ => "refused: for another reason",
    }
}

#[cfg(test)]
mod tests {
    use kv::core::id::StoreId;

    use super::*;
    use crate::history::Covering;
    use crate::invariants;

    const STRICT: Quorums = Quorums { n: 3, r: 2, w: 2, pr: 2, pw: 2, sloppy: false };
    const CLIENT: ClientId = ClientId(1);

    /// One key, and clients whose requests do not overlap.
    struct Story {
        recorder: Recorder,
        key: Key,
    }

    impl Story {
        fn put(&self, covering: Covering) -> (OperationId, WriteId) {
            let write = self.recorder.next_write();
            let operation = self.recorder.invoke(CLIENT, &self.key, STRICT, Call::Put { write, covering });
            self.recorder.written(&self.key, operation, false);
            (operation, write)
        }

        fn delete(&self, of: OperationId) {
            let call = Call::Delete { write: self.recorder.next_write(), covering: Covering::Answer(of) };
            let operation = self.recorder.invoke(CLIENT, &self.key, STRICT, call);
            self.recorder.written(&self.key, operation, false);
        }

        fn read(&self, values: &[WriteId]) {
            let operation = self.recorder.invoke(ClientId(2), &self.key, STRICT, Call::Get);
            self.recorder.read(&self.key, operation, values.to_vec());
        }

        fn settle(&self) {
            self.recorder.record(&self.key, What::Settled);
            let (store, key) = (StoreId(1), self.key.clone());
            self.recorder.record(&self.key, What::Holds { store, key, owner: true, object: Some("it".into()) });
        }
    }

    /// The invariants that a story breaks.
    fn broken(tell: impl FnOnce(&Story)) -> Vec<&'static str> {
        let story = Story { recorder: Recorder::new(), key: Key::bare("k") };
        tell(&story);
        let histories = story.recorder.histories();
        histories.values().flat_map(invariants::check).map(|violation| violation.invariant).collect()
    }

    #[test]
    fn a_story_without_a_fault_passes() {
        let told = |story: &Story| {
            let (first, one) = story.put(Covering::Nothing);
            story.read(&[one]);
            let (_, two) = story.put(Covering::Answer(first));
            story.settle();
            story.read(&[two]);
        };
        assert_eq!(broken(told), [""; 0]);
    }

    /// None of these needs a word of a store.
    #[test]
    fn what_clients_see_is_enough_to_accuse() {
        let lost = |story: &Story| {
            story.put(Covering::Nothing);
            story.settle();
            story.read(&[]);
        };
        assert_eq!(broken(lost), ["lost writes", "strict recency"]);
        let back_from_the_dead = |story: &Story| {
            let (put, write) = story.put(Covering::Nothing);
            story.delete(put);
            story.settle();
            story.read(&[write]);
        };
        assert_eq!(broken(back_from_the_dead), ["resurrection", "strict recency"]);
        let phantom = |story: &Story| {
            let (_, write) = story.put(Covering::Nothing);
            story.settle();
            story.read(&[write, WriteId(77)]);
        };
        assert_eq!(broken(phantom), ["phantoms"]);
        let stale = |story: &Story| {
            let (_, write) = story.put(Covering::Nothing);
            story.read(&[]);
            story.settle();
            story.read(&[write]);
        };
        assert_eq!(broken(stale), ["strict recency"]);
    }
}
