//! The writer's half of applying each write once: the numbers of a session's writes.

use std::collections::BTreeSet;

use super::IN_FLIGHT_MAX;
use crate::coordination::tree::{Limit, Refusal};

/// Numbers the writes of one session and knows which wait for a reply.
#[derive(Debug, Default)]
pub struct Sequences {
    next: u64,
    in_flight: BTreeSet<u64>,
}

/// The numbers that a write carries. It keeps them however often it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbered {
    /// Its own.
    pub sequence: u64,
    /// No write with a smaller number waits any more.
    pub settled_below: u64,
}

impl Sequences {
    /// Numbers a write.
    ///
    /// # Errors
    /// [`Refusal::TooMuch`] while the oldest write without a reply lies [`IN_FLIGHT_MAX`] behind.
    pub fn begin(&mut self) -> Result<Numbered, Refusal> {
        let sequence = self.next;
        let settled_below = self.in_flight.first().copied().unwrap_or(sequence);
        if sequence - settled_below >= IN_FLIGHT_MAX {
            return Err(Refusal::TooMuch { limit: Limit::InFlight, max: IN_FLIGHT_MAX });
        }
        self.next += 1;
        self.in_flight.insert(sequence);
        Ok(Numbered { sequence, settled_below })
    }

    /// A write has its reply, or its sender has given up. Once a later write of the session was applied, one that was given up
    /// cannot be applied any more.
    pub fn settle(&mut self, sequence: u64) {
        self.in_flight.remove(&sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_settled() {
        let mut sequences = Sequences::default();
        let numbers = |sequences: &mut Sequences| sequences.begin().map(|n| (n.sequence, n.settled_below)).unwrap();
        assert_eq!([numbers(&mut sequences), numbers(&mut sequences)], [(0, 0), (1, 0)]);
        sequences.settle(1);
        assert_eq!(numbers(&mut sequences), (2, 0));
        sequences.settle(0);
        assert_eq!(numbers(&mut sequences), (3, 2));
        sequences.settle(2);
        sequences.settle(3);
        assert_eq!(numbers(&mut sequences), (4, 4));
    }

    #[test]
    fn waits_for_the_oldest() {
        let mut sequences = Sequences::default();
        (0..IN_FLIGHT_MAX).for_each(|_| assert!(sequences.begin().is_ok()));
        (1..IN_FLIGHT_MAX).for_each(|sequence| sequences.settle(sequence));
        assert!(sequences.begin().is_err());
        sequences.settle(0);
        assert_eq!(sequences.begin().unwrap(), Numbered { sequence: IN_FLIGHT_MAX, settled_below: IN_FLIGHT_MAX });
    }
}
