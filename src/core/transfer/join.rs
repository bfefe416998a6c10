//! Two listings of the same leaves, in key order and in pages that end at different keys, seen side by side.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::work::Versions;
use crate::core::version::Clock;

/// How far a listing was read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Reach {
    Nothing,
    UpTo(Bytes),
    Everything,
}

/// A key that is not held in the same version on both sides. A side that holds nothing of it has `None`, one whose record cannot be
/// read no version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::core) struct Differing {
    pub stored: Bytes,
    pub theirs: Option<Option<Clock>>,
    pub ours: Option<Option<Clock>>,
}

/// Reads another store's listing to its end, with what is held here beside it. Holds about one page of each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::core) struct Join {
    theirs: Vec<(Bytes, Option<Clock>)>,
    theirs_reach: Reach,
    ours: BTreeMap<Bytes, Option<Clock>>,
    ours_reach: Reach,
    /// Whether what was read of theirs has been compared.
    is_settled: bool,
}

/// What a join needs to go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::core) enum Needs {
    /// Their next page, after this key.
    Theirs(Option<Bytes>),
    /// The next page of what is held here, after this key.
    Ours(Option<Bytes>),
    /// Nothing: everything was compared.
    Nothing,
}

impl Reach {
    fn of(next: Option<Bytes>) -> Reach {
        next.map_or(Reach::Everything, Reach::UpTo)
    }

    fn cursor(&self) -> Option<Bytes> {
        match self {
            Reach::UpTo(key) => Some(key.clone()),
            Reach::Nothing | Reach::Everything => None,
        }
    }
}

impl Join {
    pub fn begin() -> Join {
        Join {
            theirs: vec![],
            theirs_reach: Reach::Nothing,
            ours: BTreeMap::new(),
            ours_reach: Reach::Nothing,
            is_settled: true,
        }
    }

    pub fn needs(&self) -> Needs {
        match (self.is_settled, &self.theirs_reach) {
            (true, Reach::Everything) => Needs::Nothing,
            (true, reach) => Needs::Theirs(reach.cursor()),
            (false, _) => Needs::Ours(self.ours_reach.cursor()),
        }
    }

    /// The page that it needs. Returns what is not held in the same version on both sides, or cannot be read by them, once that is
    /// known, in key order.
    pub fn read(&mut self, page: Versions) -> Vec<Differing> {
        if self.is_settled {
            self.theirs = page.clocks;
            self.theirs_reach = Reach::of(page.next);
            self.is_settled = false;
        } else {
            self.ours.extend(page.clocks);
            self.ours_reach = Reach::of(page.next);
        }
        if self.ours_reach < self.theirs_reach {
            return vec![];
        }
        self.is_settled = true;
        let mut ahead = match &self.theirs_reach {
            Reach::UpTo(key) => self.ours.split_off(key),
            Reach::Nothing | Reach::Everything => BTreeMap::new(),
        };
        if let Reach::UpTo(key) = &self.theirs_reach
            && let Some((stored, clock)) = ahead.remove_entry(key)
        {
            self.ours.insert(stored, clock);
        }
        let mut ours = std::mem::replace(&mut self.ours, ahead);
        let mut differing = vec![];
        for (stored, clock) in std::mem::take(&mut self.theirs) {
            let held = ours.remove(&stored);
            if clock.is_none() || held != Some(clock) {
                differing.push(Differing { stored, theirs: Some(clock), ours: held });
            }
        }
        differing.extend(ours.into_iter().map(|(stored, clock)| Differing { stored, theirs: None, ours: Some(clock) }));
        differing.sort_by(|a, b| a.stored.cmp(&b.stored));
        differing
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    type Held = BTreeMap<u8, Option<u8>>;

    fn page(held: &Held, after: Option<Bytes>, size: usize) -> Versions {
        let after = after.map(|key| key[0]);
        let mut rest = held.iter().filter(|(key, _)| Some(**key) > after).peekable();
        let some: Vec<_> = rest.by_ref().take(size).collect();
        let next = rest.peek().and(some.last()).map(|(key, _)| Bytes::from(vec![**key]));
        let clock = |version: &Option<u8>| version.map(|v| Clock(v as u128 + 1));
        let clocks = some.into_iter().map(|(key, version)| (Bytes::from(vec![*key]), clock(version))).collect();
        Versions { clocks, next }
    }

    fn held() -> impl Strategy<Value = Held> {
        proptest::collection::btree_map(0..40u8, proptest::option::weighted(0.9, 0..2u8), 0..30)
    }

    proptest! {
        #[test]
        fn it_finds_what_a_comparison_at_once_finds(
            theirs in held(), ours in held(), sizes in proptest::collection::vec(1..7usize, 1..20),
        ) {
            let (mut join, mut found, mut sizes) = (Join::begin(), vec![], sizes.into_iter().cycle());
            loop {
                let size = sizes.next().unwrap_or(1);
                let page = match join.needs() {
                    Needs::Theirs(after) => page(&theirs, after, size),
                    Needs::Ours(after) => page(&ours, after, size),
                    Needs::Nothing => break,
                };
                let version = |key: u8, held: &Held| held.get(&key).map(|version| version.map(|v| Clock(v as u128 + 1)));
                for Differing { stored, theirs: theirs_said, ours: ours_said } in join.read(page) {
                    prop_assert_eq!(theirs_said, version(stored[0], &theirs));
                    prop_assert_eq!(ours_said, version(stored[0], &ours));
                    found.push(stored[0]);
                }
                prop_assert!(join.theirs.len() + join.ours.len() <= 60, "what is compared is forgotten");
            }
            let keys: BTreeSet<u8> = theirs.keys().chain(ours.keys()).copied().collect();
            let differs = |key: &u8| theirs.get(key) != ours.get(key) || theirs.get(key) == Some(&None);
            let expected: Vec<u8> = keys.into_iter().filter(differs).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
