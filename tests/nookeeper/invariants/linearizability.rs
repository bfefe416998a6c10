//! Each node of the tree alone is linearizable: its writes, and the reads that directly follow a `sync`.
//!
//! Sessions that had an ephemeral node there end in its history too, at any moment from which on they may. Sequential nodes
//! are left out, as an unknown outcome hides which they are.

use std::collections::{BTreeMap, BTreeSet};

use kv::coordination::api::Error;
use kv::coordination::tree::{Path, Refusal, SessionId};

use super::Finding;
use super::lifetimes::{Life, lives};
use crate::history::{Answer, Call, ClientId, History, Operation, OperationId, Place};
use crate::linear::node::{Held, Node, Op, Ret};
use crate::linear::search::{End, Flaw, Step, check as search};

/// Every node that was created under its own name.
pub fn check(history: &History) -> Vec<Finding> {
    let histories = Histories::new(history);
    let named = history.operations().iter().filter_map(|operation| match &operation.call {
        Call::Create { path, mode, .. } if !mode.is_sequential() => Some(path),
        _ => None,
    });
    let paths: BTreeSet<&Path> = named.collect();
    paths.into_iter().filter_map(|path| histories.judge(path)).collect()
}

/// Between an event and the next; what happens at a place itself is odd.
fn before(place: Place) -> Place {
    2 * place
}

fn at(place: Place) -> Place {
    2 * place + 1
}

struct Histories<'a> {
    history: &'a History,
    lives: BTreeMap<SessionId, Life>,
    /// Reads that directly follow a sync of their session, and where the sync began.
    current: BTreeMap<OperationId, Place>,
    /// Until when writes of unknown outcome can happen, if not for ever.
    settled: BTreeMap<OperationId, Place>,
}

impl<'a> Histories<'a> {
    fn new(history: &'a History) -> Histories<'a> {
        Histories { history, lives: lives(history), current: current_reads(history), settled: settled(history) }
    }

    fn judge(&self, path: &Path) -> Option<Finding> {
        let mut steps = vec![];
        let mut origins = vec![];
        let mut owners = BTreeSet::new();
        for (id, operation) in self.history.named().filter(|(_, operation)| operation.call.path() == Some(path)) {
            if let Call::Create { mode, .. } = &operation.call {
                owners.extend(operation.session.filter(|_| mode.is_ephemeral()));
            }
            if let Some(step) = self.step(id, operation) {
                steps.push(step);
                origins.push(id);
            }
        }
        steps.extend(owners.into_iter().filter_map(|session| self.ending(session)));
        let (what, step) = match search(Node::default(), &steps) {
            Ok(()) => return None,
            Err(Flaw::Unexplained { step }) => (format!("no order of all that was done to {path} explains"), step),
            Err(Flaw::TooMany { step }) => (format!("{path} was not judged: too many orders are left at"), step),
        };
        // An unexplained end of a session has no operation: something else must happen before it.
        let operation = origins.get(step).map_or("a session's end".into(), OperationId::to_string);
        let near = self.around(path, steps[step].invoked / 2);
        Some(Finding {
            what: format!("{what} {operation}"),
            operations: near.chain(origins.get(step).copied()).collect(),
        })
    }

    /// What was done to a node shortly before a place.
    fn around(&self, path: &Path, place: Place) -> impl Iterator<Item = OperationId> {
        let concerned = |operation: &Operation| operation.call.path() == Some(path) && operation.invoked <= place;
        let mut near: Vec<_> = self.history.named().filter(|(_, it)| concerned(it)).map(|(id, _)| id).collect();
        near.drain(..near.len().saturating_sub(12));
        near.into_iter()
    }

    fn step(&self, id: OperationId, operation: &Operation) -> Option<Step<Op, Ret>> {
        let (mut invoked, owner) = (operation.invoked, operation.session);
        let op = match &operation.call {
            Call::Create { data, mode, .. } => {
                Op::Create { data: data.clone(), owner: owner.filter(|_| mode.is_ephemeral()) }
            }
            Call::Set { data, expected, .. } => Op::Set { data: data.clone(), expected: *expected },
            Call::Delete { expected, .. } => Op::Delete { expected: *expected },
            Call::Get { .. } | Call::Exists { .. } => {
                invoked = *self.current.get(&id)?;
                if matches!(operation.call, Call::Get { .. }) { Op::Get } else { Op::Exists }
            }
            _ => return None,
        };
        let end = match operation.answer() {
            Some((place, answer)) => match ret(&operation.call, answer) {
                Some(ret) => End::Returned(at(place), ret),
                None if operation.surely_failed() => return None,
                None => self.unknown(id),
            },
            None if operation.call.is_write() => self.unknown(id),
            None => return None,
        };
        Some(Step { op, invoked: at(invoked), end })
    }

    fn unknown(&self, id: OperationId) -> End<Ret> {
        self.settled.get(&id).map_or(End::Open, |place| End::SettledBy(at(*place)))
    }

    fn ending(&self, session: SessionId) -> Option<Step<Op, Ret>> {
        let invoked = before(self.lives.get(&session)?.may_end_from(self.history));
        let ended = self.history.operations().iter().filter(|operation| operation.session == Some(session));
        let ended = ended.filter_map(|operation| match (&operation.call, operation.answer()?) {
            (_, (place, Answer::Failed(Error::SessionExpired))) | (Call::Close, (place, Answer::Done)) => Some(place),
            _ => None,
        });
        let end = ended.min().filter(|place| at(*place) > invoked);
        let end = end.map_or(End::Open, |place| End::Returned(at(place), Ret::Done));
        Some(Step { op: Op::End(session), invoked, end })
    }
}

/// What a node answered; `None` if the answer says nothing of it.
fn ret(call: &Call, answer: &Answer) -> Option<Ret> {
    Some(match answer {
        Answer::Created { .. } | Answer::Done => Ret::Done,
        Answer::Set(stat) => Ret::Version(stat.version),
        Answer::Content(read) => {
            let (data, stat) = (read.value.data.clone(), &read.value.stat);
            Ret::Held(Held { data, version: stat.version, owner: stat.owner })
        }
        Answer::Stat(read) => Ret::Stat(read.value.as_ref().map(|stat| (stat.version, stat.owner))),
        Answer::Failed(Error::Refused(refusal)) => match refusal {
            Refusal::NodeExists { .. } => Ret::Exists,
            Refusal::NoNode { path } if call.path() == Some(path) => Ret::Missing,
            Refusal::BadVersion { .. } => Ret::BadVersion,
            Refusal::TooMuch { .. } | Refusal::GivenUp { .. } | Refusal::SessionExpired { .. } => return None,
            Refusal::NoNode { .. }
            | Refusal::NotEmpty { .. }
            | Refusal::NoChildrenForEphemerals { .. }
            | Refusal::RootStays => Ret::Strange,
        },
        Answer::Failed(_) | Answer::Opened { .. } | Answer::Listing(_) => return None,
    })
}

/// Reads whose client did nothing between a sync and them: together they are one read that is current.
fn current_reads(history: &History) -> BTreeMap<OperationId, Place> {
    let mut synced = BTreeMap::<ClientId, (Option<SessionId>, Place)>::new();
    let mut current = BTreeMap::new();
    for (id, operation) in history.named() {
        if matches!(operation.call, Call::Changed { .. }) {
            continue;
        }
        let before = synced.remove(&operation.client);
        if operation.call == Call::Sync && operation.succeeded().is_some() {
            synced.insert(operation.client, (operation.session, operation.invoked));
        } else if let Some((_, place)) = before.filter(|(session, _)| *session == operation.session) {
            current.insert(id, place);
        }
    }
    current
}

/// A write that was given up cannot happen any more once a later write that overlapped no other of its session was answered.
fn settled(history: &History) -> BTreeMap<OperationId, Place> {
    let mut by_session = BTreeMap::<SessionId, Vec<(OperationId, &Operation)>>::new();
    for (id, operation) in history.named().filter(|(_, operation)| operation.call.is_write()) {
        if let Some(session) = operation.session {
            by_session.entry(session).or_default().push((id, operation));
        }
    }
    let mut settled = BTreeMap::new();
    for writes in by_session.values() {
        let mut unsettled = vec![];
        // Where the last of those that began so far ends; `None` if one waits still.
        let mut busy_until = Some(0);
        for (index, (id, operation)) in writes.iter().enumerate() {
            let alone_before = busy_until.is_some_and(|until| until < operation.invoked);
            let next = writes.get(index + 1).map(|(_, next)| next.invoked);
            let alone_after = operation.ended().is_some_and(|ended| next.is_none_or(|next| ended < next));
            let looked_at = operation.answer().is_some_and(|(_, answer)| was_looked_at(answer));
            if alone_before && alone_after && looked_at {
                let place = operation.ended().expect("it is answered");
                unsettled.drain(..).for_each(|earlier| {
                    settled.insert(earlier, place);
                });
            } else if !looked_at && !operation.surely_failed() {
                unsettled.push(*id);
            }
            busy_until = busy_until.zip(operation.ended()).map(|(until, ended)| until.max(ended));
        }
    }
    settled
}

/// Whether the replicated state gave the answer: it was changed, or it is why it was not.
fn was_looked_at(answer: &Answer) -> bool {
    match answer {
        Answer::Failed(Error::Refused(refusal)) => {
            !matches!(refusal, Refusal::GivenUp { .. } | Refusal::TooMuch { .. })
        }
        Answer::Failed(Error::SessionExpired) => true,
        Answer::Failed(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kv::coordination::tree::{CreateMode, Stat};

    use super::super::sketch::*;
    use super::*;

    const NAME: &str = "linearizability";

    fn made() -> Sketch {
        let mut sketch = Sketch::default();
        sketch.did(1, create("/a", "0", CreateMode::Persistent), created("/a", stat(0, 1)));
        sketch
    }

    fn read(sketch: &mut Sketch, session: u64, answer: Answer) {
        sketch.did(session, Call::Sync, Answer::Done);
        sketch.did(session, get("/a"), answer);
    }

    #[test]
    fn plain_reads_may_be_old_and_current_ones_may_not() {
        let mut sketch = made();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 2)));
        sketch.did(2, get("/a"), content("0", stat(0, 1), 1));
        read(&mut sketch, 2, content("1", stat(1, 2), 2));
        assert!(sketch.findings(NAME).is_empty());
        read(&mut sketch, 3, content("0", stat(0, 1), 1));
        assert_eq!(sketch.findings(NAME), ["no order of all that was done to /a explains #6"]);
    }

    #[test]
    fn an_acknowledged_write_is_not_lost() {
        let mut sketch = made();
        sketch.did(1, set("/a", "1"), Answer::Set(stat(1, 2)));
        sketch.did(1, set("/a", "2"), Answer::Set(stat(1, 3)));
        assert_eq!(sketch.findings(NAME).len(), 1);
    }

    #[test]
    fn what_was_given_up_happens_until_a_later_write_was_answered() {
        let history = |late_at: usize| {
            let mut sketch = made();
            let lost = sketch.ask(1, set("/a", "1"));
            sketch.give_up(lost);
            for write in 0..2 {
                if write == late_at {
                    read(&mut sketch, 2, content("1", stat(1, 2), 2));
                }
                let version = 1 + write as u64 + u64::from(write >= late_at);
                let text = ["2", "3"][write];
                sketch.did(1, set("/a", text), Answer::Set(stat(version, version + 1)));
            }
            if late_at == 2 {
                read(&mut sketch, 2, content("1", stat(3, 4), 4));
            }
            sketch.findings(NAME).len()
        };
        assert_eq!(history(0), 0, "before");
        assert_eq!(history(1), 1, "after");
        assert_eq!(history(2), 1, "long after");
    }

    #[test]
    fn an_ephemeral_node_stays_as_long_as_its_session() {
        let gone_after = |millis| {
            let mut sketch = Sketch::default();
            sketch.open(1, Duration::from_secs(1));
            let mine = Stat { owner: Some(SessionId(1)), ..stat(0, 1) };
            sketch.did(1, create("/a", "0", CreateMode::Ephemeral), created("/a", mine));
            sketch.pass(Duration::from_millis(millis));
            sketch.did(2, Call::Sync, Answer::Done);
            sketch.did(2, exists("/a"), seen(None, 2));
            sketch.findings(NAME).len()
        };
        assert_eq!((gone_after(900), gone_after(1000)), (1, 0));
    }

    #[test]
    fn an_ephemeral_node_does_not_outlive_its_session() {
        let mut sketch = Sketch::default();
        sketch.open(1, Duration::from_secs(1));
        let mine = Stat { owner: Some(SessionId(1)), ..stat(0, 1) };
        sketch.did(1, create("/a", "0", CreateMode::Ephemeral), created("/a", mine.clone()));
        sketch.did(1, Call::Close, Answer::Done);
        read(&mut sketch, 2, content("0", mine, 2));
        assert_eq!(sketch.findings(NAME).len(), 1);
    }
}
