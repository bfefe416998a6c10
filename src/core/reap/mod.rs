//! When may what was deleted be forgotten?
//!
//! A delete writes a tombstone: it must outlive every copy of what it covers, or the next exchange brings the old value back. So a
//! tombstone may go only when no such copy is left anywhere, on a disk or under way, and none can come to be. The same holds of
//! context entries whose actor has no live sibling. An expired value is a tombstone from its expiry on.
//!
//! # What is asked
//!
//! Let `c` be the [clock](crate::core::version::Clock) of a record that nobody can read a value from. Each owner of the partition has a
//! [queue] of such records, and works through it partition by partition, in a [`Round`]:
//!
//! 1. *Look.* The partition is at rest. Every member of the ring, and whoever went out of it and may return, is asked how it stands to
//!    the partition: it must go by the same ring, hold no hint of it, lack nothing of it (*needs sync*), and, if it owns no place of
//!    it, hold nothing of it at all: no fallback's copy, no rest of a drain, nothing of an arrival that was turned back. Who cannot be
//!    asked blocks the round.
//! 2. *Rest*, until everything that was under way at the first look has arrived or is too old to be applied ([`Grace`]).
//! 3. *Look again.* Everybody must have run without a break since the first look, for as long as that by a clock that stands still when
//!    the store does; must stand as before; and must have taken no hint of the partition in between.
//! 4. *Ask the owners* about keys, a page at a time: each must hold the version `c` since the grace before the first look, by its own
//!    clock, or nothing of the key.
//! 5. *Remove*: each owner drops the record with its mark, if its clock is still `c`; or prunes its context, and drops the mark.
//!
//! # Why nothing comes back
//!
//! Call *stale* an object with a live sibling that the tombstone covers. Let T be the moment from which every owner has held `c` or
//! nothing. An owner that holds `c` never again holds something stale: a merge with `c` takes it away.
//!
//! After T stale objects are therefore read only from stores that are not owners, or hold it as a hint, or from a message that was
//! sent before. From T to the first look lies the grace. At the first look no store holds a hint or a copy without a place, and until
//! the second one none has taken one: in between, nothing stale can be read from any disk. What had been read before may still be
//! under way. But a version is applied no later than a tenth of the grace after it was read, and what was sent before a link
//! broke is not heard longer than a link may be silent; so between the looks each such message was either applied, at an owner, since
//! nobody else took anything, or never will be. A store that stood still (a paused process, a suspended machine) has its messages in its
//! hands when it goes on; that is why the rest is counted by *its* clock. At an owner that held `c` a stale message changed nothing.
//! At one that held nothing it left something, which the owner then names in step 4, and that keeps the tombstone. So when the owners
//! have answered, no stale object is left anywhere, and none can be made: writers mint on what is held.
//!
//! That is a fact about the past. It does not matter how late the removal comes, nor that one owner removes before another does; while
//! only some have removed, the tombstone may be sent to the others again by an exchange or a read's repair. It covers nothing that is
//! there, it is the same tombstone, and it is reaped again. An owner that holds nothing is as good as one that holds `c`, so that a
//! removal which some owners missed is completed by those, in the next round and not after another exchange.
//!
//! # Why nothing is swallowed
//!
//! A late tombstone covers the events that its context names. A write after the removal must not have such a name: it is minted by a new
//! actor, since the mark went with the record ([`crate::core::version::mint`]); and a mark is kept only in the record. A write that is
//! minted while the removal is decided changes the clock, and the removal finds another one. Pruning drops the mark too: else the
//! next dot of a forgotten actor would be its first one again.
//!
//! # What it costs
//!
//! A put writes nothing more. A delete, or a value that expires, is entered in the queue in the same batch. A round asks each member
//! twice, whatever the number of keys, and the owners twice for each page of keys.
//!
//! # What is not covered
//!
//! Who restores a backup that is older than the grace, or starts a store that was declared destroyed, brings back what was deleted
//! since. A wall clock that jumps ahead by the grace takes it away at that owner; all owners must agree.

mod grace;
mod question;
pub mod queue;
mod round;
#[cfg(test)]
mod tests;

pub use grace::Grace;
pub use question::{Answer, Question, Removal, Standing, Stray, Vouched};
pub use round::{Block, Candidate, Round, Step};
