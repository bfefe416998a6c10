//! When a target that did not take what it was sent is tried again.

use std::time::Duration;

use crate::node::env::Moment;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// A target that failed, and has not taken anything since.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    failures: u32,
    /// Not before this.
    pub at: Moment,
    /// What went wrong last.
    pub reason: String,
}

impl Retry {
    /// The pause after `before`, twice as long as the one before it, but not longer than `longest`.
    pub fn after(before: Option<&Retry>, reason: String, now: Moment, longest: Duration) -> Retry {
        let failures = before.map_or(0, |retry| retry.failures.saturating_add(1));
        let pause = FIRST.saturating_mul(1 << failures.min(20)).min(longest);
        Retry { failures, at: now + pause, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (now, longest) = (crate::node::env::now(), Duration::from_secs(5));
        let (mut last, mut pauses) = (None, vec![]);
        for _ in 0..40 {
            let retry = Retry::after(last.as_ref(), "refused".into(), now, longest);
            pauses.push((retry.at - now).as_secs());
            last = Some(retry);
        }
        assert_eq!(pauses[..4], [1, 2, 4, 5]);
        assert!(pauses[4..].iter().all(|pause| *pause == 5));
    }
}
