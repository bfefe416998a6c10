//! What operations return.

use bytes::Bytes;

use super::{ClientError, Context};
use crate::core::id::NodeId;
use crate::core::request::{Answer, Value};

/// What a read found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// Every surviving sibling, newest first. None: not found. More than one: concurrent writes that nobody has resolved yet.
    pub values: Vec<Value>,
    /// To be given to the write that follows, so that it replaces all of `values`. `None` if no replica knows the key.
    pub context: Option<Context>,
    /// Who answered.
    pub replicas: Vec<NodeId>,
}

impl Read {
    /// The newest value; `None` if the key was not found. Of siblings it is only one: see [`Read::is_conflict`].
    pub fn value(&self) -> Option<&Bytes> {
        self.values.first().map(|value| &value.bytes)
    }

    /// All values, newest first.
    pub fn siblings(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.values.iter().map(|value| &value.bytes)
    }

    /// Whether there is more than one value: merge them and write the result with [`Read::context`].
    pub fn is_conflict(&self) -> bool {
        self.values.len() > 1
    }
}

/// A write that as many replicas as asked hold durably.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// This write and all that it covered: give it to the next write of the same key to follow one's own.
    pub context: Context,
    /// Live siblings now; more than one means that a concurrent write was kept beside this one.
    pub siblings: u32,
    /// Who holds it.
    pub replicas: Vec<NodeId>,
}

/// Takes the answer of the right kind out of what a node said.
pub(crate) trait FromAnswer: Sized {
    fn from_answer(answer: Answer, address: &str) -> Result<Self, ClientError>;
}

impl FromAnswer for Read {
    fn from_answer(answer: Answer, address: &str) -> Result<Read, ClientError> {
        match answer {
            Answer::Read { values, context, replicas } => {
                Ok(Read { values, context: context.map(Context::from_bytes), replicas })
            }
            Answer::Written { .. } => Err(mismatch(address, "a read as a write")),
        }
    }
}

impl FromAnswer for Written {
    fn from_answer(answer: Answer, address: &str) -> Result<Written, ClientError> {
        match answer {
            Answer::Written { context, siblings, replicas } => {
                Ok(Written { context: Context::from_bytes(context), siblings, replicas })
            }
            Answer::Read { .. } => Err(mismatch(address, "a write as a read")),
        }
    }
}

fn mismatch(address: &str, what: &str) -> ClientError {
    ClientError::Protocol { address: address.into(), reason: format!("it answered {what}") }
}
