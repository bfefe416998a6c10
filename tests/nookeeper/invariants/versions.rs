//! A version of a node is one write, and a write is one version: none is applied twice, and none comes from nowhere.
//!
//! Writes bring data that no other brings, so each sighting says which write it shows. A version that nobody saw was made by
//! a write as well: there must be one for it, acknowledged for another version of the same node or of unknown outcome.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kv::coordination::tree::{Path, Revision, Stat};

use super::Finding;
use crate::history::{Answer, Call, History, Operation, OperationId};

/// One life of a node, from its creation to its deletion.
type Life = (Path, Revision);

/// Every sighting of a node, by a write or a read.
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = vec![];
    let mut told = |what: String, operations: Vec<OperationId>| findings.push(Finding { what, operations });
    let writes: BTreeMap<&Bytes, (OperationId, &Operation)> =
        history.named().filter_map(|(id, operation)| Some((operation.call.data()?, (id, operation)))).collect();
    let mut by_version = BTreeMap::<(Life, u64), (Revision, Option<Bytes>, OperationId)>::new();
    let mut by_data = BTreeMap::<Bytes, ((Life, u64), OperationId)>::new();
    for (id, path, stat, data) in sightings(history) {
        let life = (path.clone(), stat.created);
        if let Some(data) = &data {
            match writes.get(data) {
                Some((_, write)) if write.invoked > history.operation(id).ended().unwrap_or(0) => {
                    told(format!("{path} shows {data:?}, which was written later"), vec![id]);
                }
                Some((write, operation)) if operation.surely_failed() => {
                    told(format!("{path} shows {data:?}, whose write failed"), vec![*write, id]);
                }
                Some(_) => {}
                None => told(format!("{path} shows {data:?}, which nobody wrote"), vec![id]),
            }
            let place = (life.clone(), stat.version);
            let (known, first) = by_data.entry(data.clone()).or_insert((place.clone(), id));
            if *known != place {
                let what = format!("{data:?} is version {} of {path}, and is there a second time", stat.version);
                told(what, vec![*first, id]);
            }
        }
        let (modified, known, first) =
            by_version.entry((life, stat.version)).or_insert((stat.modified, data.clone(), id));
        let differs = known.is_some() && data.is_some() && *known != data;
        if *modified != stat.modified || differs {
            told(format!("version {} of {path} is two writes", stat.version), vec![*first, id]);
        }
        *known = known.take().or(data);
    }
    findings.extend(out_of_order(&by_version));
    findings.extend(from_nowhere(history, &by_version));
    findings
}

/// What shows a node: who saw it, where, and its data if it was seen.
fn sightings(history: &History) -> impl Iterator<Item = (OperationId, &Path, &Stat, Option<Bytes>)> {
    history.named().filter_map(|(id, operation)| match operation.answer()?.1 {
        Answer::Created { path, stat } => Some((id, path, stat, operation.call.data().cloned())),
        Answer::Set(stat) => Some((id, operation.call.path()?, stat, operation.call.data().cloned())),
        Answer::Content(read) => Some((id, operation.call.path()?, &read.value.stat, Some(read.value.data.clone()))),
        Answer::Stat(read) => Some((id, operation.call.path()?, read.value.as_ref()?, None)),
        _ => None,
    })
}

type ByVersion = BTreeMap<(Life, u64), (Revision, Option<Bytes>, OperationId)>;

/// Higher versions are of higher revisions.
fn out_of_order(by_version: &ByVersion) -> Vec<Finding> {
    let mut findings = vec![];
    for (lower, higher) in by_version.iter().zip(by_version.iter().skip(1)) {
        let ((life, version), (revision, _, first)) = lower;
        let ((next_life, next_version), (next_revision, _, second)) = higher;
        if life == next_life && revision >= next_revision {
            let what = format!(
                "version {version} of {} is revision {revision}, version {next_version} is {next_revision}",
                life.0
            );
            findings.push(Finding { what, operations: vec![*first, *second] });
        }
    }
    findings
}

/// There are as many writes as versions.
fn from_nowhere(history: &History, by_version: &ByVersion) -> Vec<Finding> {
    let mut lives = BTreeMap::<&Life, (u64, OperationId)>::new();
    for ((life, version), (.., id)) in by_version {
        lives.insert(life, (*version, *id));
    }
    let mut findings = vec![];
    for (life, (version, id)) in lives {
        let sets = history.operations().iter().filter(|operation| match &operation.call {
            Call::Set { path, .. } => *path == life.0,
            _ => false,
        });
        let may_be: BTreeSet<usize> = sets
            .enumerate()
            .filter(|(_, set)| match set.answer() {
                Some((_, Answer::Set(stat))) => stat.created == life.1 && stat.version <= version,
                _ => !set.surely_failed(),
            })
            .map(|(index, _)| index)
            .collect();
        if (may_be.len() as u64) < version {
            let what = format!("{} is at version {version}, by {} writes at most", life.0, may_be.len());
            findings.push(Finding { what, operations: vec![id] });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use kv::coordination::api::Error;
    use kv::coordination::tree::CreateMode;

    use super::super::sketch::*;
    use crate::history::Answer;

    const NAME: &str = "versions";

    fn made() -> Sketch {
        let mut sketch = Sketch::default();
        sketch.did(1, create("/a", "0", CreateMode::Persistent), created("/a", stat(0, 1)));
        sketch
    }

    #[test]
    fn versions_are_writes() {
        let mut sketch = made();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 2)));
        sketch.did(1, set("/a", "2"), unknown());
        sketch.did(2, get("/a"), content("2", stat(2, 3), 3));
        sketch.did(2, exists("/a"), seen(Some(stat(2, 3)), 4));
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn a_write_that_is_applied_twice_is_found_by_its_data() {
        let mut sketch = made();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 2)));
        sketch.did(2, get("/a"), content("1", stat(2, 3), 3));
        let expected =
            ["b\"1\" is version 2 of /a, and is there a second time", "/a is at version 2, by 1 writes at most"];
        assert_eq!(sketch.findings(NAME), expected);
    }

    #[test]
    fn a_write_that_is_applied_twice_is_found_by_the_next_one() {
        let mut sketch = made();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 2)));
        sketch.did(1, set("/a", "2"), Answer::Set(stat(3, 4)));
        assert_eq!(sketch.findings(NAME), ["/a is at version 3, by 2 writes at most"]);
    }

    #[test]
    fn one_version_is_not_two_writes() {
        let mut sketch = made();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 2)));
        sketch.did(2, set("/a", "2"), Answer::Set(stat(1, 3)));
        assert_eq!(sketch.findings(NAME), ["version 1 of /a is two writes"]);
    }

    #[test]
    fn later_versions_are_later_revisions() {
        let mut sketch = made();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 5)));
        sketch.did(2, set("/a", "2"), Answer::Set(stat(2, 4)));
        assert_eq!(sketch.findings(NAME), ["version 1 of /a is revision 5, version 2 is 4"]);
    }

    #[test]
    fn nothing_comes_from_nowhere() {
        let mut sketch = made();
        sketch.did(1, set("/a", "1"), Answer::Failed(Error::ConnectionLoss { cause: "no leader".into() }));
        sketch.did(1, set("/a", "2"), unknown());
        sketch.did(2, get("/a"), content("1", stat(1, 2), 2));
        assert_eq!(sketch.findings(NAME), ["/a shows b\"1\", whose write failed"]);
        sketch.did(2, get("/b"), content("9", stat(0, 3), 3));
        assert_eq!(sketch.findings(NAME)[1], "/b shows b\"9\", which nobody wrote");
    }
}
