//! One read, from the coordinator's point of view.
//!
//! As many owners are asked as must answer, the nearest and healthiest first. One that fails, or is slower than it usually is, is
//! made up for by asking the next, and so is an owner without a lease that pr would need: a hedge adds an answer, it never
//! lowers r or pr. Fallbacks fill the places of
//! owners that are down, if the read is sloppy. `not found` is an answer. What was read is merged; when everybody asked has
//! answered, whoever was behind is repaired.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Shortfall;
use super::size::QuorumSizes;
use super::tally::{Tally, Verdict};
use crate::core::bucket::Conflict;
use crate::core::id::StoreId;
use crate::core::version::{Malformed, Object};

/// What the coordinator does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadAction {
    /// Ask this replica.
    Fetch {
        /// Whom.
        from: StoreId,
    },
    /// Answer the client with [`ReadMachine::merged`], or with the failure.
    Answer(Result<(), Shortfall>),
    /// This owner was behind: send it [`ReadMachine::merged`].
    Repair {
        /// Whom.
        to: StoreId,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    Answered { object: Option<Bytes>, leased: bool },
    Failed,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Asked {
    store: StoreId,
    primary: bool,
    state: State,
}

impl Asked {
    fn has_answered(&self) -> bool {
        matches!(self.state, State::Answered { .. })
    }
}

/// Whom a read may ask, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Candidates {
    /// Live owners, the best first.
    pub live: Vec<StoreId>,
    /// Owners that are down.
    pub down: Vec<StoreId>,
    /// Live fallbacks.
    pub fallbacks: Vec<StoreId>,
}

/// One read in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadMachine {
    sizes: QuorumSizes,
    conflict: Conflict,
    asked: Vec<Asked>,
    /// Live owners not asked yet.
    next: VecDeque<StoreId>,
    /// Owners without an answer to hope for: each lets one fallback in.
    down: Vec<StoreId>,
    spare: VecDeque<StoreId>,
    /// The first answer as it came, and the merge of all.
    first: Option<Option<Bytes>>,
    merged: Option<Object>,
    answered: bool,
}

impl ReadMachine {
    /// Plans a read. Refused if too few can answer; nobody is asked then.
    pub fn start(
        sizes: QuorumSizes,
        conflict: Conflict,
        candidates: Candidates,
    ) -> Result<(ReadMachine, Vec<ReadAction>), Shortfall> {
        let Candidates { live, down, fallbacks } = candidates;
        let mut machine = ReadMachine {
            sizes,
            conflict,
            asked: vec![],
            next: live.into(),
            spare: if sizes.sloppy { fallbacks.into() } else { VecDeque::new() },
            down,
            first: None,
            merged: None,
            answered: false,
        };
        if machine.verdict() == Verdict::Lost {
            return Err(machine.shortfall(false));
        }
        let actions = (0..sizes.needed).filter_map(|_| machine.ask_next()).collect();
        Ok((machine, actions))
    }

    /// The same read from its beginning, asking others. What was answered before is forgotten: it was asked of owners by an older ring.
    pub fn restart(&self, candidates: Candidates) -> Result<(ReadMachine, Vec<ReadAction>), Shortfall> {
        ReadMachine::start(self.sizes, self.conflict, candidates)
    }

    /// `from` answered with the object that it holds, encoded; `leased` if it held a lease when it did. An object that cannot be
    /// read counts as a failure.
    pub fn on_fetched(
        &mut self,
        from: StoreId,
        object: Option<Bytes>,
        leased: bool,
    ) -> Result<Vec<ReadAction>, Malformed> {
        let Some(i) = self.waiting(from) else { return Ok(vec![]) };
        self.take_in(&object)?;
        self.asked[i].state = State::Answered { object, leased };
        let mut actions = self.settle();
        // Only another owner makes up for one that does not count in pr.
        if !self.next.is_empty() && self.owners_to_count() < self.sizes.primaries as usize {
            actions.append(&mut self.on_slow());
        }
        Ok(actions)
    }

    /// `from` will not answer.
    pub fn on_failed(&mut self, from: StoreId) -> Vec<ReadAction> {
        let Some(i) = self.waiting(from) else { return vec![] };
        self.asked[i].state = State::Failed;
        if self.asked[i].primary {
            self.down.push(from);
        }
        let mut actions = self.settle();
        actions.append(&mut self.on_slow());
        actions
    }

    /// Somebody is slower than usual: ask one more, unless the client has its answer.
    pub fn on_slow(&mut self) -> Vec<ReadAction> {
        if self.answered { vec![] } else { self.ask_next().into_iter().collect() }
    }

    /// Time is up.
    pub fn on_deadline(&mut self) -> Vec<ReadAction> {
        let mut actions = vec![];
        if !std::mem::replace(&mut self.answered, true) {
            actions.push(ReadAction::Answer(Err(self.shortfall(true))));
        }
        self.asked.iter_mut().filter(|a| a.state == State::Waiting).for_each(|a| a.state = State::Failed);
        actions.append(&mut self.repairs());
        actions
    }

    /// Whether nothing is left to wait for.
    pub fn is_done(&self) -> bool {
        self.answered && self.asked.iter().all(|a| a.state != State::Waiting)
    }

    /// How many must answer.
    pub fn sizes(&self) -> QuorumSizes {
        self.sizes
    }

    /// Whether the client has its answer.
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// The merge of all answers so far.
    pub fn merged(&self) -> Option<&Object> {
        self.merged.as_ref()
    }

    /// Who answered.
    pub fn answerers(&self) -> impl Iterator<Item = StoreId> {
        self.asked.iter().filter(|a| a.has_answered()).map(|a| a.store)
    }

    fn ask_next(&mut self) -> Option<ReadAction> {
        let stand_ins = self.asked.iter().filter(|a| !a.primary && a.state != State::Failed).count();
        let (from, primary) = match self.next.pop_front() {
            Some(owner) => (owner, true),
            None if stand_ins < self.down.len() => (self.spare.pop_front()?, false),
            None => return None,
        };
        self.asked.push(Asked { store: from, primary, state: State::Waiting });
        Some(ReadAction::Fetch { from })
    }

    /// Owners among those asked that count in pr, or may.
    fn owners_to_count(&self) -> usize {
        let counts = |a: &&Asked| a.primary && matches!(a.state, State::Waiting | State::Answered { leased: true, .. });
        self.asked.iter().filter(counts).count()
    }

    /// Replicas mostly agree, and equal objects are equal bytes: only what differs is read and merged.
    fn take_in(&mut self, object: &Option<Bytes>) -> Result<(), Malformed> {
        if self.first.as_ref() == Some(object) {
            return Ok(());
        }
        if let Some(bytes) = object {
            let theirs = Object::decode(bytes)?;
            match &mut self.merged {
                Some(merged) => {
                    merged.merge(&theirs, self.conflict);
                }
                None => self.merged = Some(theirs),
            }
        }
        self.first.get_or_insert_with(|| object.clone());
        Ok(())
    }

    fn waiting(&self, store: StoreId) -> Option<usize> {
        self.asked.iter().position(|a| a.store == store && a.state == State::Waiting)
    }

    fn settle(&mut self) -> Vec<ReadAction> {
        let mut actions = vec![];
        let result = match self.verdict() {
            Verdict::Met => Some(Ok(())),
            Verdict::Lost => Some(Err(self.shortfall(false))),
            Verdict::Open => None,
        };
        if let Some(result) = result.filter(|_| !self.answered) {
            self.answered = true;
            actions.push(ReadAction::Answer(result));
        }
        if self.is_done() {
            actions.append(&mut self.repairs());
        }
        actions
    }

    fn repairs(&self) -> Vec<ReadAction> {
        let Some(merged) = &self.merged else { return vec![] };
        let unanimous = self.asked.iter().all(|a| match &a.state {
            State::Answered { object, .. } => Some(object) == self.first.as_ref(),
            _ => true,
        });
        if unanimous {
            return vec![];
        }
        let whole = merged.encode();
        let behind = self.asked.iter().filter(|a| {
            a.primary && matches!(&a.state, State::Answered { object, .. } if object.as_ref() != Some(&whole))
        });
        behind.map(|a| ReadAction::Repair { to: a.store }).collect()
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::new(self.sizes.needed, self.sizes.primaries);
        for asked in &self.asked {
            if let State::Answered { leased, .. } = asked.state {
                tally.count(leased && asked.primary);
            }
        }
        tally
    }

    fn verdict(&self) -> Verdict {
        let waiting =
            |primary: bool| self.asked.iter().filter(|a| a.primary == primary && a.state == State::Waiting).count();
        let stand_ins = self.asked.iter().filter(|a| !a.primary && a.state != State::Failed).count();
        let primaries_open = waiting(true) + self.next.len();
        let more_stand_ins = self.spare.len().min(self.down.len().saturating_sub(stand_ins));
        self.tally().verdict((primaries_open + waiting(false) + more_stand_ins) as u8, primaries_open as u8)
    }

    fn shortfall(&self, timed_out: bool) -> Shortfall {
        let tally = self.tally();
        let waiting = self.asked.iter().filter(|a| a.primary && a.state == State::Waiting).map(|a| a.store);
        let without_lease = |a: &&Asked| {
            self.sizes.is_strict() && a.primary && matches!(a.state, State::Answered { leased: false, .. })
        };
        Shortfall {
            needed: tally.needed,
            got: tally.got,
            primaries_needed: tally.primaries_needed,
            primaries_got: tally.primaries_got,
            missing: self.down.iter().copied().chain(waiting).collect(),
            unleased: self.asked.iter().filter(without_lease).map(|a| a.store).collect(),
            applied: false,
            timed_out,
        }
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
