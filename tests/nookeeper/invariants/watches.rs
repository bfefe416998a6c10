//! Who waits at a watch has been told of every change that was acknowledged, and has read it since.
//!
//! *Eventually*, the promise says; so the history must end in peace, long enough for everybody to be told, and only watchers
//! that wait at its end are asked.

use std::collections::BTreeMap;

use kv::coordination::tree::Path;
use kv::coordination::watch::Watched;

use super::Finding;
use crate::history::{Answer, Call, End, History, Operation, OperationId, Place, WatchNumber};

/// A watcher that waits.
struct Waiting<'a> {
    began: Place,
    path: &'a Path,
    watched: Watched,
    /// When it was told something last.
    told: Option<Place>,
}

/// Every watcher that waits at the end.
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = vec![];
    for (id, waiting) in waiting(history) {
        let reads: Vec<&Operation> = reads_of(history, id, &waiting);
        for (write, operation) in history.named() {
            if operation.invoked < waiting.began || !concerns(operation, &waiting) {
                continue;
            }
            let unread = operation.written().is_some_and(|it| !reads.iter().any(|read| read.read() >= Some(it)));
            let untold = waiting.told.is_none_or(|told| told < operation.invoked);
            if untold || unread {
                let failing = if untold { "is not told of" } else { "was told, but did not find," };
                let what = format!("who watches {} {failing} a change", waiting.path);
                findings.push(Finding { what, operations: vec![id, write] });
                break;
            }
        }
    }
    findings
}

fn waiting(history: &History) -> Vec<(OperationId, Waiting<'_>)> {
    let mut watches = BTreeMap::<WatchNumber, (OperationId, Waiting)>::new();
    let mut waits = BTreeMap::<WatchNumber, bool>::new();
    for (id, operation) in history.named() {
        match &operation.call {
            Call::Watch { path, watched, watch } => {
                let Some(began) = operation.succeeded() else { continue };
                watches.insert(*watch, (id, Waiting { began, path, watched: *watched, told: None }));
            }
            Call::Changed { watch } => {
                if let (Some(told), Some((_, waiting))) = (operation.succeeded(), watches.get_mut(watch)) {
                    waiting.told = Some(told);
                }
                waits.insert(*watch, operation.end == End::Pending);
            }
            _ => {}
        }
    }
    watches.into_iter().filter(|(watch, _)| waits.get(watch) == Some(&true)).map(|(_, waiting)| waiting).collect()
}

fn reads_of<'a>(history: &'a History, watch: OperationId, waiting: &Waiting) -> Vec<&'a Operation> {
    let client = history.operation(watch).client;
    let reads = history.operations().iter().filter(|operation| operation.client == client);
    reads.filter(|read| read.invoked > waiting.began && read.call.path() == Some(waiting.path)).collect()
}

/// Whether an operation surely changed what is watched.
fn concerns(operation: &Operation, waiting: &Waiting) -> bool {
    let changed = match (operation.answer(), &operation.call) {
        (Some((_, Answer::Created { path, .. })), _) => path,
        (Some((_, Answer::Set(_))), Call::Set { path, .. }) if waiting.watched != Watched::Children => path,
        (Some((_, Answer::Done)), Call::Delete { path, .. }) => path,
        _ => return false,
    };
    match waiting.watched {
        _ if changed == waiting.path => true,
        Watched::Node => false,
        Watched::Children => changed.parent().as_ref() == Some(waiting.path),
        Watched::Subtree => changed.ancestors().any(|above| above == *waiting.path),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sketch::*;
    use super::*;
    use kv::coordination::tree::CreateMode;

    const NAME: &str = "watches";
    const WATCH: WatchNumber = WatchNumber(1);

    /// A watch on `/a`, and what was there when it began.
    fn watching(watched: Watched) -> Sketch {
        let mut sketch = Sketch::default();
        sketch.did(1, Call::Watch { path: path("/a"), watched, watch: WATCH }, Answer::Done);
        sketch.did(1, get("/a"), content("0", stat(0, 1), 1));
        sketch
    }

    fn told(sketch: &mut Sketch) {
        sketch.did(1, Call::Changed { watch: WATCH }, Answer::Done);
    }

    fn wait(sketch: &mut Sketch) -> OperationId {
        sketch.ask(1, Call::Changed { watch: WATCH })
    }

    #[test]
    fn a_watcher_is_told_and_reads() {
        let mut sketch = watching(Watched::Node);
        sketch.did(2, set("/a", "1"), Answer::Set(stat(1, 2)));
        sketch.did(2, set("/b", "2"), Answer::Set(stat(1, 3)));
        told(&mut sketch);
        sketch.did(1, get("/a"), content("1", stat(1, 2), 2));
        wait(&mut sketch);
        assert!(sketch.findings(NAME).is_empty());
        sketch.did(2, delete("/a"), Answer::Done);
        assert_eq!(sketch.findings(NAME), ["who watches /a is not told of a change"]);
    }

    #[test]
    fn who_is_told_too_early_does_not_find_it() {
        let mut sketch = watching(Watched::Node);
        let set = sketch.ask(2, set("/a", "1"));
        told(&mut sketch);
        sketch.did(1, get("/a"), content("0", stat(0, 1), 1));
        wait(&mut sketch);
        sketch.tell(set, Answer::Set(stat(1, 2)));
        assert_eq!(sketch.findings(NAME), ["who watches /a was told, but did not find, a change"]);
    }

    #[test]
    fn who_waits_no_longer_is_not_asked() {
        let mut sketch = watching(Watched::Node);
        let waits = wait(&mut sketch);
        sketch.did(2, set("/a", "1"), Answer::Set(stat(1, 2)));
        assert_eq!(sketch.findings(NAME).len(), 1);
        sketch.give_up(waits);
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn who_watches_children_hears_of_children() {
        let mut sketch = watching(Watched::Children);
        wait(&mut sketch);
        sketch.did(2, set("/a", "1"), Answer::Set(stat(1, 2)));
        sketch.did(2, create("/b/x", "2", CreateMode::Persistent), created("/b/x", stat(0, 3)));
        assert!(sketch.findings(NAME).is_empty());
        sketch.did(2, create("/a/x", "3", CreateMode::Persistent), created("/a/x", stat(0, 4)));
        assert_eq!(sketch.findings(NAME).len(), 1);
    }
}
