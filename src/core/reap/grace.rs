//! How long a tombstone is kept at least, and how old a message with a version may become.

use std::time::Duration;

use crate::mutant;

/// No message need be older than this, however long the grace is.
const VERSION_AGE_MAX: Duration = Duration::from_secs(600);

/// How long every owner holds a tombstone before it may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grace(pub Duration);

impl Grace {
    /// Since when a version must have counted its grace at the owner with this place, to be looked at when it is `now_ms`.
    pub fn since_ms(self, place: usize, now_ms: u64) -> u64 {
        if mutant!(ReapBeforeGrace) {
            return now_ms + self.0.as_millis() as u64;
        }
        now_ms.saturating_sub((self.0 + self.turn(place)).as_millis() as u64)
    }

    /// A message that carries a version is applied at most so long after the version was read from a store: a tenth of the grace, and no
    /// more than ten minutes.
    pub fn version_age_max(self) -> Duration {
        (self.0 / 10).min(VERSION_AGE_MAX)
    }

    /// How much later than the first owner the one at this place begins: what another one has done already need not be done.
    fn turn(self, place: usize) -> Duration {
        self.0 / 4 * place as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_grow_a_tenth_as_old() {
        let age = |secs| Grace(Duration::from_secs(secs)).version_age_max().as_secs();
        assert_eq!([age(10), age(600), age(86_400)], [1, 60, 600]);
    }

    #[test]
    fn owners_begin_one_after_the_other() {
        let grace = Grace(Duration::from_secs(8));
        assert_eq!([0, 1, 2].map(|place| grace.since_ms(place, 100_000)), [92_000, 90_000, 88_000]);
    }
}
