//! Histories by hand, for the tests of the checks.

use std::time::Duration;

use bytes::Bytes;
use kv::coordination::api::{Error, Read};
use kv::coordination::tree::{Content, CreateMode, Listing, Path, Revision, SessionId, Stat};

use super::{Check, INVARIANTS};
use crate::history::{Answer, Call, ClientId, History, OperationId};

/// A history in the making. Each thing that happens takes a microsecond; sessions and clients have the same numbers.
#[derive(Default)]
pub struct Sketch {
    pub history: History,
    pub at: u64,
}

impl Sketch {
    /// A client asks.
    pub fn ask(&mut self, session: u64, call: Call) -> OperationId {
        self.at += 1;
        self.history.invoke(self.at, ClientId(session as u32), Some(SessionId(session)), call)
    }

    /// And is told.
    pub fn tell(&mut self, operation: OperationId, answer: Answer) {
        self.at += 1;
        self.history.answer(self.at, operation, answer);
    }

    /// Or gives up.
    pub fn give_up(&mut self, operation: OperationId) {
        self.at += 1;
        self.history.abandon(self.at, operation);
    }

    /// Asked and answered.
    pub fn did(&mut self, session: u64, call: Call, answer: Answer) -> OperationId {
        let operation = self.ask(session, call);
        self.tell(operation, answer);
        operation
    }

    /// A session begins.
    pub fn open(&mut self, session: u64, timeout: Duration) {
        let operation = self.ask(session, Call::Open { timeout });
        self.at += 1;
        self.history.opened(self.at, operation, SessionId(session), timeout);
    }

    /// Time passes.
    pub fn pass(&mut self, time: Duration) {
        self.at += time.as_micros() as u64;
    }

    /// What an invariant says of it.
    pub fn findings(&self, name: &str) -> Vec<String> {
        let (_, check): &(_, Check) = INVARIANTS.iter().find(|(known, _)| *known == name).expect("an invariant");
        check(&self.history).into_iter().map(|finding| finding.what).collect()
    }
}

pub fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

pub fn data(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

pub fn create(at: &str, text: &'static str, mode: CreateMode) -> Call {
    Call::Create { path: path(at), data: data(text), mode }
}

pub fn set(at: &str, text: &'static str) -> Call {
    Call::Set { path: path(at), data: data(text), expected: None }
}

pub fn delete(at: &str) -> Call {
    Call::Delete { path: path(at), expected: None }
}

pub fn get(at: &str) -> Call {
    Call::Get { path: path(at) }
}

pub fn exists(at: &str) -> Call {
    Call::Exists { path: path(at) }
}

pub fn children(at: &str) -> Call {
    Call::Children { path: path(at) }
}

/// A persistent node, created at revision 1, and at this version by the write of this revision.
pub fn stat(version: u64, modified: u64) -> Stat {
    Stat {
        created: Revision(1),
        modified: Revision(modified),
        version,
        children_version: 0,
        owner: None,
        data_bytes: 0,
        children: 0,
    }
}

pub fn created(at: &str, stat: Stat) -> Answer {
    Answer::Created { path: path(at), stat }
}

pub fn content(text: &'static str, stat: Stat, revision: u64) -> Answer {
    Answer::Content(Read { value: Content { data: data(text), stat }, revision: Revision(revision) })
}

pub fn seen(stat: Option<Stat>, revision: u64) -> Answer {
    Answer::Stat(Read { value: stat, revision: Revision(revision) })
}

pub fn listing(names: &[&str], revision: u64) -> Answer {
    let names = names.iter().map(ToString::to_string).collect();
    Answer::Listing(Read { value: Listing { names, stat: stat(0, 1) }, revision: Revision(revision) })
}

pub fn unknown() -> Answer {
    Answer::Failed(Error::OutcomeUnknown { cause: "no reply".into() })
}
