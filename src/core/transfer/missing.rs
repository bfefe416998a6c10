//! Records that the source cannot read.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::work::{Objects, left_of};
use crate::core::key::Key;

/// How often another owner is asked before the next one is. Nobody who is away holds a transfer up for a bad record.
const ATTEMPTS_MAX: u32 = 3;

/// Keys of which the source has a record that it cannot read. All other owners are asked for them, one after the other: each may
/// know of a write that the others do not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Missing {
    keys: Vec<Bytes>,
    /// Of these, what the one who is asked has not answered for.
    asking: Vec<Bytes>,
    /// Of these, what nobody has given so far.
    ungiven: BTreeSet<Bytes>,
    /// How many others have had their turn.
    asked: usize,
    attempts: u32,
}

impl Missing {
    /// Some more; not while others are asked.
    pub fn add(&mut self, keys: Vec<Bytes>) {
        self.keys.extend(keys);
    }

    /// Who is asked, counted from zero, and for what.
    pub fn asking(&self) -> Option<(usize, &[Bytes])> {
        (!self.asking.is_empty()).then_some((self.asked, &self.asking))
    }

    /// Turns to the next of `others`, unless one is being asked. Returns how many keys none of them gave, when all were asked.
    pub fn ask(&mut self, others: usize) -> u64 {
        if self.keys.is_empty() || !self.asking.is_empty() {
            return 0;
        }
        if self.asked == 0 {
            self.ungiven = self.keys.iter().cloned().collect();
        }
        if self.asked < others {
            self.asking.clone_from(&self.keys);
            return 0;
        }
        std::mem::take(self).ungiven.len() as u64
    }

    /// What the one who is asked gave.
    pub fn given(&mut self, page: Objects) {
        let given: BTreeSet<&Key> = page.objects.iter().map(|(key, _)| key).collect();
        self.ungiven.retain(|stored| Key::from_stored(stored).is_none_or(|(_, key)| !given.contains(&key)));
        self.asking = left_of(&self.asking, page.left_over);
        if self.asking.is_empty() {
            self.turn();
        }
    }

    /// The one who is asked did not answer.
    pub fn failed(&mut self) {
        if self.asking.is_empty() {
            return;
        }
        self.attempts += 1;
        if self.attempts >= ATTEMPTS_MAX {
            self.asking.clear();
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.asked += 1;
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::Partition;

    fn stored(name: &'static str) -> Bytes {
        Key::bare(name).stored(Partition(3))
    }

    fn gives(names: &[&'static str], left_over: &[&'static str]) -> Objects {
        let objects = names.iter().map(|&name| (Key::bare(name), Bytes::new())).collect();
        Objects { objects, left_over: left_over.iter().map(|&name| stored(name)).collect(), ..Objects::default() }
    }

    #[test]
    fn everybody_is_asked_for_everything() {
        let mut missing = Missing::default();
        missing.add(vec![stored("a"), stored("b"), stored("c")]);
        assert_eq!(missing.ask(2), 0);
        assert_eq!(missing.asking(), Some((0, &[stored("a"), stored("b"), stored("c")][..])));
        missing.given(gives(&["a"], &["c"]));
        assert_eq!(missing.asking(), Some((0, &[stored("c")][..])), "what did not fit is asked again");
        missing.given(gives(&[], &[]));
        assert_eq!(missing.ask(2), 0);
        assert_eq!(missing.asking().map(|(other, keys)| (other, keys.len())), Some((1, 3)));
        missing.given(gives(&["a", "b"], &[]));
        assert_eq!(missing.ask(2), 1, "nobody gave c");
        assert_eq!(missing, Missing::default());
    }

    #[test]
    fn who_does_not_answer_is_passed_over() {
        let mut missing = Missing::default();
        missing.add(vec![stored("a")]);
        assert_eq!(missing.ask(1), 0);
        for _ in 1..ATTEMPTS_MAX {
            missing.failed();
            assert!(missing.asking().is_some());
        }
        missing.failed();
        assert_eq!(missing.asking(), None);
        assert_eq!(missing.ask(1), 1);
    }

    #[test]
    fn without_others_they_are_counted() {
        let mut missing = Missing::default();
        missing.add(vec![stored("a")]);
        assert_eq!(missing.ask(0), 1);
    }
}
