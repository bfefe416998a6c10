//! What a request can fail with, and what its caller may do then.

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::core::id::{Epoch, NodeId};

/// Why a request was not met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// The request can never be met as it stands; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// The context is not one that this cluster gave out; nothing was sent.
    #[error("bad context: {0}; read the key again and use the context of that answer")]
    BadContext(String),
    /// Something is over its limit; nothing was stored.
    #[error("{what} has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// bucket, key, value or object.
        what: String,
        /// Its bytes.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The write would leave more siblings, or context entries, than allowed; nothing was stored.
    #[error(
        "the key would have {have} {what}, the limit is {limit}; read it and write the resolved value with the context of that read"
    )]
    TooMany {
        /// siblings or context entries.
        what: String,
        /// How many there would be.
        have: u32,
        /// How many are allowed.
        limit: u32,
    },
    /// Too few replicas can answer.
    #[error("{}", quorum_sentence(*kind, *needed, *got, *primaries_needed, *primaries_got, missing, *applied))]
    QuorumNotMet {
        /// Read or write.
        kind: Kind,
        /// r or w.
        needed: u8,
        /// Replicas that answered.
        got: u8,
        /// pr or pw.
        primaries_needed: u8,
        /// Owners that answered.
        primaries_got: u8,
        /// Owners that cannot answer.
        missing: Vec<NodeId>,
        /// Whether a replica may hold the write all the same.
        applied: bool,
    },
    /// Time ran out.
    #[error("{} timed out after {after_ms} ms with {got} of {}={needed} answers (waiting for node {}){}", kind_word(*kind), kind.letter(), node_list(waiting_for), outcome_clause(*kind, *applied))]
    Timeout {
        /// Read or write.
        kind: Kind,
        /// r or w.
        needed: u8,
        /// Replicas that answered.
        got: u8,
        /// Who had not answered.
        waiting_for: Vec<NodeId>,
        /// Milliseconds waited.
        after_ms: u32,
        /// Whether a replica may hold the write all the same.
        applied: bool,
    },
    /// The connection that carried a forwarded write broke: nobody can tell what came of it.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(String),
    /// A limit of the node was reached; nothing was done.
    #[error("overloaded: {limit} reached; try again in {retry_after_ms} ms")]
    Overloaded {
        /// Which limit, by its configuration key.
        limit: String,
        /// When to try again, in milliseconds.
        retry_after_ms: u32,
    },
    /// The node that should have begun the write cannot write or read its own disk; nothing was done.
    #[error("node {node} cannot serve this: {reason}; nothing was written")]
    Unavailable {
        /// Which.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The sender's ring is older than the receiver's; nothing was done. Learn the ring again.
    #[error("the key has moved: the ring is at epoch {epoch}")]
    Moved {
        /// The receiver's epoch.
        epoch: Epoch,
    },
    /// The node is stopping; nothing was done.
    #[error("the node is stopping")]
    ShuttingDown,
}

impl Failure {
    /// Whether the operation may have taken effect all the same. Never send such a write again as a new one.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Failure::QuorumNotMet { applied, .. } | Failure::Timeout { applied, .. } => *applied,
            Failure::OutcomeUnknown(_) => true,
            _ => false,
        }
    }

    /// Whether the same request may succeed later, or elsewhere, without risk of taking effect twice.
    pub fn retryable(&self) -> bool {
        let transient = !matches!(
            self,
            Failure::Invalid(_) | Failure::BadContext(_) | Failure::TooLarge { .. } | Failure::TooMany { .. }
        );
        transient && !self.outcome_unknown()
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Read => "read",
        Kind::Write => "write",
    }
}

fn node_list(nodes: &[NodeId]) -> String {
    match nodes {
        [] => "nobody".into(),
        nodes => nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn outcome_clause(kind: Kind, applied: bool) -> &'static str {
    match (kind, applied) {
        (Kind::Read, _) => "",
        (Kind::Write, true) => "; the outcome is unknown",
        (Kind::Write, false) => "; nothing was written",
    }
}

fn quorum_sentence(
    kind: Kind,
    needed: u8,
    got: u8,
    primaries_needed: u8,
    primaries_got: u8,
    missing: &[NodeId],
    applied: bool,
) -> String {
    let letter = kind.letter();
    let size = if got >= needed && primaries_needed > 0 {
        format!("P{letter}={primaries_needed}: {primaries_got} owners")
    } else {
        format!("{letter}={needed}: {got}")
    };
    format!(
        "{} quorum not met, {size} answered, node {} missing{}",
        kind_word(kind),
        node_list(missing),
        outcome_clause(kind, applied)
    )
}
