//! One node of the tree, as the object that a history must be explained by.
//!
//! What only the whole tree can know is left out: revisions, and whether the parent is there (the workload never deletes one).

use bytes::Bytes;
use kv::coordination::tree::SessionId;
use stateright::semantics::SequentialSpec;

/// The node, if it is there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Node(pub Option<Held>);

/// What a node holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Held {
    pub data: Bytes,
    pub version: u64,
    /// The session that it vanishes with.
    pub owner: Option<SessionId>,
}

/// What is done to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    Create {
        data: Bytes,
        owner: Option<SessionId>,
    },
    Set {
        data: Bytes,
        expected: Option<u64>,
    },
    Delete {
        expected: Option<u64>,
    },
    Get,
    Exists,
    /// A session ends.
    End(SessionId),
}

/// What comes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ret {
    /// To a set: the version after it.
    Version(u64),
    /// To a create, a delete and an end.
    Done,
    /// To a get.
    Held(Held),
    /// To an exists: version and owner.
    Stat(Option<(u64, Option<SessionId>)>),
    /// A node to be created was there.
    Exists,
    /// A node that had to be there was not.
    Missing,
    /// It had another version than the one expected.
    BadVersion,
    /// What a lone node never answers.
    Strange,
}

impl Node {
    fn at(&mut self, expected: Option<u64>) -> Result<&mut Held, Ret> {
        match &mut self.0 {
            None => Err(Ret::Missing),
            Some(held) if expected.is_some_and(|version| version != held.version) => Err(Ret::BadVersion),
            Some(held) => Ok(held),
        }
    }
}

impl SequentialSpec for Node {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Create { .. } if self.0.is_some() => Ret::Exists,
            Op::Create { data, owner } => {
                self.0 = Some(Held { data: data.clone(), version: 0, owner: *owner });
                Ret::Done
            }
            Op::Set { data, expected } => match self.at(*expected) {
                Ok(held) => {
                    (held.data, held.version) = (data.clone(), held.version + 1);
                    Ret::Version(held.version)
                }
                Err(refusal) => refusal,
            },
            Op::Delete { expected } => match self.at(*expected) {
                Ok(_) => {
                    self.0 = None;
                    Ret::Done
                }
                Err(refusal) => refusal,
            },
            Op::Get => self.0.clone().map_or(Ret::Missing, Ret::Held),
            Op::Exists => Ret::Stat(self.0.as_ref().map(|held| (held.version, held.owner))),
            Op::End(session) => {
                self.0.take_if(|held| held.owner == Some(*session));
                Ret::Done
            }
        }
    }
}
