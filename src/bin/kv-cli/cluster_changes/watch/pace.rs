//! How fast a change goes, from what was seen of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kv::core::ring::change::Direction;

/// What is longer ago says nothing of how it goes now.
const WINDOW: Duration = Duration::from_secs(60);
/// Less than this is no pace.
const SEEN_MIN: Duration = Duration::from_secs(3);

/// What was seen of one change that goes one way.
#[derive(Default)]
pub struct Pace {
    of: Option<(u64, Direction)>,
    seen: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// So many steps are done now.
    pub fn saw(&mut self, now: Instant, number: u64, direction: Direction, done: u64) {
        if self.of.replace((number, direction)) != Some((number, direction)) {
            self.seen.clear();
        }
        self.seen.push_back((now, done));
        while self.seen.len() > 2 && self.seen.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.seen.pop_front();
        }
    }

    /// How long so many more steps take; `None` if that cannot be said, or nothing goes on.
    pub fn left(&self, steps: u64) -> Option<Duration> {
        let ((first, before), (last, now)) = (self.seen.front()?, self.seen.back()?);
        let (done, took) = (now.saturating_sub(*before), last.duration_since(*first));
        (done > 0 && took >= SEEN_MIN).then(|| took.mul_f64(steps as f64 / done as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_counts() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut saw = |second: u64, done| {
            pace.saw(start + Duration::from_secs(second), 1, Direction::Forward, done);
            pace.left(10).map(|left| left.as_secs())
        };
        assert_eq!(saw(0, 0), None);
        assert_eq!(saw(1, 5), None, "a second is too short");
        assert_eq!(saw(10, 10), Some(10));
        assert_eq!(saw(100, 10), None, "nothing was done for a minute");
        assert_eq!(saw(110, 30), Some(5));
    }

    #[test]
    fn another_change_begins_anew() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.saw(start, 1, Direction::Forward, 0);
        pace.saw(start + Duration::from_secs(10), 1, Direction::Forward, 10);
        pace.saw(start + Duration::from_secs(11), 1, Direction::TurningBack, 90);
        assert_eq!(pace.left(10), None);
    }
}
