//! No value disappears unless something covered it, acknowledged or not.
//!
//! A value that nobody acknowledged may vanish with the disk that held it, or before it was synced. But once it was
//! durable on a store whose disk was neither wiped nor rolled back, only a write or delete that covered it can make it
//! go. What such a loss mostly shows is a context that claims more than its writer knew: a dot minted twice, an actor
//! continued by someone who has forgotten.

use super::Finding;
use super::timeline::{Timeline, Trace};

/// Every put that was not acknowledged, but durable where nothing was lost, against every final read.
pub fn check(timeline: &Timeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    let end = timeline.history.events().len();
    let kept = |trace: &&Trace| {
        !timeline.faults(trace.place, end).any(|(store, fault)| store == trace.store && fault.loses_durable())
    };
    for key in timeline.sibling_keys() {
        for (write, put) in
            timeline.writes(key).filter(|(_, o)| o.is_put() && o.possible() && o.acknowledged().is_none())
        {
            let Some(durable) = timeline.durable(write).iter().find(kept) else { continue };
            if let Some((read, _)) = timeline.final_reads(key).find(|(read, _)| !timeline.accounts_for(read, write)) {
                let what = format!("{write} was durable on {:?}, but is gone and nothing covered it", durable.store);
                let events = put.places().chain([durable.place]).chain(read.places()).collect();
                findings.push(Finding { about: key.to_string(), what, events });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use crate::history::Covering::{Answer, Nothing};
    use crate::history::Fault;

    const NAME: &str = "false supersession";

    /// An unacknowledged put that is durable on store 1, another write, and a read that has only that one.
    fn replaced(with_context: bool, fault: Option<(u128, Fault)>) -> Vec<String> {
        let mut sketch = Sketch::new();
        let put = sketch.begin_put(1, Nothing);
        sketch.minted(1, "a:1", 1);
        sketch.durable(1, "a:1");
        sketch.unknown(put);
        let seen = sketch.get(&[1]);
        sketch.put(2, if with_context { Answer(seen) } else { Nothing });
        if let Some((store, fault)) = fault {
            sketch.fault(store, fault);
        }
        sketch.settle();
        sketch.get(&[2]);
        sketch.findings(NAME)
    }

    #[test]
    fn covered_values_may_go() {
        assert!(replaced(true, None).is_empty());
    }

    #[test]
    fn what_was_durable_must_not_go() {
        let expected = ["w1 was durable on s00000001, but is gone and nothing covered it"];
        assert_eq!(replaced(false, None), expected);
        assert_eq!(replaced(false, Some((1, Fault::PowerLoss))), expected);
        assert_eq!(replaced(false, Some((2, Fault::Wipe))), expected);
    }

    #[test]
    fn what_the_only_disk_lost_may_go() {
        assert!(replaced(false, Some((1, Fault::Wipe))).is_empty());
        assert!(replaced(false, Some((1, Fault::Rollback))).is_empty());
    }

    #[test]
    fn what_was_never_durable_may_go() {
        let mut sketch = Sketch::new();
        let put = sketch.begin_put(1, Nothing);
        sketch.minted(1, "a:1", 1);
        sketch.unknown(put);
        sketch.settle();
        sketch.get(&[]);
        assert!(sketch.findings(NAME).is_empty());
    }
}
