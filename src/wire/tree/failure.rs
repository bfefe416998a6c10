//! What the coordination service, or the node that asked it, says instead of an answer.

use serde::{Deserialize, Serialize};

use crate::core::id::NodeId;
use crate::wire::change::ChangeFailure;

/// Why it was not done. Unless it says otherwise, nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum TreeFailure {
    /// The node asked has no session with the service. Another one may have.
    #[error("node {node} is not connected to the coordination service: {reason}")]
    NotConnected {
        /// Which node.
        node: NodeId,
        /// Why not.
        reason: String,
    },
    /// The service does not answer, or has no leader. The same request may succeed later.
    #[error("the coordination service does not answer: {reason}; nothing was changed")]
    Unavailable {
        /// What was tried, and what came of it.
        reason: String,
    },
    /// The write may have happened, or may yet happen.
    #[error("the outcome is unknown: {reason}")]
    OutcomeUnknown {
        /// What was tried, and what came of it.
        reason: String,
    },
    /// A path, name or property that is none, or a combination that cannot be.
    #[error("{reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// A node that had to be there is not: the one asked for, or the parent of one to be made.
    #[error("no such node: {path}")]
    NoNode {
        /// The node that is missing.
        path: String,
    },
    /// The node to be made is there already.
    #[error("{path} exists already")]
    NodeExists {
        /// Which.
        path: String,
    },
    /// The node has another version than the one expected.
    #[error("{path} is not at version {expected}{}", present.map(|v| format!(" but at {v}")).unwrap_or_default())]
    BadVersion {
        /// Which.
        path: String,
        /// The version it should have had.
        expected: u64,
        /// The one that it has, if it could be read.
        present: Option<u64>,
    },
    /// The node to be deleted has children.
    #[error("{path} has children")]
    NotEmpty {
        /// Which.
        path: String,
    },
    /// The service refuses it for another reason.
    #[error("the coordination service refuses: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The ring is not changed so.
    #[error(transparent)]
    Change(#[from] ChangeFailure),
    /// A limit was reached.
    #[error("{what}: the limit is {limit}")]
    TooMany {
        /// Of what.
        what: String,
        /// How many are allowed.
        limit: u32,
    },
    /// The node is stopping.
    #[error("the node is stopping")]
    ShuttingDown,
}

impl TreeFailure {
    /// Whether the write may have happened all the same.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, TreeFailure::OutcomeUnknown { .. })
    }

    /// Whether the same request may succeed later, or through another node, without risk of taking effect twice.
    pub fn retryable(&self) -> bool {
        self.is_of_this_node() || matches!(self, TreeFailure::Unavailable { .. })
    }

    /// Whether it lies in the node that was asked, so that another one should be.
    pub fn is_of_this_node(&self) -> bool {
        matches!(self, TreeFailure::NotConnected { .. } | TreeFailure::TooMany { .. } | TreeFailure::ShuttingDown)
    }
}
