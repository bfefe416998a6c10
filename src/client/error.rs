//! What a caller can be told, and what it may do then.

use std::time::Duration;

use super::servers::BadServers;
use crate::core::id::NodeId;
use crate::core::request::Failure;
use crate::wire::tree::TreeFailure;

/// Why a request was not met.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// The cluster's own answer.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// The answer of the coordination service, or of the node that asked it.
    #[error(transparent)]
    Tree(#[from] TreeFailure),
    /// No node could be reached; nothing was done.
    #[error("no node could be reached ({})", list(tried))]
    Connect {
        /// Each address that was tried, and what went wrong there.
        tried: Vec<(String, String)>,
    },
    /// The write was sent and its answer never came: it may have taken effect, now or later. Read the key before writing it again.
    #[error("the outcome is unknown: the write was sent to {address}, then {reason}")]
    OutcomeUnknown {
        /// Where it was sent.
        address: String,
        /// What happened then.
        reason: String,
    },
    /// Time ran out; nothing was changed.
    #[error("no answer from {address} within {} ms", after.as_millis())]
    Timeout {
        /// Who was asked last.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// A node answered what was not asked.
    #[error("{address} broke the protocol: {reason}")]
    Protocol {
        /// The node's address.
        address: String,
        /// What it did.
        reason: String,
    },
    /// No such node in the ring.
    #[error("node {0} is no member of the cluster")]
    UnknownNode(NodeId),
    /// The list of servers cannot be read.
    #[error(transparent)]
    Servers(#[from] BadServers),
}

impl ClientError {
    /// Whether the write may have taken effect all the same. Never send such a write again as a new one.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            ClientError::Failure(failure) => failure.outcome_unknown(),
            ClientError::Tree(failure) => failure.outcome_unknown(),
            ClientError::OutcomeUnknown { .. } => true,
            _ => false,
        }
    }

    /// Whether the same request may succeed later without risk of taking effect twice.
    pub fn retryable(&self) -> bool {
        match self {
            ClientError::Failure(failure) => failure.retryable(),
            ClientError::Tree(failure) => failure.retryable(),
            ClientError::Connect { .. } | ClientError::Timeout { .. } => true,
            _ => false,
        }
    }
}

fn list(tried: &[(String, String)]) -> String {
    tried.iter().map(|(address, reason)| format!("{address}: {reason}")).collect::<Vec<_>>().join("; ")
}
