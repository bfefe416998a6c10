//! Who is asked for a page, and whether enough have answered.

use super::OwnerPage;
use crate::core::id::StoreId;

/// The owners of one partition, asked for one page.
///
/// As many as must answer are asked at once; for each that fails or is slow, the next one. As soon as enough cannot answer
/// any more it is over: a page that not enough owners vouch for would be a silent gap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coverage {
    needed: u8,
    owners: u8,
    /// Not asked yet, the best last.
    spare: Vec<StoreId>,
    /// Asked and not heard.
    asked: Vec<StoreId>,
    pages: Vec<OwnerPage>,
    failed: Vec<(StoreId, String)>,
}

/// What to do now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Ask these, if any, and wait.
    Ask(Vec<StoreId>),
    /// Enough have answered: [`Coverage::into_pages`].
    Enough,
    /// Not enough can: [`Coverage::shortfall`].
    Short,
}

/// How a quorum was missed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shortfall {
    /// Owners that had to answer.
    pub needed: u8,
    /// Owners that there are.
    pub owners: u8,
    /// Who did not, and why.
    pub missing: Vec<(StoreId, String)>,
}

impl Coverage {
    /// Begins with the `owners`, the best first, of whom `needed` must answer.
    pub fn start(needed: u8, owners: impl IntoIterator<Item = StoreId>) -> (Coverage, Step) {
        let mut spare: Vec<StoreId> = owners.into_iter().collect();
        spare.reverse();
        let owners = spare.len() as u8;
        let mut coverage = Coverage { needed, owners, spare, asked: vec![], pages: vec![], failed: vec![] };
        let step = coverage.step();
        (coverage, step)
    }

    /// An owner answered. What comes from one that was not asked, or has answered, changes nothing.
    pub fn on_page(&mut self, from: StoreId, page: OwnerPage) -> Step {
        if self.heard(from) {
            self.pages.push(page);
        }
        self.step()
    }

    /// An owner will not answer.
    pub fn on_failed(&mut self, from: StoreId, reason: String) -> Step {
        if self.heard(from) {
            self.failed.push((from, reason));
        }
        self.step()
    }

    /// The others are slower than usual: one more is asked, if there is one.
    pub fn on_slow(&mut self) -> Step {
        Step::Ask(self.spare.pop().into_iter().inspect(|store| self.asked.push(*store)).collect())
    }

    /// Whether this owner's answer is awaited.
    pub fn awaits(&self, store: StoreId) -> bool {
        self.asked.contains(&store)
    }

    /// What was missed.
    pub fn shortfall(self) -> Shortfall {
        Shortfall { needed: self.needed, owners: self.owners, missing: self.failed }
    }

    /// Time is up: whoever is still awaited counts as failed.
    pub fn on_deadline(&mut self) {
        let late = self.asked.drain(..).map(|store| (store, "no answer in time".to_string()));
        self.failed.extend(late);
    }

    /// What the owners answered.
    pub fn into_pages(self) -> Vec<OwnerPage> {
        self.pages
    }

    fn heard(&mut self, from: StoreId) -> bool {
        let before = self.asked.len();
        self.asked.retain(|store| *store != from);
        self.asked.len() < before
    }

    fn step(&mut self) -> Step {
        let needed = self.needed as usize;
        if self.pages.len() >= needed {
            return Step::Enough;
        }
        if self.pages.len() + self.asked.len() + self.spare.len() < needed {
            return Step::Short;
        }
        let more = needed.saturating_sub(self.pages.len() + self.asked.len());
        let next = self.spare.split_off(self.spare.len() - more).into_iter().rev().collect::<Vec<_>>();
        self.asked.extend(&next);
        Step::Ask(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWNERS: [StoreId; 3] = [StoreId(1), StoreId(2), StoreId(3)];

    fn start(needed: u8) -> (Coverage, Step) {
        Coverage::start(needed, OWNERS)
    }

    #[test]
    fn as_many_as_are_needed_are_asked_and_the_next_for_each_that_fails() {
        let (mut coverage, step) = start(2);
        assert_eq!(step, Step::Ask(vec![StoreId(1), StoreId(2)]));
        assert_eq!(coverage.on_failed(StoreId(1), "unreachable".into()), Step::Ask(vec![StoreId(3)]));
        assert_eq!(coverage.on_page(StoreId(2), OwnerPage::default()), Step::Ask(vec![]));
        assert_eq!(coverage.on_page(StoreId(2), OwnerPage::default()), Step::Ask(vec![]), "it has answered");
        assert_eq!(coverage.on_page(StoreId(3), OwnerPage::default()), Step::Enough);
        assert_eq!(coverage.into_pages().len(), 2);
    }

    #[test]
    fn a_slow_owner_is_helped_out_and_still_counts() {
        let (mut coverage, _) = start(2);
        assert_eq!(coverage.on_slow(), Step::Ask(vec![StoreId(3)]));
        assert_eq!(coverage.on_slow(), Step::Ask(vec![]));
        assert_eq!(coverage.on_failed(StoreId(3), "late".into()), Step::Ask(vec![]));
        assert_eq!(coverage.on_page(StoreId(1), OwnerPage::default()), Step::Ask(vec![]));
        assert_eq!(coverage.on_page(StoreId(2), OwnerPage::default()), Step::Enough);
    }

    #[test]
    fn it_is_short_as_soon_as_enough_cannot_answer() {
        let (mut coverage, _) = start(2);
        coverage.on_failed(StoreId(1), "unreachable".into());
        coverage.on_page(StoreId(2), OwnerPage::default());
        let mut late = coverage.clone();
        late.on_deadline();
        assert_eq!(late.shortfall().missing[1], (StoreId(3), "no answer in time".into()));
        assert_eq!(coverage.on_failed(StoreId(3), "moved".into()), Step::Short);
        let missing = vec![(StoreId(1), "unreachable".into()), (StoreId(3), "moved".into())];
        assert_eq!(coverage.shortfall(), Shortfall { needed: 2, owners: 3, missing });
        assert_eq!(Coverage::start(2, [StoreId(1)]).1, Step::Short);
    }

    proptest! {
        /// Whatever the owners do, it ends, with enough answers or without a chance of them; nobody is asked twice.
        #[test]
        fn it_always_ends(needed in 1u8..5, behaviour in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..6)) {
            let owners: Vec<StoreId> = (0..behaviour.len() as u128).map(StoreId).collect();
            let (mut coverage, mut step) = Coverage::start(needed, owners.clone());
            let (mut queue, mut asked) = (std::collections::VecDeque::new(), vec![]);
            while let Step::Ask(more) = &step {
                asked.extend(more.clone());
                queue.extend(more.clone());
                let Some(store) = queue.pop_front() else { break };
                let (answers, slow) = behaviour[store.0 as usize];
                if slow && let Step::Ask(more) = coverage.on_slow() {
                    asked.extend(more.clone());
                    queue.extend(more);
                }
                step = match answers {
                    true => coverage.on_page(store, OwnerPage::default()),
                    false => coverage.on_failed(store, "down".into()),
                };
            }
            let up = behaviour.iter().filter(|(answers, _)| *answers).count();
            prop_assert_eq!(step, if up >= needed as usize { Step::Enough } else { Step::Short });
            let mut once = asked.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), asked.len());
        }
    }
}
