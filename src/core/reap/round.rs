//! One pass over a partition: see the [module](super) for what it asks, and why in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::question::{Answer, Question, Removal, Standing, Stray, Vouched};
use crate::core::id::{Epoch, StoreId};
use crate::core::version::Clock;
use crate::mutant;

/// Why a round cannot go on. The next one begins from the first look.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Block {
    /// It went out of the ring, may return with what it holds, and cannot be asked.
    Absent(StoreId),
    /// It did not answer.
    Unreachable(StoreId),
    /// It goes by another ring.
    OtherRing(StoreId),
    /// It could not say, because it cannot read or takes no writes.
    Unable(StoreId),
    /// It holds what could bring something back.
    Holds(StoreId, Stray),
    /// It has taken a copy in place of an owner since it was first asked.
    Took(StoreId),
    /// It has been started again since it was first asked.
    Restarted(StoreId),
    /// Who is in the cluster, and who is absent, is not known yet.
    Unheard,
    /// The partition changes hands.
    InMotion,
    /// The ring has changed since the round began.
    RingChanged(Epoch),
}

/// A key that may be due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// The stored key.
    pub stored: Bytes,
    /// The version that is held here.
    pub clock: Clock,
    /// Only its context is to be pruned.
    pub prunes: bool,
}

/// What a round wants next. The same until it is told enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Ask each of these. Whoever has answered already is not among them.
    Ask(Vec<StoreId>, Question),
    /// Nothing before this time.
    Rest(Duration),
    /// Give it the next candidates.
    Fill,
    /// It is over.
    Done,
}

/// A round over one partition. Times are the reaper's own, from any beginning, by a clock that does not jump.
#[derive(Clone, Debug)]
pub struct Round {
    owners: Vec<StoreId>,
    everybody: Vec<StoreId>,
    /// When it began to look.
    begun: Duration,
    /// What everybody answered at the first look.
    first: BTreeMap<StoreId, Vouched>,
    stage: Stage,
    waiting: BTreeSet<StoreId>,
    /// How many keys each owner holds in another version.
    differing: BTreeMap<StoreId, u64>,
}

#[derive(Clone, Debug)]
enum Stage {
    Look,
    Rest(Duration),
    LookAgain {
        /// How much longer somebody must run who has not run for long enough.
        lacking: Duration,
    },
    Fill,
    Owners {
        page: Vec<Candidate>,
        /// For each, whether all agree who have answered.
        agreed: Vec<bool>,
    },
    Remove(Vec<Removal>),
    Done,
}

impl Round {
    /// A round that begins `now`. `owners` have a place of the partition, `others` are the rest of the ring, and `absent` have left it and may return.
    ///
    /// # Errors
    /// [`Block::Absent`]: somebody cannot be asked.
    pub fn new(owners: Vec<StoreId>, others: Vec<StoreId>, absent: &[StoreId], now: Duration) -> Result<Round, Block> {
        let asks_all = !mutant!(ReapWithoutAskingAll);
        if let Some(&absent) = absent.first()
            && asks_all
        {
            return Err(Block::Absent(absent));
        }
        let everybody: Vec<StoreId> = if asks_all { [owners.clone(), others].concat() } else { owners.clone() };
        let waiting = everybody.iter().copied().collect();
        Ok(Round {
            owners,
            everybody,
            begun: now,
            first: BTreeMap::new(),
            stage: Stage::Look,
            waiting,
            differing: BTreeMap::new(),
        })
    }

    /// What to do next.
    pub fn next(&self) -> Step {
        let ask = |question| Step::Ask(self.waiting.iter().copied().collect(), question);
        match &self.stage {
            Stage::Look | Stage::LookAgain { .. } => ask(Question::Look),
            Stage::Rest(until) => Step::Rest(*until),
            Stage::Fill => Step::Fill,
            Stage::Owners { page, .. } => {
                ask(Question::Held(page.iter().map(|key| (key.stored.clone(), key.clock)).collect()))
            }
            Stage::Remove(removals) => ask(Question::Remove(removals.clone())),
            Stage::Done => Step::Done,
        }
    }

    /// It is `now`: a rest may be over.
    pub fn rested(&mut self, now: Duration) {
        if matches!(self.stage, Stage::Rest(until) if until <= now) {
            self.enter(Stage::LookAgain { lacking: Duration::ZERO });
        }
    }

    /// Candidates, as asked for; none if there are no more.
    pub fn fill(&mut self, candidates: Vec<Candidate>) {
        if matches!(self.stage, Stage::Fill) {
            let agreed = vec![true; candidates.len()];
            self.enter(if candidates.is_empty() { Stage::Done } else { Stage::Owners { page: candidates, agreed } });
        }
    }

    /// `from` has answered.
    ///
    /// # Errors
    /// Why the round is over without an end.
    pub fn answered(&mut self, from: StoreId, answer: Answer, now: Duration) -> Result<(), Block> {
        if !self.waiting.contains(&from) {
            return Ok(());
        }
        match (&mut self.stage, answer) {
            (Stage::Look, Answer::Looked(vouched)) => {
                stands_well(from, &vouched)?;
                self.first.insert(from, vouched);
            }
            (Stage::LookAgain { lacking }, Answer::Looked(vouched)) => {
                stands_well(from, &vouched)?;
                let ran = still_stands(from, self.first.get(&from), &vouched)?;
                *lacking = (*lacking).max(rest(&self.first).saturating_sub(ran));
            }
            (Stage::Owners { page, agreed }, Answer::Held(standings)) => {
                let grace = self.first.values().map(|vouched| vouched.grace).max().unwrap_or_default();
                // Since the grace before the first look.
                let needed = grace + now.saturating_sub(self.begun);
                let needed = if mutant!(ReapBeforeGrace) { Duration::ZERO } else { needed };
                let standings = standings.into_iter().chain(std::iter::repeat(Standing::Other));
                for ((key, agreed), standing) in page.iter().zip(agreed).zip(standings) {
                    *agreed &= agrees(standing, key, needed);
                    *self.differing.entry(from).or_default() += u64::from(standing == Standing::Other);
                }
            }
            (Stage::Remove(_), Answer::Removed(_)) => {}
            // To an earlier question.
            _ => return Ok(()),
        }
        self.heard(from, now);
        Ok(())
    }

    /// How many keys owners hold in another version than this store, as far as was asked.
    pub fn differing(&self) -> &BTreeMap<StoreId, u64> {
        &self.differing
    }

    /// One more has answered; if that was the last one, goes on.
    fn heard(&mut self, from: StoreId, now: Duration) {
        self.waiting.remove(&from);
        if !self.waiting.is_empty() {
            return;
        }
        let next = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Look => Stage::Rest(now + rest(&self.first)),
            Stage::LookAgain { lacking } if lacking.is_zero() => Stage::Fill,
            Stage::LookAgain { lacking } => Stage::Rest(now + lacking),
            Stage::Owners { page, agreed } => {
                let agreed = page.into_iter().zip(agreed).filter(|(_, agreed)| *agreed);
                let removals: Vec<Removal> = agreed.map(|(key, _)| key.into_removal()).collect();
                if removals.is_empty() { Stage::Fill } else { Stage::Remove(removals) }
            }
            Stage::Remove(_) => Stage::Fill,
            other => other,
        };
        self.enter(next);
    }

    fn enter(&mut self, stage: Stage) {
        self.waiting = match stage {
            Stage::Look | Stage::LookAgain { .. } => self.everybody.iter().copied().collect(),
            Stage::Owners { .. } | Stage::Remove(_) => self.owners.iter().copied().collect(),
            Stage::Rest(_) | Stage::Fill | Stage::Done => BTreeSet::new(),
        };
        self.stage = stage;
    }
}

impl Candidate {
    fn into_removal(self) -> Removal {
        Removal { stored: self.stored, clock: self.clock, prunes: self.prunes }
    }
}

fn stands_well(store: StoreId, vouched: &Vouched) -> Result<(), Block> {
    vouched.stray.map_or(Ok(()), |stray| Err(Block::Holds(store, stray)))
}

/// Whether nothing has happened to a store since the first look. Answers how long it has run since.
fn still_stands(store: StoreId, first: Option<&Vouched>, again: &Vouched) -> Result<Duration, Block> {
    let first = first.filter(|first| first.life == again.life).ok_or(Block::Restarted(store))?;
    if first.taken != again.taken {
        return Err(Block::Took(store));
    }
    Ok(again.ran.saturating_sub(first.ran))
}

/// After so long nothing is under way any more that was at the first look.
fn rest(first: &BTreeMap<StoreId, Vouched>) -> Duration {
    first.values().map(|vouched| vouched.lasting).max().unwrap_or_default()
}

fn agrees(standing: Standing, key: &Candidate, needed: Duration) -> bool {
    match standing {
        Standing::Held(since) => since >= needed,
        // There is nothing to prune, and something to be repaired.
        Standing::Nothing => !key.prunes,
        Standing::Other => false,
    }
}
