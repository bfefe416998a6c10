//! No session ends before its timeout has passed since its last confirmed sign of life was asked for, but by its holder.
//!
//! This is what a lease is counted from, so it is judged from the moment of the call, by the clock of the one who called.

use std::collections::BTreeMap;

use kv::coordination::api::Error;
use kv::coordination::tree::{Path, SessionId, Stat};

use super::Finding;
use crate::history::{Answer, Call, History, Micros, OperationId, Place};

/// The service counts in whole milliseconds: it may take a moment for up to one earlier than it was, at both ends.
const GRAIN_US: Micros = 2_000;

/// What is known of a session's life.
pub(super) struct Life {
    /// It may not end earlier, unless it is closed.
    deadline: Micros,
    /// The sign of life that says so.
    sign: OperationId,
    closed: Option<Place>,
}

impl Life {
    /// From where on it may have ended.
    pub(super) fn may_end_from(&self, history: &History) -> Place {
        let expires = history.first_at(self.deadline);
        self.closed.map_or(expires, |closed| closed.min(expires))
    }
}

/// All sessions whose opening was answered.
pub(super) fn lives(history: &History) -> BTreeMap<SessionId, Life> {
    let mut timeouts = BTreeMap::<SessionId, Micros>::new();
    let mut lives = BTreeMap::<SessionId, Life>::new();
    for (id, operation) in history.named() {
        let Some(session) = operation.session else { continue };
        if let Some((_, Answer::Opened { timeout })) = operation.answer() {
            timeouts.insert(session, timeout.as_micros() as Micros);
        }
        let (Some(timeout), asked) = (timeouts.get(&session), history.time(operation.invoked)) else { continue };
        let deadline = (asked + timeout).saturating_sub(GRAIN_US);
        match operation.call {
            Call::Open { .. } => {
                lives.insert(session, Life { deadline, sign: id, closed: None });
            }
            Call::Renew if operation.succeeded().is_some() => {
                lives.entry(session).and_modify(|life| (life.deadline, life.sign) = (deadline, id));
            }
            Call::Close => {
                lives.entry(session).and_modify(|life| life.closed = life.closed.or(Some(operation.invoked)));
            }
            _ => {}
        }
    }
    lives
}

/// Every sight of a session's end: a call that is told so, and an ephemeral node that is gone though nobody deleted it.
pub fn check(history: &History) -> Vec<Finding> {
    let lives = lives(history);
    let gone = vanished(history);
    let expired = history.named().filter_map(|(id, operation)| match operation.answer()? {
        (place, Answer::Failed(Error::SessionExpired)) => Some((operation.session?, place, id)),
        _ => None,
    });
    let mut findings = vec![];
    for (session, place, id) in expired.chain(gone) {
        let Some(life) = lives.get(&session) else { continue };
        if life.may_end_from(history) > place {
            let early = Micros::abs_diff(life.deadline, history.time(place));
            let what = format!("session {session} was ended {early} µs or more before its time");
            findings.push(Finding { what, operations: vec![life.sign, id] });
        }
    }
    findings
}

/// Reads that miss an ephemeral node which no delete can have removed: whose it was, and where that was seen.
fn vanished(history: &History) -> Vec<(SessionId, Place, OperationId)> {
    let mut deletes = BTreeMap::<&Path, Place>::new();
    let mut ephemerals = BTreeMap::<&Path, Vec<&Stat>>::new();
    for operation in history.operations() {
        match (&operation.call, operation.answer()) {
            (Call::Delete { path, .. }, _) if !operation.surely_failed() => {
                deletes.entry(path).or_insert(operation.invoked);
            }
            (Call::Create { .. }, Some((_, Answer::Created { path, stat }))) if stat.owner.is_some() => {
                ephemerals.entry(path).or_default().push(stat);
            }
            _ => {}
        }
    }
    let mut vanished = vec![];
    for (id, operation) in history.named() {
        let (Some(path), Some(revision), Some((place, answer))) =
            (operation.call.path(), operation.read(), operation.answer())
        else {
            continue;
        };
        let here = match answer {
            Answer::Stat(read) => read.value.as_ref(),
            Answer::Content(read) => Some(&read.value.stat),
            _ => continue,
        };
        if deletes.get(path).is_some_and(|deleted| *deleted < place) {
            continue;
        }
        let before = ephemerals.get(path).into_iter().flatten().filter(|stat| stat.created <= revision);
        let missing = before.filter(|stat| here.is_none_or(|here| here.created != stat.created));
        vanished.extend(missing.filter_map(|stat| Some((stat.owner?, place, id))));
    }
    vanished
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kv::coordination::api::Error;
    use kv::coordination::tree::CreateMode;

    use super::super::sketch::*;
    use super::*;

    const NAME: &str = "lifetimes";
    const TIMEOUT: Duration = Duration::from_secs(1);

    fn expired() -> Answer {
        Answer::Failed(Error::SessionExpired)
    }

    /// A session that was opened and, after half its timeout, renewed.
    fn renewed() -> Sketch {
        let mut sketch = Sketch::default();
        sketch.open(1, TIMEOUT);
        sketch.pass(TIMEOUT / 2);
        sketch.did(1, Call::Renew, Answer::Done);
        sketch
    }

    #[test]
    fn a_session_ends_after_its_timeout() {
        let mut sketch = renewed();
        sketch.pass(TIMEOUT);
        sketch.did(1, get("/a"), expired());
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn not_earlier() {
        let mut sketch = renewed();
        sketch.pass(TIMEOUT * 3 / 4);
        sketch.did(1, get("/a"), expired());
        assert_eq!(sketch.findings(NAME), ["session 0x1 was ended 247997 µs or more before its time"]);
    }

    #[test]
    fn a_renewal_that_was_not_confirmed_promises_nothing() {
        let mut sketch = renewed();
        sketch.pass(TIMEOUT * 3 / 4);
        let lost = sketch.ask(1, Call::Renew);
        sketch.give_up(lost);
        sketch.pass(TIMEOUT / 2);
        sketch.did(1, get("/a"), expired());
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn its_holder_may_end_it() {
        let mut sketch = renewed();
        let close = sketch.ask(1, Call::Close);
        sketch.give_up(close);
        sketch.did(1, get("/a"), expired());
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn a_missing_ephemeral_node_shows_it() {
        let mut sketch = renewed();
        let mine = Stat { owner: Some(SessionId(1)), ..stat(0, 1) };
        sketch.did(1, create("/e", "1", CreateMode::Ephemeral), created("/e", mine.clone()));
        sketch.did(2, exists("/e"), seen(None, 0));
        sketch.did(2, exists("/e"), seen(Some(mine), 2));
        assert!(sketch.findings(NAME).is_empty());
        sketch.did(2, exists("/e"), seen(None, 2));
        assert_eq!(sketch.findings(NAME).len(), 1);
        let mut deleted = renewed();
        let mine = Stat { owner: Some(SessionId(1)), ..stat(0, 1) };
        deleted.did(1, create("/e", "1", CreateMode::Ephemeral), created("/e", mine));
        deleted.ask(3, delete("/e"));
        deleted.did(2, exists("/e"), seen(None, 2));
        assert!(deleted.findings(NAME).is_empty());
    }
}
