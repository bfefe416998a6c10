//! Reads of a session do not go back, and see its own answered writes.

use std::collections::BTreeMap;

use kv::coordination::tree::{Revision, SessionId};

use super::Finding;
use crate::history::{History, OperationId, Place};

/// Every read: its revision is that of the newest thing its session had been told before, or higher.
pub fn check(history: &History) -> Vec<Finding> {
    let mut events = BTreeMap::<Place, (OperationId, SessionId)>::new();
    for (id, operation) in history.named() {
        let (Some(session), Some((answered, _))) = (operation.session, operation.answer()) else { continue };
        events.insert(operation.invoked, (id, session));
        events.insert(answered, (id, session));
    }
    let mut findings = vec![];
    let mut newest = BTreeMap::<SessionId, (Revision, OperationId)>::new();
    let mut floors = BTreeMap::new();
    for (place, (id, session)) in events {
        let operation = history.operation(id);
        if operation.invoked == place {
            floors.insert(id, newest.get(&session).copied());
            continue;
        }
        let floor = floors.remove(&id).flatten();
        if let (Some(revision), Some((floor, before))) = (operation.read(), floor)
            && revision < floor
        {
            let what = format!("session {session} reads at revision {revision} after it was told of {floor}");
            findings.push(Finding { what, operations: vec![before, id] });
        }
        if let Some(told) = operation.read().or(operation.written()) {
            let newest = newest.entry(session).or_insert((told, id));
            *newest = (*newest).max((told, id));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::*;
    use crate::history::Answer;

    #[test]
    fn a_session_reads_forward_and_others_do_not_care() {
        let mut sketch = Sketch::default();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 5)));
        let overlapping = sketch.ask(2, get("/a"));
        sketch.did(2, get("/a"), content("1", stat(1, 5), 5));
        sketch.tell(overlapping, content("0", stat(0, 1), 3));
        sketch.did(1, exists("/b"), seen(None, 5));
        assert!(sketch.findings("sessions").is_empty());
        sketch.did(2, children("/"), listing(&[], 4));
        sketch.did(1, exists("/b"), seen(None, 4));
        let expected = [
            "session 0x2 reads at revision 4 after it was told of 5",
            "session 0x1 reads at revision 4 after it was told of 5",
        ];
        assert_eq!(sketch.findings("sessions"), expected);
    }
}
