//! How fast.

use std::time::Duration;

use crate::core::transfer::Pace;

/// The most that load makes an exchange dearer, as a divisor of the rate: it goes on slowly even then, or a busy cluster would never
/// be repaired.
const SLOWEST: u64 = 10;

/// Bounds keys and bytes a second, and gives way to requests: the busier the node, the dearer each key and byte.
#[derive(Clone, PartialEq, Debug)]
pub struct Throttle {
    bytes: Pace,
    keys: Pace,
}

impl Throttle {
    /// At these rates when the node is idle.
    pub fn new(bytes_per_s_max: u64, keys_per_s_max: u64, now: Duration) -> Throttle {
        Throttle { bytes: Pace::new(bytes_per_s_max, now), keys: Pace::new(keys_per_s_max, now) }
    }

    /// How long nothing may begin; zero if it may.
    pub fn wait(&mut self, now: Duration) -> Duration {
        self.bytes.wait(now).max(self.keys.wait(now))
    }

    /// So many keys were compared and so many bytes moved, while the node was busy by so many percent of what it takes on.
    pub fn spend(&mut self, keys: u64, bytes: u64, busy_percent: u8) {
        let idle = 100 - u64::from(busy_percent.min(100));
        let dearer = |amount: u64| amount.saturating_mul(100) / idle.max(100 / SLOWEST);
        self.bytes.spend(dearer(bytes));
        self.keys.spend(dearer(keys));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(keys: u64, bytes: u64, busy_percent: u8) -> u64 {
        let mut throttle = Throttle::new(1_000_000, 1_000, Duration::ZERO);
        throttle.spend(keys, bytes, busy_percent);
        throttle.wait(Duration::ZERO).as_millis() as u64
    }

    #[test]
    fn keys_and_bytes_are_bounded_alike() {
        assert_eq!(waits(10, 10_000, 0), 0, "a burst");
        assert_eq!(waits(1_100, 0, 0), 1_001);
        assert_eq!(waits(0, 1_100_000, 0), 1_000);
        assert_eq!(waits(1_100, 2_100_000, 0), 2_000, "the one that is scarcer");
    }

    #[test]
    fn load_slows_it_down_and_never_stops_it() {
        assert_eq!(waits(0, 1_100_000, 50), 2_100);
        assert_eq!(waits(0, 1_100_000, 90), 10_900);
        assert_eq!(waits(0, 1_100_000, 100), 10_900);
        assert_eq!(waits(0, 1_100_000, 255), 10_900);
    }
}
