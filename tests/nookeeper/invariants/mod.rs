//! What must be true of every history, whatever the faults were.
//!
//! | invariant | what it checks |
//! |---|---|
//! | [`linearizability`] | each node alone: all writes, and reads after `sync`, happened at one moment each |
//! | [`revisions`] | writes have revisions of their own, higher than those of all writes that were answered before they began |
//! | [`versions`] | each write that is seen made one version of one node, and versions come from nowhere else |
//! | [`snapshots`] | what is read at a revision is what acknowledged writes had made it at that revision |
//! | [`sessions`] | reads of a session do not go back, and see its own answered writes |
//! | [`catching_up`] | after `sync` a read sees all writes that were acknowledged to anyone before |
//! | [`lifetimes`] | no session ends before its timeout has passed since its last confirmed sign of life was *asked* for |
//! | [`election`] | the lowest of an election's nodes is one at each revision, and no lower one follows |
//! | [`watches`] | who waits at a watch has been told of every change, and has read it |
//! | [`replicas`] | replicas that applied as much of the log hold the same bytes |
//!
//! All of it is judged by what clients were told, so a service is free to be wrong where nobody can notice. Who wants it to be
//! noticed makes the workload read.

mod catching_up;
mod election;
mod lifetimes;
mod linearizability;
mod replicas;
mod revisions;
mod sessions;
#[cfg(test)]
mod sketch;
mod snapshots;
mod versions;
mod watches;

use std::fmt;

use crate::history::{History, OperationId};

type Check = fn(&History) -> Vec<Finding>;

/// Every invariant, by name.
const INVARIANTS: [(&str, Check); 10] = [
    ("revisions", revisions::check),
    ("versions", versions::check),
    ("snapshots", snapshots::check),
    ("sessions", sessions::check),
    ("catching up", catching_up::check),
    ("lifetimes", lifetimes::check),
    ("election", election::check),
    ("watches", watches::check),
    ("replicas", replicas::check),
    ("linearizability", linearizability::check),
];

/// Checks every invariant; no violation is a pass.
pub fn check(history: &History) -> Vec<Violation> {
    let named = |(invariant, check): &(&'static str, Check)| {
        let invariant = *invariant;
        check(history).into_iter().map(move |finding| finding.of(invariant, history)).collect::<Vec<_>>()
    };
    INVARIANTS.iter().flat_map(named).collect()
}

/// What a check found.
#[derive(Debug)]
struct Finding {
    /// What is wrong, in a sentence.
    what: String,
    /// The operations that show it.
    operations: Vec<OperationId>,
}

impl Finding {
    fn of(mut self, invariant: &'static str, history: &History) -> Violation {
        self.operations.sort_unstable();
        self.operations.dedup();
        let operations = self.operations.into_iter().map(|id| history.story(id)).collect();
        Violation { invariant, what: self.what, operations }
    }
}

/// An invariant that a history breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Its name.
    pub invariant: &'static str,
    /// What is wrong, in a sentence.
    pub what: String,
    /// The operations that show it, in order.
    pub operations: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}: {}", self.invariant, self.what)?;
        self.operations.iter().try_for_each(|operation| writeln!(f, "  {operation}"))
    }
}
