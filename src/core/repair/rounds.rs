//! Round and round, evenly.

use std::time::Duration;

/// Goes round a number of things once in each interval, at an even pace.
#[derive(Clone, Debug)]
pub struct Rounds {
    interval: Duration,
    /// Where the first round begins, as a part of a round in 2^32.
    offset: u32,
    count: u64,
    /// Things that were due since the beginning.
    passed: u128,
}

impl Rounds {
    /// Once in `interval`, beginning anywhere: `offset` is drawn at random, or who is restarted often would never come to the end.
    pub fn new(interval: Duration, offset: u32) -> Rounds {
        Rounds { interval, offset, count: 0, passed: 0 }
    }

    /// Which of `count` things have become due since this was last asked, one round of them at most. After a change of their number
    /// the round goes on from about the same place.
    pub fn due(&mut self, now: Duration, count: u64) -> Vec<u64> {
        let begun = (u128::from(count) * u128::from(self.offset)) >> 32;
        let passed = begun + now.as_micros() * u128::from(count) / self.interval.as_micros().max(1);
        if self.count != count {
            (self.count, self.passed) = (count, passed);
        }
        let first = self.passed.max(passed.saturating_sub(u128::from(count)));
        self.passed = passed;
        (first..passed).map(|i| (i % u128::from(count.max(1))) as u64).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_comes_once_in_a_round(count in 1..300u64, offset: u32, steps in 1..500u32) {
            let interval = Duration::from_secs(1000);
            let (mut rounds, mut seen) = (Rounds::new(interval, offset), vec![]);
            prop_assert!(rounds.due(Duration::ZERO, count).is_empty());
            for step in 1..=steps {
                seen.extend(rounds.due(interval * step / steps, count));
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn who_asks_seldom_gets_one_round_and_changes_of_the_number_get_nothing(count in 1..300u64, other in 0..300u64) {
            let mut rounds = Rounds::new(Duration::from_secs(10), 0);
            rounds.due(Duration::ZERO, count);
            prop_assert_eq!(rounds.due(Duration::from_secs(1000), count).len() as u64, count);
            if other != count {
                prop_assert!(rounds.due(Duration::from_secs(1001), other).is_empty());
            }
        }
    }
}
