//! After `sync` a read sees all writes that were acknowledged to anyone before it was called.

use std::collections::BTreeMap;

use kv::coordination::tree::{Revision, SessionId};

use super::Finding;
use crate::history::{Call, History, OperationId, Place};

/// What a session has to see: a revision, the write that made it, and the sync that promised it.
type Promise = (Revision, OperationId, OperationId);

/// Every read that began after its session's sync was answered.
pub fn check(history: &History) -> Vec<Finding> {
    let mut acknowledged = BTreeMap::<Place, (Revision, OperationId)>::new();
    for (id, operation) in history.named() {
        if let (Some(revision), Some((answered, _))) = (operation.written(), operation.answer()) {
            acknowledged.insert(answered, (revision, id));
        }
    }
    let mut newest = None;
    for write in acknowledged.values_mut() {
        newest = newest.max(Some(*write));
        *write = newest.expect("this one");
    }
    let mut promises = BTreeMap::<SessionId, BTreeMap<Place, Promise>>::new();
    for (id, operation) in history.named().filter(|(_, operation)| operation.call == Call::Sync) {
        let (Some(session), Some(answered)) = (operation.session, operation.succeeded()) else { continue };
        if let Some((_, (revision, write))) = acknowledged.range(..operation.invoked).next_back() {
            promises.entry(session).or_default().insert(answered, (*revision, *write, id));
        }
    }
    let mut findings = vec![];
    for (id, operation) in history.named() {
        let (Some(revision), Some(session)) = (operation.read(), operation.session) else { continue };
        let Some(promises) = promises.get(&session) else { continue };
        let due = promises.range(..operation.invoked).map(|(_, promise)| promise).max();
        if let Some((promised, write, sync)) = due.filter(|(promised, ..)| *promised > revision) {
            let what = format!("a read at revision {revision}, after a sync that began when {promised} was known");
            findings.push(Finding { what, operations: vec![*write, *sync, id] });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::*;
    use crate::history::{Answer, Call};

    #[test]
    fn a_sync_covers_what_was_acknowledged_before_it() {
        let mut sketch = Sketch::default();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 5)));
        sketch.did(2, exists("/a"), seen(None, 1));
        let sync = sketch.ask(2, Call::Sync);
        sketch.did(1, set("/a", "2"), Answer::Set(stat(2, 6)));
        sketch.did(2, exists("/a"), seen(None, 2));
        sketch.tell(sync, Answer::Done);
        sketch.did(2, get("/a"), content("1", stat(1, 5), 5));
        sketch.did(3, get("/a"), content("0", stat(0, 1), 1));
        assert!(sketch.findings("catching up").is_empty());
        sketch.did(2, get("/a"), content("0", stat(0, 1), 4));
        let expected = ["a read at revision 4, after a sync that began when 5 was known"];
        assert_eq!(sketch.findings("catching up"), expected);
    }
}
