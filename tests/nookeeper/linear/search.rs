//! The search for an order.
//!
//! Lowe's just-in-time linearization (*Testing for linearizability*, 2017), which Knossos and Porcupine are kin of: walk through
//! the history and keep every state that the object may be in, with the operations under way that have happened in it. At an
//! answer, let operations under way happen in every order until the answered one has; no state left, no explanation. Equal
//! states with equal operations are one, so the work is bounded by what is under way at once and not by the history's length.
//!
//! An operation whose outcome is unknown may happen at any later time or never. One that can not happen any more after some
//! place (the service promises that of writes given up, once a later one was answered) is let go there, so that a long
//! history does not gather them without end.
//!
//! An operation that would answer right and change nothing happens as soon as it can: no order without that is better.

use std::collections::{BTreeMap, BTreeSet};

use stateright::semantics::SequentialSpec;

use crate::history::Place;

/// More possibilities than this at once are not looked through.
pub const POSSIBILITIES_MAX: usize = 20_000;

/// An operation on the object.
#[derive(Clone, Debug)]
pub struct Step<Op, Ret> {
    pub op: Op,
    /// It happened after this, if at all.
    pub invoked: Place,
    pub end: End<Ret>,
}

/// What is known of an operation's end.
#[derive(Clone, Debug)]
pub enum End<Ret> {
    /// It happened before this place, with this answer.
    Returned(Place, Ret),
    /// It happened before this place, or never.
    SettledBy(Place),
    /// It happens at any time, or never.
    Open,
}

impl<Ret> End<Ret> {
    fn place(&self) -> Option<Place> {
        match self {
            End::Returned(place, _) | End::SettledBy(place) => Some(*place),
            End::Open => None,
        }
    }
}

/// Why there is no order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// No order explains the answer to this step.
    Unexplained { step: usize },
    /// The search was given up at this step, without a verdict.
    TooMany { step: usize },
}

/// What the object may be like: its state, and which operations under way have happened already.
type Possibility<S> = (S, BTreeSet<usize>);

/// Searches an order that explains all answers, from that state.
pub fn check<S>(start: S, steps: &[Step<S::Op, S::Ret>]) -> Result<(), Flaw>
where
    S: SequentialSpec + Clone + Ord,
{
    let mut events = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        events.insert((step.invoked, index), false);
        step.end.place().map(|place| events.insert((place, index), true));
    }
    let mut search = Search { steps, under_way: BTreeSet::new(), possible: BTreeSet::from([(start, BTreeSet::new())]) };
    for ((_, step), ends) in events {
        if ends {
            search.end(step)?;
        } else {
            search.under_way.insert(step);
        }
    }
    Ok(())
}

struct Search<'a, S: SequentialSpec> {
    steps: &'a [Step<S::Op, S::Ret>],
    under_way: BTreeSet<usize>,
    possible: BTreeSet<Possibility<S>>,
}

impl<S: SequentialSpec + Clone + Ord> Search<'_, S> {
    fn end(&mut self, step: usize) -> Result<(), Flaw> {
        let must_happen = matches!(self.steps[step].end, End::Returned(..));
        let mut after = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut left = Vec::from_iter(std::mem::take(&mut self.possible));
        if !must_happen {
            after.extend(left.iter().filter(|(_, happened)| !happened.contains(&step)).cloned());
        }
        while let Some((state, mut happened)) = left.pop() {
            self.make_quiet_ones_happen(&state, &mut happened);
            if happened.remove(&step) {
                after.insert((state, happened));
                continue;
            }
            if !seen.insert((state.clone(), happened.clone())) {
                continue;
            }
            if seen.len() > POSSIBILITIES_MAX {
                return Err(Flaw::TooMany { step });
            }
            for next in self.under_way.difference(&happened) {
                if let Some(state) = self.happen(&state, *next) {
                    let happened = happened.iter().chain([next]).copied().collect();
                    left.push((state, happened));
                }
            }
        }
        self.under_way.remove(&step);
        self.possible = after;
        if self.possible.is_empty() { Err(Flaw::Unexplained { step }) } else { Ok(()) }
    }

    /// Adds those that change nothing in this state and answer right.
    fn make_quiet_ones_happen(&self, state: &S, happened: &mut BTreeSet<usize>) {
        for step in &self.under_way {
            let answers = matches!(self.steps[*step].end, End::Returned(..));
            if answers && !happened.contains(step) && self.happen(state, *step).as_ref() == Some(state) {
                happened.insert(*step);
            }
        }
    }

    /// The state after an operation; `None` if it would not have answered so, or is of unknown outcome and changes nothing,
    /// which is as if it never happened.
    fn happen(&self, state: &S, step: usize) -> Option<S> {
        let mut after = state.clone();
        let Step { op, end, .. } = &self.steps[step];
        let fits = match end {
            End::Returned(_, ret) => after.is_valid_step(op, ret),
            End::SettledBy(_) | End::Open => {
                after.invoke(op);
                after != *state
            }
        };
        fits.then_some(after)
    }
}

#[cfg(test)]
mod tests;
