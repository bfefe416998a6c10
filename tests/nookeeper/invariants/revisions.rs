//! Revisions are one order of all writes, and it is the one in which they happened.

use std::collections::BTreeMap;

use super::Finding;
use crate::history::{History, OperationId, Place};
use kv::coordination::tree::Revision;

/// Every acknowledged write that is told its revision.
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = vec![];
    let mut writes = BTreeMap::<Revision, OperationId>::new();
    let mut events = BTreeMap::<Place, (OperationId, Revision)>::new();
    for (id, operation) in history.named() {
        let (Some(revision), Some((answered, _))) = (operation.written(), operation.answer()) else { continue };
        if let Some(other) = writes.insert(revision, id) {
            let what = format!("two writes are revision {revision}");
            findings.push(Finding { what, operations: vec![other, id] });
        }
        events.insert(operation.invoked, (id, revision));
        events.insert(answered, (id, revision));
    }
    let mut newest: Option<(Revision, OperationId)> = None;
    let mut floors = BTreeMap::new();
    for (place, (id, revision)) in events {
        if history.operation(id).invoked == place {
            floors.insert(id, newest);
            continue;
        }
        if let Some(Some((floor, before))) = floors.remove(&id)
            && revision < floor
        {
            let what = format!("a write is revision {revision}, though one of revision {floor} was answered before");
            findings.push(Finding { what, operations: vec![before, id] });
        }
        newest = newest.max(Some((revision, id)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::*;
    use crate::history::Answer;

    #[test]
    fn overlapping_writes_have_any_order() {
        let mut sketch = Sketch::default();
        let slow = sketch.ask(1, set("/a", "1"));
        sketch.did(2, set("/b", "2"), Answer::Set(stat(1, 3)));
        sketch.tell(slow, Answer::Set(stat(1, 2)));
        sketch.did(2, set("/b", "3"), Answer::Set(stat(2, 4)));
        assert!(sketch.findings("revisions").is_empty());
    }

    #[test]
    fn a_later_write_of_any_node_is_a_later_revision() {
        let mut sketch = Sketch::default();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 3)));
        sketch.did(2, set("/b", "2"), Answer::Set(stat(1, 2)));
        let expected = ["a write is revision 2, though one of revision 3 was answered before"];
        assert_eq!(sketch.findings("revisions"), expected);
        sketch.did(2, set("/b", "3"), Answer::Set(stat(2, 3)));
        assert_eq!(sketch.findings("revisions")[0], "two writes are revision 3");
    }
}
