//! A dot of a key names one write, a write has one dot, and a dot that is stored was minted.
//!
//! Two writes of one dot: a store went on with an actor whose last events it had forgotten. Two dots of one write: it
//! was sent again as a new write. Either may stay unseen for long, so the mint is checked and not its consequences.

use std::collections::{BTreeMap, BTreeSet};

use kv::core::key::Key;

use super::Finding;
use super::timeline::{Place, Timeline};
use crate::history::{What, WriteId};

/// Every dot that was minted or became durable, `lww` buckets included.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut by_dot: BTreeMap<(&Key, &str), (WriteId, Place)> = BTreeMap::new();
    let mut by_write: BTreeMap<WriteId, (&str, Place)> = BTreeMap::new();
    let mut unminted: BTreeSet<(&Key, &str)> = BTreeSet::new();
    let mut findings = Vec::new();
    for (place, event) in timeline.history.events().iter().enumerate() {
        match &event.what {
            What::Minted { key, dot, write, .. } => {
                let (first_write, first_place) = *by_dot.entry((key, dot)).or_insert((*write, place));
                if first_write != *write {
                    let what = format!("{dot} was minted for {first_write} and again for {write}");
                    findings.push(Finding { about: key.to_string(), what, events: vec![first_place, place] });
                }
                let (first_dot, first_place) = *by_write.entry(*write).or_insert((dot, place));
                if first_dot != dot {
                    let what = format!("{write} was stored as two writes, {first_dot} and {dot}");
                    findings.push(Finding { about: key.to_string(), what, events: vec![first_place, place] });
                }
            }
            What::Durable { key, dot, .. } if !by_dot.contains_key(&(key, dot)) && unminted.insert((key, dot)) => {
                let what = format!("{dot} is stored, but nobody minted it");
                findings.push(Finding { about: key.to_string(), what, events: vec![place] });
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use kv::core::key::Key;

    use super::super::sketch::Sketch;

    const NAME: &str = "dot uniqueness";

    #[test]
    fn a_dot_for_each_write() {
        let mut sketch = Sketch::new();
        sketch.minted(1, "a:1", 1);
        sketch.durable(1, "a:1");
        sketch.durable(2, "a:1");
        sketch.minted(2, "b:1", 2);
        sketch.minted(1, "a:2", 3);
        sketch.key = Key::bare("other");
        sketch.minted(1, "a:1", 4);
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn dots_must_not_be_used_twice() {
        let mut sketch = Sketch::new();
        sketch.minted(1, "a:1", 1);
        sketch.minted(1, "a:1", 2);
        assert_eq!(sketch.findings(NAME), ["a:1 was minted for w1 and again for w2"]);
    }

    #[test]
    fn a_put_sent_again_shows() {
        let mut sketch = Sketch::new();
        sketch.minted(1, "a:1", 1);
        sketch.minted(2, "b:1", 1);
        assert_eq!(sketch.findings(NAME), ["w1 was stored as two writes, a:1 and b:1"]);
    }

    #[test]
    fn a_dot_needs_a_mint() {
        let mut sketch = Sketch::new();
        sketch.durable(2, "b:1");
        sketch.durable(3, "b:1");
        assert_eq!(sketch.findings(NAME), ["b:1 is stored, but nobody minted it"]);
    }
}
