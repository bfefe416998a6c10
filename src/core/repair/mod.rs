//! Keeping the owners of a partition equal, decided step by step: anti-entropy.
//!
//! Writes reach the owners that answer, hints the one that returns, read repair what is read. What all of them missed (a hint that
//! had no room, a disk that lost bytes, a write that one owner alone held when its coordinator died) only a comparison finds.
//!
//! 1. [`Schedule`] says which pair of owners compares next, and why. Each pair is led by one of both, so that work is not done twice.
//!    A pair is due at once if this store may miss something of the partition, after an unclean start, when the other one has come back,
//!    and when an operator asks; otherwise once in each round.
//! 2. An [`Exchange`] is the comparison, a [`Work`](crate::core::transfer::Work) as those of a changing ring are. It begins with 16 bytes,
//!    the root of the other's Merkle tree, and is at its end there if nothing differs. Else it descends to the leaves that differ, asks
//!    for the versions of the keys in them, and brings each object to the one who lacks it, as an ordinary merge.
//! 3. [`Throttle`] says how fast, and [`QuietHours`] when not. [`Rounds`] says which partition is read again, to find what rotted.
//!
//! *A mark is taken away* when exchanges with all other owners, each begun after the mark was set, are complete: then every version
//! that one of them held durably is held here durably, or covered. One that skipped anything does not count.
//!
//! *In motion.* While a partition changes hands no round looks at it: what arrives compares itself with its sources anyway
//! ([`crate::core::transfer`]), what drains with all owners, and both are in more of a hurry. But a store that is marked exchanges with the
//! other owners that are read from all the same, because whoever arrives waits for a source that is in sync. That is right on either
//! side of the switch: a write that was acknowledged has its quorum among those who are read from, before, during and after the motion.
//! An exchange belongs to one age of the partition; when owners or motion change it is cut off, and so is what it had shown for a mark.
//!
//! *Old news.* An exchange may hold an object in hand while it waits for its turn. A tombstone that covers the object may be
//! reaped meanwhile, and then the object would be news again. So whoever executes an exchange cuts it off when it becomes as old as
//! a tenth of the time for which tombstones are kept at least.
//!
//! What is not here: trees of their own for buckets that have fewer owners than the cluster keeps. Two owners of which one has no place of
//! such a bucket's keys differ in their roots for ever, and compare versions each time to find that nothing is lacking.

mod descent;
mod exchange;
mod quiet;
mod rounds;
mod schedule;
#[cfg(test)]
mod tests;
mod throttle;

pub use exchange::{Exchange, Exchanged};
pub use quiet::QuietHours;
pub use rounds::Rounds;
pub use schedule::{Cause, Due, Ended, Look, Mark, Pair, PairId, Schedule, Standing};
pub use throttle::Throttle;
