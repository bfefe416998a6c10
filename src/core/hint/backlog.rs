//! How much waits for whom, and whether there is room for more.

use std::collections::BTreeMap;

use super::Entry;
use crate::core::id::StoreId;

/// Ages are kept to the minute: what there is to keep is bounded by how long a target is away, not by the number of hints.
const AGE_STEP_MS: u64 = 60_000;

/// What a store keeps for others at most. A copy that would begin a new hint beyond it is refused, so that it is neither acknowledged nor
/// counted; one that is kept stays, and may grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Bytes for one target.
    pub target_bytes_max: u64,
    /// Bytes for all of them.
    pub bytes_max: u64,
}

impl Budget {
    /// No limit.
    pub const UNBOUNDED: Budget = Budget { target_bytes_max: u64::MAX, bytes_max: u64::MAX };
}

/// Which budget is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// That of the target.
    Target,
    /// That of all together.
    All,
}

/// What waits for one target.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// Hints.
    pub keys: u64,
    /// What they weigh.
    pub bytes: u64,
    /// How many were first kept in which step of time.
    ages: BTreeMap<u64, u64>,
}

/// What waits for all targets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Backlogs {
    targets: BTreeMap<StoreId, Backlog>,
    bytes: u64,
}

impl Backlog {
    /// When the oldest hint was kept, in milliseconds since 1970, to the minute below. Of one whose entry does not say, it is zero.
    pub fn oldest_ms(&self) -> u64 {
        self.ages.keys().next().map_or(0, |step| step * AGE_STEP_MS)
    }
}

impl Backlogs {
    /// The targets for which something waits.
    pub fn targets(&self) -> impl Iterator<Item = (StoreId, &Backlog)> {
        self.targets.iter().map(|(target, backlog)| (*target, backlog))
    }

    /// What all hints weigh.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether one more may be kept for `target`.
    ///
    /// # Errors
    /// Which budget is used up.
    pub fn check(&self, target: StoreId, budget: &Budget) -> Result<(), Full> {
        let of_target = self.targets.get(&target).map_or(0, |backlog| backlog.bytes);
        if of_target >= budget.target_bytes_max {
            Err(Full::Target)
        } else if self.bytes >= budget.bytes_max {
            Err(Full::All)
        } else {
            Ok(())
        }
    }

    /// A hint for `target` was one thing, or not there, and is another, or there no more.
    pub fn change(&mut self, target: StoreId, before: Option<Entry>, after: Option<Entry>) {
        let backlog = self.targets.entry(target).or_default();
        if let Some(Entry { kept_ms, bytes }) = before {
            backlog.keys = backlog.keys.saturating_sub(1);
            backlog.bytes = backlog.bytes.saturating_sub(bytes);
            self.bytes = self.bytes.saturating_sub(bytes);
            let step = kept_ms / AGE_STEP_MS;
            if let Some(count) = backlog.ages.get_mut(&step) {
                *count -= 1;
                if *count == 0 {
                    backlog.ages.remove(&step);
                }
            }
        }
        if let Some(Entry { kept_ms, bytes }) = after {
            backlog.keys += 1;
            backlog.bytes += bytes;
            self.bytes += bytes;
            *backlog.ages.entry(kept_ms / AGE_STEP_MS).or_default() += 1;
        }
        if backlog.keys == 0 {
            self.targets.remove(&target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: StoreId = StoreId(1);
    const B: StoreId = StoreId(2);

    fn entry(minute: u64, bytes: u64) -> Option<Entry> {
        Some(Entry { kept_ms: minute * AGE_STEP_MS + 5, bytes })
    }

    #[test]
    fn a_full_budget_is_named() {
        let budget = Budget { target_bytes_max: 100, bytes_max: 150 };
        let mut backlogs = Backlogs::default();
        assert_eq!(backlogs.check(A, &budget), Ok(()));
        backlogs.change(A, None, entry(1, 100));
        assert_eq!((backlogs.check(A, &budget), backlogs.check(B, &budget)), (Err(Full::Target), Ok(())));
        backlogs.change(B, None, entry(1, 50));
        assert_eq!((backlogs.check(A, &budget), backlogs.check(B, &budget)), (Err(Full::Target), Err(Full::All)));
        backlogs.change(A, entry(1, 100), None);
        assert_eq!((backlogs.check(A, &budget), backlogs.check(B, &budget)), (Ok(()), Ok(())));
    }

    #[test]
    fn the_oldest_is_what_is_left() {
        let mut backlogs = Backlogs::default();
        for minute in [7, 3, 5] {
            backlogs.change(A, None, entry(minute, 1));
        }
        let oldest = |backlogs: &Backlogs| backlogs.targets().next().map(|(_, backlog)| backlog.oldest_ms());
        assert_eq!(oldest(&backlogs), Some(3 * AGE_STEP_MS));
        backlogs.change(A, entry(3, 1), None);
        assert_eq!(oldest(&backlogs), Some(5 * AGE_STEP_MS));
        backlogs.change(A, entry(5, 1), entry(5, 9));
        backlogs.change(A, entry(5, 9), None);
        backlogs.change(A, entry(7, 1), None);
        assert_eq!((oldest(&backlogs), backlogs.bytes()), (None, 0));
    }

    proptest! {
        #[test]
        fn sums_are_those_of_what_is_there(
            changes in proptest::collection::vec((1..4u128, 0..20usize, proptest::option::of((0..5u64, 1..100u64))), 0..200),
        ) {
            let mut backlogs = Backlogs::default();
            let mut there: BTreeMap<(u128, usize), Option<Entry>> = BTreeMap::new();
            for (target, key, after) in changes {
                let after = after.and_then(|(minute, bytes)| entry(minute, bytes));
                let before = there.insert((target, key), after).flatten();
                backlogs.change(StoreId(target), before, after);
            }
            let total: u64 = there.values().flatten().map(|entry| entry.bytes).sum();
            prop_assert_eq!(backlogs.bytes(), total);
            for target in 1..4 {
                let of_target: Vec<Entry> =
                    there.range((target, 0)..(target + 1, 0)).filter_map(|(_, entry)| *entry).collect();
                let backlog = backlogs.targets().find(|(t, _)| t.0 == target).map(|(_, backlog)| backlog.clone());
                let backlog = backlog.unwrap_or_default();
                prop_assert_eq!(backlog.keys, of_target.len() as u64);
                prop_assert_eq!(backlog.bytes, of_target.iter().map(|entry| entry.bytes).sum::<u64>());
                let oldest = of_target.iter().map(|entry| entry.kept_ms / AGE_STEP_MS * AGE_STEP_MS).min();
                prop_assert_eq!(backlog.oldest_ms(), oldest.unwrap_or(0));
            }
        }
    }
}
