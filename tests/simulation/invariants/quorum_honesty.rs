//! An acknowledgement is true: when it came, W distinct stores had the write on stable storage, and pw of them were
//! owners.
//!
//! A failure is true too: a write of which the client was told that it surely was not applied is durable nowhere, ever.
//!
//! It counts what the stores' own traces say, not what they answered to the coordinator.

use std::collections::BTreeSet;

use kv::core::id::StoreId;

use super::Finding;
use super::timeline::{Timeline, Trace};

/// Every write that was answered, `lww` buckets included.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    for operation in &timeline.operations {
        let Some(write) = operation.write() else { continue };
        if let (false, Some(trace)) = (operation.possible(), timeline.durable(write).first()) {
            let what = format!("{write} failed, but is durable on {:?}", trace.store);
            let events = operation.places().chain([trace.place]).collect();
            findings.push(Finding { about: operation.key.to_string(), what, events });
        }
        let Some(acknowledged) = operation.acknowledged() else { continue };
        let before: Vec<&Trace> = timeline.durable(write).iter().filter(|trace| trace.place < acknowledged).collect();
        let stores: BTreeSet<StoreId> = before.iter().map(|trace| trace.store).collect();
        let owners: BTreeSet<StoreId> = before.iter().filter(|trace| trace.owner).map(|trace| trace.store).collect();
        let (w, pw) = (operation.quorums.w, operation.quorums.pw);
        let what = if stores.len() < usize::from(w) {
            format!("{write} was acknowledged with w={w}, held durably by {}", stores.len())
        } else if owners.len() < usize::from(pw) {
            format!("{write} was acknowledged with pw={pw}, held durably by {} of the owners", owners.len())
        } else {
            continue;
        };
        let traces = timeline.durable(write).iter().map(|trace| trace.place);
        findings.push(Finding {
            about: operation.key.to_string(),
            what,
            events: operation.places().chain(traces).collect(),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{SLOPPY, STRICT, Sketch};
    use crate::history::Covering::Nothing;
    use crate::history::Quorums;

    const NAME: &str = "quorum honesty";

    /// A put that is durable on `before` when it is acknowledged, and on `after` later; (store, owner).
    fn put(quorums: Quorums, before: &[(u128, bool)], after: &[(u128, bool)]) -> Vec<String> {
        let mut sketch = Sketch::new();
        sketch.quorums = quorums;
        let put = sketch.begin_put(1, Nothing);
        sketch.minted(1, "a:1", 1);
        before.iter().for_each(|&(store, owner)| sketch.durable(store, "a:1", owner));
        sketch.written(put);
        after.iter().for_each(|&(store, owner)| sketch.durable(store, "a:1", owner));
        sketch.findings(NAME)
    }

    #[test]
    fn w_durable_copies_pass() {
        assert!(put(STRICT, &[(1, true), (2, true)], &[]).is_empty());
        assert!(put(SLOPPY, &[(1, true), (4, false)], &[(2, true)]).is_empty());
        assert!(put(Quorums { w: 0, ..SLOPPY }, &[], &[]).is_empty());
    }

    #[test]
    fn an_answer_before_the_sync_is_a_lie() {
        let expected = ["w1 was acknowledged with w=2, held durably by 1"];
        assert_eq!(put(STRICT, &[(1, true)], &[(2, true)]), expected);
    }

    #[test]
    fn one_store_counts_once() {
        let expected = ["w1 was acknowledged with w=2, held durably by 1"];
        assert_eq!(put(SLOPPY, &[(1, true), (1, true)], &[]), expected);
    }

    #[test]
    fn a_fallback_is_no_owner() {
        let expected = ["w1 was acknowledged with pw=2, held durably by 1 of the owners"];
        assert_eq!(put(STRICT, &[(1, true), (4, false)], &[]), expected);
    }

    #[test]
    fn another_write_s_copies_do_not_count() {
        let mut sketch = Sketch::new();
        sketch.minted(1, "a:1", 2);
        sketch.durable(1, "a:1", true);
        sketch.durable(2, "a:1", true);
        sketch.put(1, Nothing);
        assert_eq!(sketch.findings(NAME), ["w1 was acknowledged with w=2, held durably by 0"]);
    }

    #[test]
    fn a_failed_write_must_be_nowhere() {
        let mut sketch = Sketch::new();
        let put = sketch.begin_put(1, Nothing);
        sketch.minted(1, "a:1", 1);
        sketch.failed(put);
        assert!(sketch.findings(NAME).is_empty());
        sketch.durable(2, "a:1", true);
        assert_eq!(sketch.findings(NAME), ["w1 failed, but is durable on s00000002"]);
    }

    #[test]
    fn an_unknown_outcome_promises_nothing() {
        let mut sketch = Sketch::new();
        let put = sketch.begin_put(1, Nothing);
        sketch.unknown(put);
        assert!(sketch.findings(NAME).is_empty());
    }
}
