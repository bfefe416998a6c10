//! No acknowledged write is lost: every final read has it, or something that may have covered it.
//!
//! *May have covered* is the read's own doing: a write that covered the lost one counts only if it is read itself, or
//! covered by what is read, or a tombstone. A covering write that vanished as well is no excuse.

use super::Finding;
use super::timeline::Timeline;

/// Every acknowledged put against every final read.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in timeline.sibling_keys() {
        let unread = timeline.final_reads(key).next().is_none();
        for (write, put) in timeline.writes(key).filter(|(_, o)| o.is_put() && o.acknowledged().is_some()) {
            let lacking = timeline.final_reads(key).find(|(read, _)| !timeline.accounts_for(read, write));
            if let Some((read, _)) = lacking {
                let what = format!("{write} was acknowledged, but is neither read at the end nor covered");
                findings.push(Finding {
                    about: key.to_string(),
                    what,
                    events: put.places().chain(read.places()).collect(),
                });
            } else if unread {
                let what = format!("{write} was acknowledged, but no read of the key succeeded at the end");
                findings.push(Finding { about: key.to_string(), what, events: put.places().collect() });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use crate::history::Covering::{Answer, Nothing, WhatIsHeld};

    const NAME: &str = "lost writes";

    #[test]
    fn read_or_covered_is_not_lost() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        sketch.put(2, Nothing);
        let seen = sketch.get(&[1, 2]);
        sketch.put(3, Answer(seen));
        sketch.put(4, Nothing);
        let unsure = sketch.begin_put(5, Nothing);
        sketch.unknown(unsure);
        sketch.settle();
        sketch.get(&[3, 4]);
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn gone_without_a_cover_is_lost() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        sketch.put(2, Nothing);
        sketch.put(3, Answer(seen));
        sketch.settle();
        sketch.get(&[3]);
        assert_eq!(sketch.findings(NAME), ["w2 was acknowledged, but is neither read at the end nor covered"]);
    }

    #[test]
    fn one_bad_final_read_is_enough() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        sketch.settle();
        sketch.get(&[1]);
        sketch.get(&[]);
        assert_eq!(sketch.findings(NAME).len(), 1);
    }

    /// The write that covered it must not have vanished with it.
    #[test]
    fn a_cover_that_is_lost_too_is_no_excuse() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        let unsure = sketch.begin_put(2, Answer(seen));
        sketch.unknown(unsure);
        sketch.settle();
        sketch.get(&[]);
        assert_eq!(sketch.findings(NAME).len(), 1);
    }

    #[test]
    fn a_failed_delete_is_no_excuse_and_an_unknown_one_is() {
        for (fails, lost) in [(true, 1), (false, 0)] {
            let mut sketch = Sketch::new();
            sketch.put(1, Nothing);
            let seen = sketch.get(&[1]);
            let delete = sketch.begin_delete(2, Answer(seen));
            if fails {
                sketch.failed(delete)
            } else {
                sketch.unknown(delete)
            }
            sketch.settle();
            sketch.get(&[]);
            assert_eq!(sketch.findings(NAME).len(), lost);
        }
    }

    #[test]
    fn a_blind_write_may_cover_only_what_came_before_its_answer() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        sketch.put(2, WhatIsHeld);
        sketch.put(3, Nothing);
        sketch.settle();
        sketch.get(&[2]);
        assert_eq!(sketch.findings(NAME), ["w3 was acknowledged, but is neither read at the end nor covered"]);
    }

    /// It may have been under way for longer than its client waited.
    #[test]
    fn a_blind_write_of_unknown_outcome_may_cover_what_came_after_its_answer() {
        let mut sketch = Sketch::new();
        let unsure = sketch.begin_put(1, WhatIsHeld);
        sketch.unknown(unsure);
        sketch.put(2, Nothing);
        sketch.settle();
        sketch.get(&[1]);
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn a_key_that_nobody_can_read_is_lost() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        sketch.get(&[1]);
        sketch.settle();
        let get = sketch.begin_get();
        sketch.failed(get);
        assert_eq!(sketch.findings(NAME), ["w1 was acknowledged, but no read of the key succeeded at the end"]);
    }

    #[test]
    fn lww_buckets_are_not_judged_here() {
        let mut sketch = Sketch::new();
        sketch.history.declare_lww("default");
        sketch.put(1, Nothing);
        sketch.settle();
        sketch.get(&[]);
        assert!(sketch.findings(NAME).is_empty());
    }
}
