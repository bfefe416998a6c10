//! No covered value comes back: what an acknowledged write or delete surely covered is in no final read.
//!
//! Once W replicas hold the covering write, hints and exchange bring it to every owner, and wherever it is the covered
//! value must yield. A final read that still has the value met an owner that forgot.

use super::Finding;
use super::timeline::Timeline;

/// Every acknowledged write's context against every final read.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in timeline.sibling_keys() {
        for (cover, covering) in timeline.writes(key).filter(|(_, o)| o.acknowledged().is_some()) {
            let covered = timeline.causality.surely_covered_by(cover);
            for (read, values) in timeline.final_reads(key) {
                for value in values.iter().filter(|value| covered.contains(value)) {
                    let what = format!("{value} is read at the end, though {cover} covered it and was acknowledged");
                    let origin = timeline.write(*value).into_iter().flat_map(|o| o.places());
                    let events = covering.places().chain(read.places()).chain(origin).collect();
                    findings.push(Finding { about: key.to_string(), what, events });
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use crate::history::Covering::{Answer, Nothing, WhatIsHeld};

    const NAME: &str = "resurrection";

    #[test]
    fn covered_values_stay_away() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        sketch.put(2, Nothing);
        sketch.put(3, Answer(seen));
        sketch.settle();
        sketch.get(&[2, 3]);
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn a_deleted_value_must_not_come_back() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        sketch.delete(2, Answer(seen));
        sketch.settle();
        sketch.get(&[1]);
        assert_eq!(sketch.findings(NAME), ["w1 is read at the end, though w2 covered it and was acknowledged"]);
    }

    /// w3 read w2, which had covered w1: the context of w3 covers both, though its writer never saw w1.
    #[test]
    fn covering_is_transitive() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        let unsure = sketch.begin_put(2, Answer(seen));
        sketch.unknown(unsure);
        let seen = sketch.get(&[2]);
        sketch.put(3, Answer(seen));
        sketch.settle();
        sketch.get(&[1, 3]);
        assert_eq!(sketch.findings(NAME), ["w1 is read at the end, though w3 covered it and was acknowledged"]);
    }

    #[test]
    fn who_follows_its_own_write_covers_it() {
        let mut sketch = Sketch::new();
        let first = sketch.put(1, Nothing);
        sketch.put(2, Answer(first));
        sketch.settle();
        sketch.get(&[1, 2]);
        assert_eq!(sketch.findings(NAME).len(), 1);
    }

    #[test]
    fn what_was_not_surely_covered_may_stay() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        sketch.put(2, WhatIsHeld);
        let seen = sketch.get(&[1, 2]);
        let unsure = sketch.begin_delete(3, Answer(seen));
        sketch.unknown(unsure);
        sketch.settle();
        sketch.get(&[1, 2]);
        assert!(sketch.findings(NAME).is_empty());
    }
}
