//! The recipe for electing a leader holds: of the sequential nodes below a path, whose lowest is the leader's, one is the
//! lowest at each revision, and the lowest never falls back to a lower one.

use std::collections::BTreeMap;

use kv::coordination::tree::{Path, Revision};

use super::Finding;
use crate::history::{Answer, Call, History, OperationId};

/// Every listing of a path below which sequential nodes were made.
pub fn check(history: &History) -> Vec<Finding> {
    let sequential = |call: &Call| match call {
        Call::Create { path, mode, .. } if mode.is_sequential() => path.parent(),
        _ => None,
    };
    let elections = history.operations().iter().filter_map(|operation| sequential(&operation.call));
    let mut leaders: BTreeMap<Path, BTreeMap<Revision, (&String, OperationId)>> =
        elections.map(|path| (path, BTreeMap::new())).collect();
    let mut findings = vec![];
    for (id, operation) in history.named() {
        let (Call::Children { path }, Some((_, Answer::Listing(read)))) = (&operation.call, operation.answer()) else {
            continue;
        };
        let (Some(leaders), Some(lowest)) = (leaders.get_mut(path), read.value.names.first()) else { continue };
        let (known, first) = *leaders.entry(read.revision).or_insert((lowest, id));
        if known != lowest {
            let what = format!("at revision {} both {known} and {lowest} lead {path}", read.revision);
            findings.push(Finding { what, operations: vec![first, id] });
        }
    }
    for (path, leaders) in leaders {
        for ((revision, (before, first)), (later, (after, second))) in leaders.iter().zip(leaders.iter().skip(1)) {
            if after < before {
                let what = format!("{before} leads {path} at revision {revision}, and {after} at {later}");
                findings.push(Finding { what, operations: vec![*first, *second] });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use kv::coordination::tree::CreateMode;

    use super::super::sketch::*;

    #[test]
    fn one_leads_at_a_time() {
        let mut sketch = Sketch::default();
        sketch.ask(1, create("/e/n", "1", CreateMode::EphemeralSequential));
        sketch.did(1, children("/e"), listing(&["n1", "n2"], 5));
        sketch.did(2, children("/e"), listing(&["n2"], 7));
        sketch.did(3, children("/e"), listing(&["n1"], 4));
        sketch.did(3, children("/e"), listing(&[], 3));
        assert!(sketch.findings("election").is_empty());
        sketch.did(3, children("/e"), listing(&["n2"], 5));
        assert_eq!(sketch.findings("election"), ["at revision 5 both n1 and n2 lead /e"]);
        sketch.did(3, children("/e"), listing(&["n1"], 9));
        assert_eq!(sketch.findings("election")[1], "n2 leads /e at revision 7, and n1 at 9");
    }
}
