//! An acknowledgement is true: when it came, W distinct stores had the write on stable storage, and pw of them were
//! owners. While the partition changed hands that is so on each side: W stores that are owners there or have no place on either, and pw
//! owners there.
//!
//! No client is told by which ring it was served, so an answer is true if it is by one of those by which somebody worked between
//! question and answer. A coordinator that is cut off may serve sloppy requests by a ring that is long past.
//!
//! A failure is true too: a write of which the client was told that it surely was not applied is durable nowhere, ever.
//!
//! It counts what the stores' own traces say, not what they answered to the coordinator.

use std::collections::BTreeSet;

use kv::core::id::StoreId;
use kv::core::key::Key;
use kv::core::ring::{Motion, Ring, Slice};

use super::Finding;
use super::timeline::Timeline;

/// How many stores held a write, on the side of a ring where they were fewest.
struct Held {
    /// Who counts in W: owners of that side, and whoever has no place.
    anybody: usize,
    /// Who counts in pw.
    owners: usize,
}

impl Held {
    fn count(holders: &BTreeSet<StoreId>, ring: &Ring, key: &Key) -> Held {
        let Slice { owners, motion, .. } = ring.slice(ring.partition_of(key));
        let sides: Vec<&[StoreId]> = [&owners[..]].into_iter().chain(motion.as_ref().map(Motion::others)).collect();
        let strangers = holders.iter().filter(|store| sides.iter().all(|side| !side.contains(store))).count();
        let owners = sides.iter().map(|side| side.iter().filter(|store| holders.contains(store)).count()).min();
        let owners = owners.unwrap_or(0);
        Held { anybody: owners + strangers, owners }
    }
}

/// Every write that was answered, `lww` buckets included.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    if timeline.history.is_untraced {
        return findings;
    }
    for operation in &timeline.operations {
        let Some(write) = operation.write() else { continue };
        if let (false, Some(trace)) = (operation.possible(), timeline.durable(write).first()) {
            let what = format!("{write} failed, but is durable on {:?}", trace.store);
            let events = operation.places().chain([trace.place]).collect();
            findings.push(Finding { about: operation.key.to_string(), what, events });
        }
        let Some(acknowledged) = operation.acknowledged() else { continue };
        let before = timeline.durable(write).iter().filter(|trace| trace.place < acknowledged);
        let holders: BTreeSet<StoreId> = before.map(|trace| trace.store).collect();
        let (w, pw) = (usize::from(operation.quorums.w), usize::from(operation.quorums.pw));
        let rings = timeline.rings(operation.invoked, acknowledged);
        let counts: Vec<Held> = rings.into_iter().map(|ring| Held::count(&holders, ring, operation.key)).collect();
        if counts.iter().any(|held| held.anybody >= w && held.owners >= pw) {
            continue;
        }
        let anybody = counts.iter().map(|held| held.anybody).max().unwrap_or(0);
        let owners = counts.iter().filter(|held| held.anybody >= w).map(|held| held.owners).max().unwrap_or(0);
        let what = if anybody < w {
            format!("{write} was acknowledged with w={w}, held durably by {anybody}")
        } else {
            format!("{write} was acknowledged with pw={pw}, held durably by {owners} of the owners")
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
    use kv::core::ring::{Motion, Slice};

    use super::super::sketch::{SLOPPY, STRICT, Sketch};
    use crate::history::Covering::Nothing;
    use crate::history::Quorums;

    const NAME: &str = "quorum honesty";

    /// A put that is durable on `before` when it is acknowledged, and on `after` later. Stores 1 to 3 are owners.
    fn put(quorums: Quorums, before: &[u128], after: &[u128]) -> Vec<String> {
        put_in(Sketch::new(), quorums, before, after)
    }

    fn put_in(mut sketch: Sketch, quorums: Quorums, before: &[u128], after: &[u128]) -> Vec<String> {
        sketch.quorums = quorums;
        let put = sketch.begin_put(1, Nothing);
        sketch.minted(1, "a:1", 1);
        before.iter().for_each(|&store| sketch.durable(store, "a:1"));
        sketch.written(put);
        after.iter().for_each(|&store| sketch.durable(store, "a:1"));
        sketch.findings(NAME)
    }

    #[test]
    fn w_durable_copies_pass() {
        assert!(put(STRICT, &[1, 2], &[]).is_empty());
        assert!(put(SLOPPY, &[1, 4], &[2]).is_empty());
        assert!(put(Quorums { w: 0, ..SLOPPY }, &[], &[]).is_empty());
    }

    #[test]
    fn an_answer_before_the_sync_is_a_lie() {
        let expected = ["w1 was acknowledged with w=2, held durably by 1"];
        assert_eq!(put(STRICT, &[1], &[2]), expected);
    }

    #[test]
    fn one_store_counts_once() {
        let expected = ["w1 was acknowledged with w=2, held durably by 1"];
        assert_eq!(put(SLOPPY, &[1, 1], &[]), expected);
    }

    #[test]
    fn a_fallback_is_no_owner() {
        let expected = ["w1 was acknowledged with pw=2, held durably by 1 of the owners"];
        assert_eq!(put(STRICT, &[1, 4], &[]), expected);
    }

    /// Stores 2 and 3 make room for 4 and 5.
    #[test]
    fn in_motion_each_side_needs_its_own() {
        let motion = Some(Motion::Pending(vec![1, 4, 5]));
        let pending = Slice { motion, ..Slice::at_rest(vec![1, 2, 3]) };
        let told = |quorums, before: &[u128]| {
            let mut sketch = Sketch::new();
            sketch.published(1, 1, pending.clone());
            put_in(sketch, quorums, before, &[])
        };
        for (quorums, held) in [(STRICT, &[1, 2, 5][..]), (STRICT, &[2, 3, 4, 5]), (SLOPPY, &[1, 6]), (SLOPPY, &[6, 7])]
        {
            assert!(told(quorums, held).is_empty(), "{quorums}: {held:?}");
        }
        let too_few = "w1 was acknowledged with w=2, held durably by 1";
        assert_eq!(told(SLOPPY, &[1, 2, 3]), [too_few]);
        assert_eq!(told(SLOPPY, &[1, 4, 5]), [too_few]);
        assert_eq!(told(STRICT, &[1, 2, 6]), ["w1 was acknowledged with pw=2, held durably by 1 of the owners"]);
    }

    /// Whoever is behind goes by the ring that he has.
    #[test]
    fn any_ring_that_somebody_works_by_will_do() {
        let moved = Slice::at_rest(vec![4, 5, 6]);
        let mut sketch = Sketch::new();
        sketch.published(2, 1, moved.clone());
        assert!(put_in(sketch, STRICT, &[1, 2], &[]).is_empty(), "store 1 is behind");
        let mut sketch = Sketch::new();
        sketch.published(1, 1, moved);
        assert_eq!(put_in(sketch, STRICT, &[1, 2], &[]).len(), 1, "nobody is");
    }

    #[test]
    fn another_write_s_copies_do_not_count() {
        let mut sketch = Sketch::new();
        sketch.minted(1, "a:1", 2);
        sketch.durable(1, "a:1");
        sketch.durable(2, "a:1");
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
        sketch.durable(2, "a:1");
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
