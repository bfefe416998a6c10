//! Replicas that applied as much of the log hold the same bytes.

use std::collections::BTreeMap;

use super::Finding;
use crate::history::History;

/// Every sight of a replica's state.
pub fn check(history: &History) -> Vec<Finding> {
    let mut states = BTreeMap::new();
    let mut findings = vec![];
    for replica in history.replicas() {
        let first = states.entry(replica.applied).or_insert(replica);
        if first.state != replica.state {
            let what = format!("{} and {} differ after entry {}", first.name, replica.name, replica.applied);
            findings.push(Finding { what, operations: vec![] });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{Sketch, data};
    use crate::history::Replica;

    #[test]
    fn equal_logs_are_equal_bytes() {
        let mut sketch = Sketch::default();
        let mut saw = |name: &str, applied, state| {
            sketch.history.replica(Replica { name: name.into(), applied, state: data(state) });
            sketch.findings("replicas")
        };
        saw("n1", 5, "a");
        saw("n2", 6, "b");
        assert!(saw("n2", 5, "a").is_empty());
        assert_eq!(saw("n3", 6, "a"), ["n2 and n3 differ after entry 6"]);
    }
}
