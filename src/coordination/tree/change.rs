//! What a write asks of the tree, and what comes of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::limits::Limit;
use super::node::{CreateMode, SessionId, Stat};
use super::path::Path;

/// One step of a write. `expected` is the version that the node must have; `None` is any.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// Makes a node below one that is there.
    Create {
        /// Where; of a sequential node what its number is put behind.
        path: Path,
        /// What it holds.
        #[serde(with = "crate::core::blob")]
        data: Bytes,
        /// Who it belongs to, and who names it.
        mode: CreateMode,
    },
    /// Replaces a node's data and raises its version.
    Set {
        /// Which.
        path: Path,
        /// What it holds from now on.
        #[serde(with = "crate::core::blob")]
        data: Bytes,
        /// What its version must be.
        expected: Option<u64>,
    },
    /// Removes a node without children.
    Delete {
        /// Which.
        path: Path,
        /// What its version must be.
        expected: Option<u64>,
    },
    /// Changes nothing, but the write fails unless the node is there.
    Check {
        /// Which.
        path: Path,
        /// What its version must be.
        expected: Option<u64>,
    },
}

impl Change {
    /// Bytes of data that it brings.
    pub(super) fn data_bytes(&self) -> u64 {
        match self {
            Change::Create { data, .. } | Change::Set { data, .. } => data.len() as u64,
            Change::Delete { .. } | Change::Check { .. } => 0,
        }
    }
}

/// What came of one step of a write that was applied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// Of [`Change::Create`].
    Created {
        /// Its path, with its number if it is sequential.
        path: Path,
        /// How it was after this step.
        stat: Stat,
    },
    /// Of [`Change::Set`]: how the node was after this step.
    Set(Stat),
    /// Of [`Change::Delete`].
    Deleted,
    /// Of [`Change::Check`].
    Checked,
}

/// What happened to a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// To which.
    pub path: Path,
    /// What.
    pub kind: EventKind,
}

/// The kinds of [`Event`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// It was made.
    Created,
    /// Its data was set, to the same bytes perhaps.
    Set,
    /// It was deleted, or vanished with its session.
    Deleted,
}

/// Why a write or read was not carried out. The service looked and said no: nothing was changed, and the same request
/// gets the same answer while the tree stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// A node that had to be there is not: the one asked for, or the parent of one to be created.
    #[error("{path} does not exist")]
    NoNode {
        /// The node that is missing.
        path: Path,
    },
    /// A node to be created is there already.
    #[error("{path} exists")]
    NodeExists {
        /// Which.
        path: Path,
    },
    /// A node has another version than the one expected. Read it again.
    #[error("{path} is not at version {expected}")]
    BadVersion {
        /// Which.
        path: Path,
        /// The version it should have had.
        expected: u64,
    },
    /// A node to be deleted has children.
    #[error("{path} has children")]
    NotEmpty {
        /// Which.
        path: Path,
    },
    /// The parent of a node to be created is ephemeral.
    #[error("{path} is ephemeral and has no children")]
    NoChildrenForEphemerals {
        /// The parent.
        path: Path,
    },
    /// The root cannot be deleted.
    #[error("the root cannot be deleted")]
    RootStays,
    /// The write would pass a limit.
    #[error("{limit} may be at most {max}")]
    TooMuch {
        /// Which limit.
        limit: Limit,
        /// How high it is.
        max: u64,
    },
    /// The session has ended, and its ephemeral nodes with it. Open another.
    #[error("session {session} has expired or was closed")]
    SessionExpired {
        /// Which.
        session: SessionId,
    },
    /// A write that its sender has given up: it said since that it waits for later ones alone. It was not applied now;
    /// whether it was applied earlier is forgotten.
    #[error("write {sequence} of its session was given up by its sender")]
    GivenUp {
        /// Its number in its session.
        sequence: u64,
    },
}
