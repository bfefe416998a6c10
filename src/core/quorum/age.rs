//! May a replica serve this, when asker and replica go by rings of different ages?
//!
//! A request carries the age of its partition (the epoch at which owners or motion of it last changed) as its coordinator knows it. The
//! replica compares it with the age that it knows itself:
//!
//! - *The same*: served, except that a store without a place holds a copy only as a hint, and that one that drains takes no writes.
//! - *The request is older*: its coordinator may count on owners that do not matter any more. In motion an owner refuses what the
//!   promises rest on, writes and strict reads; at rest it serves them, since whoever is an owner both then and now counts in both. A
//!   store without a place refuses whatever is asked of it as an owner. The refusal names the newer age, and the coordinator starts
//!   again by that ring, with the same dot.
//! - *The request is newer*: the replica waits for that ring before it does what might be wrong by it: hold what it knows no place for
//!   (its own ring would have it dropped), or vouch for it in a strict read. What is right by any ring is served at once, so that a
//!   node that cannot hear of rings still serves sloppy requests.

use serde::{Deserialize, Serialize};

use crate::core::id::Epoch;

/// What a store is to a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// An owner, on either side if the partition changes hands.
    Owner,
    /// No owner any more: it delivers and drops what it holds.
    Draining,
    /// Neither: it holds hints at most.
    Stranger,
}

/// On what a read relies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reading {
    /// An owner that counts in pr.
    Strict,
    /// An owner.
    Sloppy,
    /// A fallback in place of an owner.
    StandIn,
}

/// What is asked of a replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// To give a write its dot. Only its own node asks for that.
    Mint,
    /// To hold an object as its owner: a write, a repair, a hint that is delivered.
    Store,
    /// To hold it in place of an owner.
    Hint,
    /// To tell what it holds.
    Fetch(Reading),
}

/// What a store knows of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// The partition's age.
    pub since: Epoch,
    /// Whether it changes hands.
    pub in_motion: bool,
    /// What the store is to it.
    pub role: Role,
}

/// What a replica does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// What is asked.
    Serve,
    /// Refuse it: the partition is of this age.
    Moved(Epoch),
    /// Wait for a newer ring.
    Park,
}

impl Known {
    /// Judges a request of the age `epoch`.
    pub fn judge(&self, epoch: Epoch, asked: Asked) -> Judgement {
        let serves = if epoch > self.since {
            return if self.may_be_ahead(asked) { Judgement::Serve } else { Judgement::Park };
        } else if epoch == self.since {
            self.is_up_to_date(asked)
        } else {
            self.may_be_behind(asked)
        };
        if serves { Judgement::Serve } else { Judgement::Moved(self.since) }
    }

    fn is_up_to_date(&self, asked: Asked) -> bool {
        match self.role {
            Role::Owner => true,
            Role::Stranger => asked != Asked::Store,
            Role::Draining => matches!(asked, Asked::Fetch(_)),
        }
    }

    fn may_be_behind(&self, asked: Asked) -> bool {
        match (self.role, asked) {
            (Role::Owner, Asked::Fetch(Reading::Sloppy | Reading::StandIn)) => true,
            (Role::Owner, _) => !self.in_motion,
            (Role::Stranger, Asked::Hint | Asked::Fetch(Reading::StandIn)) => true,
            (Role::Stranger | Role::Draining, _) => false,
        }
    }

    fn may_be_ahead(&self, asked: Asked) -> bool {
        match asked {
            Asked::Store => self.role == Role::Owner,
            Asked::Hint => self.role != Role::Draining,
            Asked::Fetch(reading) => reading != Reading::Strict,
            Asked::Mint => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Asked::*;
    use super::Judgement::*;
    use super::Reading::*;
    use super::*;

    const ASKED: [Asked; 6] = [Mint, Store, Hint, Fetch(Strict), Fetch(Sloppy), Fetch(StandIn)];

    fn epoch(counter: u64) -> Epoch {
        Epoch { generation: 0, counter }
    }

    /// One line for each age of a request (older, the same, newer); s serves, m refuses as moved, p parks, in the order of [`ASKED`].
    fn judgements(role: Role, in_motion: bool) -> [String; 3] {
        let known = Known { since: epoch(5), in_motion, role };
        [4, 5, 6].map(|age| {
            let letter = |asked| match known.judge(epoch(age), asked) {
                Serve => 's',
                Moved(since) => {
                    assert_eq!(since, known.since);
                    'm'
                }
                Park => 'p',
            };
            ASKED.into_iter().map(letter).collect()
        })
    }

    #[test]
    fn by_role_and_age() {
        assert_eq!(judgements(Role::Owner, false), ["ssssss", "ssssss", "psspss"]);
        assert_eq!(judgements(Role::Owner, true), ["mmmmss", "ssssss", "psspss"]);
        for in_motion in [false, true] {
            assert_eq!(judgements(Role::Stranger, in_motion), ["mmsmms", "smssss", "ppspss"]);
            assert_eq!(judgements(Role::Draining, in_motion), ["mmmmmm", "mmmsss", "ppppss"]);
        }
    }

    #[test]
    fn a_forced_recovery_is_newer_than_all_before_it() {
        let known = Known { since: epoch(5), in_motion: false, role: Role::Stranger };
        assert_eq!(known.judge(Epoch { generation: 1, counter: 0 }, Store), Park);
    }
}
