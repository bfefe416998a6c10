//! A session does not go back: what it has read or written, a later read of its own has too, or what may have covered
//! it, and nothing that it surely covered, as long as the quorums make the later read meet a holder.
//!
//! That depends on how many owners hold what was seen. A write that was acknowledged is on pw of them. One that was
//! read and not acknowledged may be on a single owner, the one that answered; the next majority may miss it, which is
//! not wrong: only a read that hears all owners must find it, and only if none lost unsynced bytes in between. If
//! fallbacks may have answered, not even that is sure. So the check is `holders + pr > n`, with pw, one or no holder.
//!
//! It adds to strict recency what is seen before it is acknowledged.

use super::Finding;
use super::timeline::{Operation, Timeline};
use crate::history::WriteId;

/// Every read against all that its client had seen of the key before.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in timeline.sibling_keys() {
        for (later, values) in timeline.reads(key) {
            let session = timeline.of(key).filter(|o| o.client == later.client);
            let earlier = session.filter(|o| o.answered.is_some_and(|(answered, _)| answered < later.invoked));
            for (earlier, seen) in earlier.flat_map(|o| seen(o).into_iter().map(move |write| (o, write))) {
                if !later.quorums.meets(holders(timeline, earlier, seen, later)) {
                    continue;
                }
                let covered = timeline.causality.surely_covered_by(seen);
                let client = later.client.0;
                let what = if !timeline.accounts_for(later, seen) {
                    format!("client {client} knew {seen} by {} and lost sight of it in {}", earlier.id, later.id)
                } else if let Some(stale) = values.iter().find(|value| covered.contains(value)) {
                    format!(
                        "client {client} knew by {} that {stale} was covered and saw it in {}",
                        earlier.id, later.id
                    )
                } else {
                    continue;
                };
                findings.push(Finding {
                    about: key.to_string(),
                    what,
                    events: earlier.places().chain(later.places()).collect(),
                });
            }
        }
    }
    findings
}

/// The values that an answer showed, or the put that it acknowledged.
fn seen(operation: &Operation) -> Vec<WriteId> {
    match operation.read() {
        Some((_, values)) => values.to_vec(),
        None => {
            operation.write().filter(|_| operation.is_put() && operation.acknowledged().is_some()).into_iter().collect()
        }
    }
}

/// How many owners surely hold `write`, shown by `earlier`, while `later` reads.
fn holders(timeline: &Timeline, earlier: &Operation, write: WriteId, later: &Operation) -> u8 {
    let Some(origin) = timeline.write(write) else { return 0 };
    let acknowledged = origin.acknowledged().is_some_and(|acknowledged| acknowledged < later.invoked);
    let of_write = if acknowledged { origin.quorums.pw } else { 0 };
    let end = later.answered.map_or(timeline.history.events().len(), |(answered, _)| answered);
    let by_owner = earlier.read().is_some() && !earlier.quorums.sloppy;
    let of_read = u8::from(by_owner && timeline.faults(earlier.invoked, end).next().is_none());
    of_write.max(of_read)
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{SLOPPY, STRICT, Sketch};
    use crate::history::Covering::{Answer, Nothing};
    use crate::history::{Fault, Quorums};

    const NAME: &str = "context monotonicity";
    const ALL: Quorums = Quorums { r: 3, pr: 3, ..STRICT };

    #[test]
    fn a_session_that_goes_on_passes() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        sketch.put(2, Answer(seen));
        sketch.get(&[2]);
        sketch.get(&[2]);
        assert!(sketch.findings(NAME).is_empty());
    }

    #[test]
    fn one_s_own_write_must_be_seen() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        sketch.get(&[]);
        assert_eq!(sketch.findings(NAME), ["client 1 knew w1 by #0 and lost sight of it in #1"]);
    }

    /// A put that is still under way is read at `first`, and not any more at `then`; meanwhile there may be a fault.
    fn vanishes(first: Quorums, then: Quorums, fault: Option<Fault>, same_client: bool) -> bool {
        let mut sketch = Sketch::new();
        sketch.client = 9;
        sketch.begin_put(1, Nothing);
        sketch.client = 1;
        sketch.quorums = first;
        sketch.get(&[1]);
        if let Some(fault) = fault {
            sketch.fault(1, fault);
        }
        sketch.client = if same_client { 1 } else { 2 };
        sketch.quorums = then;
        sketch.get(&[]);
        !sketch.findings(NAME).is_empty()
    }

    #[test]
    fn what_one_owner_showed_all_owners_must_show() {
        assert!(vanishes(STRICT, ALL, None, true));
        assert!(!vanishes(STRICT, STRICT, None, true), "the majority may miss the only owner");
        assert!(!vanishes(SLOPPY, ALL, None, true), "a fallback may have shown it");
        for fault in [Fault::Crash, Fault::PowerLoss, Fault::DiskFailure, Fault::Wipe, Fault::Rollback] {
            assert!(!vanishes(STRICT, ALL, Some(fault), true), "it may not have been synced");
        }
        assert!(!vanishes(STRICT, ALL, None, false), "another session");
    }

    #[test]
    fn what_was_covered_must_not_be_seen_again() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        let seen = sketch.get(&[1]);
        sketch.begin_put(2, Answer(seen));
        sketch.quorums = ALL;
        sketch.get(&[2]);
        sketch.get(&[2, 1]);
        assert_eq!(sketch.findings(NAME), ["client 1 knew by #3 that w1 was covered and saw it in #4"]);
    }
}
