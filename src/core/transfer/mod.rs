//! Bringing a partition to where the ring says that it belongs, decided step by step.
//!
//! A ring change gives a partition new owners before they hold anything of it. From then on writes go to old and new owners alike;
//! what was there before must be copied. Two kinds of work do that, and a third store may be the victim of neither's haste:
//!
//! 1. *A store arrives* ([`Transfer`]). [`sources`] says from whom it copies: from the owner that it replaces if that is live and
//!    in sync, else from all others, since any of them may be the only one left to know of a write. It begins when every live node
//!    works with the new ring, so that no write is under way that will end at the old owners alone. Then it asks the source for
//!    its Merkle leaves. That is the *freezing*: whatever the source holds durably at that moment must be held, or covered, here
//!    in the end; what is written later comes by its own quorum. It pulls the bulk in key order, keeping a [`Checkpoint`] of how
//!    far it is, and then proves the result: own leaves against the frozen ones, the versions of all keys in those that differ,
//!    and the objects whose version differs. A leaf that agrees, or whose keys were all compared, is proven; no leaf is left out, so
//!    one pass is enough, however much is written meanwhile.
//! 2. *A store drains* ([`Drain`]). It holds keys of which it has no place: it has left, its arrival was turned back, or it was absent for
//!    long. It compares what it holds with every present owner, sends what an owner lacks, and when all owners of a
//!    key have acknowledged its version as durable, it drops that version and no other. An owner that is lost for good is not waited
//!    for, if there is another: whoever takes its place copies from all who remain.
//!
//! Both are [`Work`]: values that say what they want next ([`Step`]) and are told what came of it. They know neither time nor links.
//! Whoever executes them repeats a step that failed, after a pause; asks of all works together no faster than [`Pace`] allows; and
//! picks whose turn it is by [`turn`]. At most one step of a work is under way, which bounds what it can make this node, and
//! the other one, hold in memory: one page.
//!
//! A record that its holder cannot read stops nothing. It is asked for at the other owners; if nobody can read it, it is counted.

mod checkpoint;
mod copy;
mod drain;
pub(super) mod join;
mod missing;
mod pace;
mod sources;
#[cfg(test)]
pub(super) mod tests;
mod turn;
pub(super) mod work;

pub use checkpoint::{Checkpoint, TransferId};
pub use copy::{Phase, Progress, Transfer};
pub use drain::{Drain, Drained};
pub use pace::Pace;
pub use sources::{Condition, Sources, arrival_place, has_arrived, sources};
pub use turn::{Candidate, turn};
pub use work::{Answer, Ask, Holding, Known, Objects, Step, Versions, Whom, Work};
