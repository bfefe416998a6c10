//! Changing who owns what, under load.
//!
//! A ring change is a list of [`Action`]s that an operator stages, looks at as a [`Plan`] and commits, or that the cluster commits by
//! itself. From then on it is a goal: for each partition its owners as they should be. Whoever drives compares that with the ring and
//! takes every step that is due at once, as a new ring ([`advance`]), again and again, until ring and goal are the same:
//!
//! 1. A partition at rest that differs from its goal becomes *pending*, so many at a time that no arriving store has more than a
//!    window of them.
//! 2. It is *switched* once all live members have acknowledged that it is pending, and each arriving store has reported that it
//!    holds everything.
//! 3. It is *at rest* again once all live members have acknowledged that it is switched. The stores that departed drain it.
//! 4. They report that they hold nothing of it any more, and are no longer named.
//!
//! [`advance`] alone decides this. It is given the ring and [`Facts`], which only ever grow for one step of one partition, so it does
//! no harm if they are old, or if two nodes decide at once: the ring is written under the condition that it is still the same.
//! What a partition waits for is said by [`why`].
//!
//! *Turning back* is the same with the owners before the change as the goal. A partition that is pending to anything but its goal goes
//! straight back to rest, and those who were arriving drain it; one that is switched finishes first and then moves again. So nothing
//! needs to be undone.
//!
//! Owners that stay keep their places. A store whose node came back with another one has that as its *heir*: wherever the goal says
//! the old one, the heir is meant ([`Target`]). That may happen while the partition is pending to something else: then it is pending to
//! the new goal from the next ring on, and who arrives in both begins its proof again.

mod action;
mod advance;
mod facts;
mod guard;
mod members;
mod plan;
mod refusal;
mod target;
#[cfg(test)]
mod tests;
mod why;

use serde::{Deserialize, Serialize};

pub use action::{Action, stage};
pub use advance::{Advance, Step, WINDOW_DEFAULT, advance};
pub use facts::{Facts, Marks, arrivals};
pub use guard::{Hold, Suspect, may_remove};
pub use members::Party;
pub use plan::{NodePlan, Plan, Situation, plan};
pub use refusal::Refusal;
pub use target::{Moves, Target};
pub use why::{Waits, why};

/// What a store is to the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It owns partitions, in proportion to its weight.
    Owner,
    /// It owns partitions, but its node came back with another store. It keeps its places until that one has them.
    Replaced,
    /// It owns nothing: a fallback for the others.
    Guest,
    /// It hands over what it owns, drains, and goes out of the ring then.
    Leaving,
    /// It is taken to be gone. Others get what it owns, nobody waits for it to drain, and it goes out of the ring then.
    Removed,
}

impl Standing {
    /// Whether partitions may be placed on it.
    pub fn may_own(self) -> bool {
        self == Standing::Owner
    }
}

/// Which way a change goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To its goal.
    #[default]
    Forward,
    /// To what was before.
    TurningBack,
}

/// Who committed a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An operator.
    Operator,
    /// The cluster by itself.
    Automatic,
}
