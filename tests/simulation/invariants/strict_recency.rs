//! With pr + pw > n, a read that begins after a write was acknowledged sees that write, or what may have covered it,
//! and nothing that the write surely covered.
//!
//! The quorums are of owners and so share one, whether fallbacks helped besides or not. pr is the read's, pw the
//! write's.

use super::Finding;
use super::timeline::Timeline;

/// Every read against every write acknowledged before it.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in timeline.sibling_keys() {
        for (read, values) in timeline.reads(key) {
            for (write, earlier) in timeline.writes(key) {
                let acknowledged = earlier.acknowledged().is_some_and(|acknowledged| acknowledged < read.invoked);
                if !acknowledged || !read.quorums.meets(earlier.quorums.pw) {
                    continue;
                }
                let covered = timeline.causality.surely_covered_by(write);
                let what = if earlier.is_put() && !timeline.accounts_for(read, write) {
                    format!("{} does not see {write}, acknowledged before it", read.id)
                } else if let Some(stale) = values.iter().find(|value| covered.contains(value)) {
                    format!("{} sees {stale}, covered by {write}, acknowledged before it", read.id)
                } else {
                    continue;
                };
                let events = earlier.places().chain(read.places()).collect();
                findings.push(Finding { about: key.to_string(), what, events });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{SLOPPY, STRICT, Sketch};
    use crate::history::Covering::{Answer, Nothing};
    use crate::history::Quorums;

    const NAME: &str = "strict recency";

    #[test]
    fn seen_covered_concurrent_and_unacknowledged_pass() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        sketch.put(2, Answer(seen));
        sketch.get(&[2]);
        let unsure = sketch.begin_put(3, Nothing);
        sketch.unknown(unsure);
        let concurrent = sketch.begin_put(4, Nothing);
        let get = sketch.begin_get();
        sketch.written(concurrent);
        sketch.read(get, &[2]);
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn an_acknowledged_write_must_be_seen() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        sketch.client = 2;
        sketch.get(&[]);
        assert_eq!(sketch.findings(NAME), ["#1 does not see w1, acknowledged before it"]);
    }

    #[test]
    fn an_acknowledged_delete_must_be_seen() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        sketch.delete(2, Answer(seen));
        sketch.get(&[1]);
        assert_eq!(sketch.findings(NAME), ["#3 sees w1, covered by w2, acknowledged before it"]);
    }

    /// pw and pr decide, not w and r: hints and fallbacks' answers prove nothing.
    #[test]
    fn only_overlapping_quorums_of_owners_promise() {
        for (write, read, promised) in [
            (SLOPPY, STRICT, false),
            (STRICT, SLOPPY, false),
            (STRICT, STRICT, true),
            (Quorums { pw: 3, ..SLOPPY }, Quorums { pr: 1, ..SLOPPY }, true),
            (Quorums { pw: 1, ..SLOPPY }, STRICT, false),
        ] {
            let mut sketch = Sketch::new();
            sketch.quorums = write;
            sketch.put(1, Nothing);
            sketch.quorums = read;
            sketch.get(&[]);
            assert_eq!(!sketch.findings(NAME).is_empty(), promised, "{write} then {read}");
        }
    }
}
