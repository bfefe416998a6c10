//! At the end all owners of a key hold the same object, contexts included, and no other store holds anything of it: no
//! hint is left, no copy forgotten.

use std::collections::{BTreeMap, BTreeSet};

use kv::core::key::Key;

use super::Finding;
use super::timeline::{Place, Timeline};
use crate::history::What;

/// What every store holds at the end, `lww` buckets included.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut owned: BTreeMap<&Key, Vec<(Option<&str>, Place)>> = BTreeMap::new();
    let mut findings = Vec::new();
    for (place, event) in timeline.history.events().iter().enumerate() {
        match &event.what {
            What::Holds { key, owner: true, object, .. } => {
                owned.entry(key).or_default().push((object.as_deref(), place));
            }
            What::Holds { store, key, owner: false, object: Some(_) } => {
                let what = format!("{store:?} does not own the key and still holds it");
                findings.push(Finding { about: key.to_string(), what, events: vec![place] });
            }
            _ => {}
        }
    }
    for (key, objects) in &owned {
        let different: BTreeSet<Option<&str>> = objects.iter().map(|(object, _)| *object).collect();
        if different.len() > 1 {
            let what = format!("{} owners hold {} different objects", objects.len(), different.len());
            let events = objects.iter().map(|(_, place)| *place).collect();
            findings.push(Finding { about: key.to_string(), what, events });
        }
    }
    // A key that nobody looked at has not converged, it has been forgotten by the simulation.
    let written: BTreeSet<&Key> = timeline.operations.iter().filter(|o| o.write().is_some()).map(|o| o.key).collect();
    for key in written.into_iter().filter(|key| !owned.contains_key(*key)) {
        let what = "nobody looked what its owners hold at the end".to_string();
        findings.push(Finding { about: key.to_string(), what, events: Vec::new() });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use crate::history::Covering::Nothing;

    const NAME: &str = "convergence";

    fn held(objects: &[(bool, Option<&str>)]) -> Vec<String> {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        sketch.settle();
        for (store, (owner, object)) in objects.iter().enumerate() {
            sketch.holds(store as u128 + 1, *owner, *object);
        }
        sketch.findings(NAME)
    }

    #[test]
    fn owners_that_agree_pass() {
        assert!(held(&[(true, Some("x")), (true, Some("x")), (true, Some("x")), (false, None)]).is_empty());
        assert!(held(&[(true, None), (true, None)]).is_empty());
    }

    #[test]
    fn owners_must_hold_the_same() {
        let expected = ["3 owners hold 2 different objects"];
        assert_eq!(held(&[(true, Some("x")), (true, Some("y")), (true, Some("x"))]), expected);
        assert_eq!(held(&[(true, Some("x")), (true, None), (true, Some("x"))]), expected);
    }

    #[test]
    fn nothing_may_be_left_elsewhere() {
        let expected = ["s00000002 does not own the key and still holds it"];
        assert_eq!(held(&[(true, Some("x")), (false, Some("x"))]), expected);
    }

    #[test]
    fn an_unwatched_key_is_no_pass() {
        assert_eq!(held(&[]), ["nobody looked what its owners hold at the end"]);
    }
}
