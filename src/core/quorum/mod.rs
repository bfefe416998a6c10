//! Counting who holds it.
//!
//! A request's options and its bucket give its [`size`]: n, r or w, pr or pw, sloppy or not. What can never be met is refused
//! there. Then one small machine per request: [`write::WriteMachine`], [`read::ReadMachine`]. A machine is told what happened
//! (`on_stored`, `on_failed`, `on_deadline` …) and answers with actions; it never acts and never looks at a clock, so that a
//! whole quorum can be read as a trace (`tests/scripts/quorum`). Both count with one [`tally::Tally`].
//!
//! A ring may change while an operation is in flight. Every message carries the age of its partition, and whoever gets one of another
//! age than its own decides by [`age`] whether it may be served.
//!
//! Every answer says whether its replica held a *lease* when it gave it: whether its node was then surely a member, with a
//! session that the coordination service had not ended. Only such a replica surely knows who owns the key. An owner that
//! answers without a lease holds the data and counts in r or w like any other, but in no pr or pw.

pub mod age;
pub mod read;
pub mod size;
pub mod tally;
pub mod write;

use super::id::StoreId;

/// Why an operation cannot reach its quorum; the coordinator names the nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shortfall {
    /// r or w.
    pub needed: u8,
    /// Replicas that answered.
    pub got: u8,
    /// pr or pw.
    pub primaries_needed: u8,
    /// Owners that answered with a lease.
    pub primaries_got: u8,
    /// Owners that have not answered.
    pub missing: Vec<StoreId>,
    /// Owners that answered without a lease, where pr or pw asked for owners.
    pub unleased: Vec<StoreId>,
    /// Whether a replica may hold the write all the same.
    pub applied: bool,
    /// Time ran out, rather than replicas.
    pub timed_out: bool,
}
