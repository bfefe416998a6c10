//! A read that says *at revision r* shows what the acknowledged writes up to r had made of the node.

use std::collections::BTreeMap;

use kv::coordination::tree::{Path, Revision};

use super::Finding;
use crate::history::{Answer, History, OperationId};

/// Every read that found a node: its last write is the last one before the revision that was read at.
pub fn check(history: &History) -> Vec<Finding> {
    let mut writes = BTreeMap::<(&Path, Revision), OperationId>::new();
    for (id, operation) in history.named() {
        let path = match operation.answer() {
            Some((_, Answer::Created { path, .. })) => Some(path),
            _ => operation.call.path(),
        };
        if let (Some(path), Some(revision)) = (path, operation.written()) {
            writes.insert((path, revision), id);
        }
    }
    let mut findings = vec![];
    for (id, operation) in history.named() {
        let (modified, revision) = match operation.answer() {
            Some((_, Answer::Content(read))) => (read.value.stat.modified, read.revision),
            Some((_, Answer::Stat(read))) => match &read.value {
                Some(stat) => (stat.modified, read.revision),
                None => continue,
            },
            _ => continue,
        };
        let Some(path) = operation.call.path() else { continue };
        if modified > revision {
            let what = format!("a write of revision {modified} of {path} was read at revision {revision}");
            findings.push(Finding { what, operations: vec![id] });
            continue;
        }
        let shown = |(_, written): &(&Path, Revision)| *written <= modified;
        let due = writes.range((path, modified)..=(path, revision));
        if let Some(((_, missed), write)) = due.into_iter().find(|(write, _)| !shown(write)) {
            let what = format!("{path}, read at revision {revision}, does not show the write of revision {missed}");
            findings.push(Finding { what, operations: vec![*write, id] });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::*;
    use crate::history::Answer;

    #[test]
    fn a_read_may_be_old_but_is_whole() {
        let mut sketch = Sketch::default();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 3)));
        sketch.did(1, set("/b", "2"), Answer::Set(stat(1, 4)));
        sketch.did(2, get("/a"), content("0", stat(0, 1), 2));
        sketch.did(2, get("/a"), content("1", stat(1, 3), 4));
        assert!(sketch.findings("snapshots").is_empty());
        sketch.did(3, get("/a"), content("0", stat(0, 1), 4));
        sketch.did(3, exists("/b"), seen(Some(stat(1, 4)), 3));
        let expected = [
            "/a, read at revision 4, does not show the write of revision 3",
            "a write of revision 4 of /b was read at revision 3",
        ];
        assert_eq!(sketch.findings("snapshots"), expected);
    }
}
