//! What must be true of every history, whatever the faults were.
//!
//! | invariant | promise | what it checks | mutants that it catches first |
//! |---|---|---|---|
//! | [`lost_writes`] | P1 | an acknowledged put is in every final read, or may have been covered | DropDot, SendOnlyNewSibling, DropBeforeDrained |
//! | [`false_supersession`] | P2 | the same for a put that nobody acknowledged, once a store that kept its disk had it durable | |
//! | [`phantoms`] | P2 | a value read was put to that key before, did not fail, and comes once | RetryPut |
//! | [`resurrection`] | P2 | no final read has a value that an acknowledged write surely covered | ReapWithoutAskingAll, ReapBeforeGrace |
//! | [`dot_uniqueness`] | P2 | a dot names one write of a key, a write has one dot, no dot comes from nowhere | ContinueAfterWipe, ContinueForeignMark, ContinueAfterHandoff, RetryPut |
//! | [`strict_recency`] | P6 | with pr + pw > n a read sees every write acknowledged before it began, and nothing that such a write covered | CountWithoutStoring, all that let ring changes go on too early |
//! | [`context_monotonicity`] | P6 | a session does not lose sight of what it has seen, where its quorums forbid it | |
//! | [`convergence`] | P7 | at the end all owners hold the same, and nobody else holds anything | |
//! | [`quorum_honesty`] | P5 | an answer that says W came after W stores had the write durable, pw of them owners; what failed is nowhere | AnswerBeforeDurable, CountWithoutStoring, WriteQuorumInNewSetOnly |
//! | [`newest_survives`] | P1 | in a `lww` bucket one value is left, and no acknowledged write is surely newer | |
//! | [`stale_leases`] | P6 | no store relies on its lease after the coordination service has ended its session | LeaseFromReply |
//! | [`forgetful_stores`] | P1, P6 | a store that was rolled back is recognised, vouches for nothing, and is replaced | |
//! | [`reaped`] | P2 | where the grace is short, no deleted key is left at the end | |
//! | [`ring_shape`] | P4 | at every epoch each partition has distinct owners, enough of them, who keep their places; epochs rise; no step is left out | SurvivorsChangePlace |
//!
//! Two relations carry most of them ([`causality`]): what a context *surely* covered and what it *may* have covered. A
//! check that accuses uses the one that can not be wrong: a value may be missing if anything may have covered it, and
//! must be gone only if something acknowledged surely did. So histories of blind writes and deletes, which may cover
//! much and surely cover nothing, are checked loosely; a workload needs keys that see only reads and writes with a
//! context as well. In `lww` buckets the newest write wins whatever it covered: there [`newest_survives`] stands for
//! the checks of siblings.
//!
//! The work grows with the square of the operations on one key: a thousand take a third of a second in a debug build.
//!
//! The nemesis owes the checker one thing: wipes and rollbacks hit fewer holders of a write than its W.

mod causality;
mod context_monotonicity;
mod convergence;
mod dot_uniqueness;
mod false_supersession;
mod forgetful_stores;
mod lost_writes;
#[cfg(test)]
mod model;
mod newest_survives;
mod phantoms;
mod quorum_honesty;
mod reaped;
mod resurrection;
mod ring_shape;
#[cfg(test)]
mod sketch;
mod stale_leases;
mod strict_recency;
mod timeline;

use std::fmt;

use crate::history::History;
use timeline::Timeline;

type Check = fn(&Timeline) -> Vec<Finding>;

/// Every invariant, by name.
const INVARIANTS: [(&str, Check); 14] = [
    ("lost writes", lost_writes::check),
    ("false supersession", false_supersession::check),
    ("phantoms", phantoms::check),
    ("resurrection", resurrection::check),
    ("dot uniqueness", dot_uniqueness::check),
    ("strict recency", strict_recency::check),
    ("context monotonicity", context_monotonicity::check),
    ("convergence", convergence::check),
    ("quorum honesty", quorum_honesty::check),
    ("newest survives", newest_survives::check),
    ("stale leases", stale_leases::check),
    ("forgetful stores", forgetful_stores::check),
    ("ring shape", ring_shape::check),
    ("reaped", reaped::check),
];

/// Checks every invariant; no violation is a pass.
pub fn check(history: &History) -> Vec<Violation> {
    let timeline = Timeline::new(history);
    let named = |(invariant, check): &(&'static str, Check)| {
        let invariant = *invariant;
        check(&timeline).into_iter().map(move |finding| finding.of(invariant, history)).collect::<Vec<_>>()
    };
    INVARIANTS.iter().flat_map(named).collect()
}

/// What a check found.
struct Finding {
    /// The key, or the store.
    about: String,
    /// What is wrong, in a sentence.
    what: String,
    /// The events that show it, by their place in the history.
    events: Vec<usize>,
}

impl Finding {
    fn of(mut self, invariant: &'static str, history: &History) -> Violation {
        self.events.sort_unstable();
        self.events.dedup();
        let events = self.events.into_iter().map(|place| history.events()[place].to_string()).collect();
        Violation { invariant, about: self.about, what: self.what, events }
    }
}

/// An invariant that a history breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Its name.
    pub invariant: &'static str,
    /// The key that shows it, or the store.
    pub about: String,
    /// What is wrong, in a sentence.
    pub what: String,
    /// The events that show it, in order.
    pub events: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}: {}: {}", self.invariant, self.about, self.what)?;
        self.events.iter().try_for_each(|event| writeln!(f, "  {event}"))
    }
}

#[cfg(test)]
mod tests {
    use super::sketch::Sketch;
    use crate::history::Covering::Nothing;

    /// Broken once, a history names the invariant, the key and what happened.
    #[test]
    fn a_violation_tells_its_story() {
        let mut sketch = Sketch::new();
        sketch.put(1, Nothing);
        sketch.settle();
        sketch.get(&[]);
        let violations = super::check(&sketch.history);
        let lost = violations.iter().find(|v| v.invariant == "lost writes").expect("the write is lost");
        let expected = "lost writes: default/k: w1 was acknowledged, but is neither read at the end nor covered
            1 µs  client 1 asks #0: put w1 beside what is held of default/k, n=3 r=2 w=2 pr=2 pw=2
            2 µs  #0 is answered: written
            4 µs  client 1 asks #1: get of default/k, n=3 r=2 w=2 pr=2 pw=2
            5 µs  #1 is answered: read nothing
";
        let normal = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        assert_eq!(normal(&lost.to_string()), normal(expected));
    }
}
