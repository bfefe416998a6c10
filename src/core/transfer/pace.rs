//! How fast.

use std::time::Duration;

/// A bucket of bytes that fills at a rate. What a page weighs is known only when it is there, so it may be overdrawn by what was
/// under way, and then nothing begins until it is above zero again: over time the rate holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Pace {
    bytes_per_s_max: u64,
    /// Bytes that may be asked for now; debt if negative.
    level: i64,
    /// When the level was last right. The caller's clock, from a beginning of its own.
    at: Duration,
}

/// The bucket holds what comes in so long: after a pause no more than that comes at once.
const BURST: Duration = Duration::from_millis(100);

impl Pace {
    /// Full at `now`.
    pub fn new(bytes_per_s_max: u64, now: Duration) -> Pace {
        let mut pace = Pace { bytes_per_s_max, level: 0, at: now };
        pace.level = pace.burst();
        pace
    }

    fn burst(&self) -> i64 {
        self.bytes_in(BURST).max(1)
    }

    fn bytes_in(&self, time: Duration) -> i64 {
        (time.as_micros().saturating_mul(self.bytes_per_s_max.into()) / 1_000_000).try_into().unwrap_or(i64::MAX)
    }

    /// How long nothing may begin; zero if it may.
    pub fn wait(&mut self, now: Duration) -> Duration {
        let came = self.bytes_in(now.saturating_sub(self.at));
        // A rate so low that not one byte came: count on from the same moment.
        if came > 0 {
            self.level = self.level.saturating_add(came).min(self.burst());
            self.at = now;
        }
        if self.level > 0 {
            return Duration::ZERO;
        }
        let missing = self.level.unsigned_abs() + 1;
        Duration::from_micros((missing as u128 * 1_000_000).div_ceil(self.bytes_per_s_max.max(1).into()) as u64)
    }

    /// So many bytes were moved.
    pub fn spend(&mut self, bytes: u64) {
        self.level = self.level.saturating_sub_unsigned(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn over_time_the_rate_holds_and_is_used(
            rate in 1_000..100_000_000u64, pages in proptest::collection::vec(1..2_000_000u64, 1..100),
        ) {
            let mut now = Duration::from_secs(7);
            let begun = now;
            let mut pace = Pace::new(rate, now);
            let mut total = 0;
            for page in &pages {
                now += pace.wait(now);
                prop_assert_eq!(pace.wait(now), Duration::ZERO, "after the wait it may begin");
                pace.spend(*page);
                total += page;
            }
            let seconds = (now - begun).as_secs_f64();
            let last = *pages.last().unwrap_or(&0) as f64;
            // All but the last page, which was paid for by nobody yet, in the time at the rate, give or take a burst.
            let (least, most) = ((total as f64 - last) / rate as f64 - 0.11, total as f64 / rate as f64 + 0.01);
            prop_assert!(least <= seconds && seconds <= most, "{least} <= {seconds} <= {most}");
        }
    }

    #[test]
    fn a_pause_saves_up_one_burst() {
        let mut pace = Pace::new(1_000_000, Duration::ZERO);
        let later = Duration::from_secs(3600);
        assert_eq!(pace.wait(later), Duration::ZERO);
        pace.spend(100_000);
        assert!(pace.wait(later) > Duration::ZERO);
    }
}
