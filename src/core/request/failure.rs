//! What a request can fail with, and what its caller may do then.

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::core::id::{Epoch, NodeId, Partition};

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
    #[error(
        "{} quorum not met, {}{}{}",
        kind_word(*kind),
        size_clause(kind.letter(), (*needed, *got), (*primaries_needed, *primaries_got), unleased),
        absence_clause(missing, unleased),
        outcome_clause(*kind, *applied)
    )]
    QuorumNotMet {
        /// Read or write.
        kind: Kind,
        /// r or w.
        needed: u8,
        /// Replicas that answered.
        got: u8,
        /// pr or pw.
        primaries_needed: u8,
        /// Owners that answered with a lease.
        primaries_got: u8,
        /// Owners that cannot answer.
        missing: Vec<NodeId>,
        /// Owners that answered and count in no pr or pw: their sessions with the coordination service are not confirmed.
        unleased: Vec<NodeId>,
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
    /// The request asks for owners, and the node that coordinates it has no lease: the coordination service may have ended its
    /// session, and changed the ring since. Another node may have one; so may this one later.
    #[error(
        "node {node} cannot promise this {}: its session with the coordination service is not confirmed, so its ring may \
         be stale; sloppy requests go on{}",
        strict_word(*kind),
        outcome_clause(*kind, *applied)
    )]
    RingMayBeStale {
        /// Read or write.
        kind: Kind,
        /// Which.
        node: NodeId,
        /// Whether replicas hold the write all the same: the lease ended while they were asked.
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
    /// A page of a listing: too few owners of a partition can tell what they hold. The listing can go on from the same place later,
    /// or through another node.
    #[error(
        "partition {partition} cannot be listed: {needed} of its {owners} owners must answer{}",
        reason_clause(missing)
    )]
    NotCovered {
        /// The partition that was to be listed.
        partition: Partition,
        /// r of the bucket.
        needed: u8,
        /// Owners that there are.
        owners: u8,
        /// Owners that did not answer, and why. There may be more: it ends as soon as too few are left.
        missing: Vec<(NodeId, String)>,
    },
    /// The node is stopping; nothing was done.
    #[error("the node is stopping")]
    ShuttingDown,
}

impl Failure {
    /// Whether the operation may have taken effect all the same. Never send such a write again as a new one.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Failure::QuorumNotMet { applied, .. }
            | Failure::Timeout { applied, .. }
            | Failure::RingMayBeStale { applied, .. } => *applied,
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

fn reason_clause(missing: &[(NodeId, String)]) -> String {
    let reasons: Vec<String> = missing.iter().map(|(node, why)| format!("node {node} ({why})")).collect();
    if reasons.is_empty() { String::new() } else { format!(", and there is no answer from {}", reasons.join(", ")) }
}

fn outcome_clause(kind: Kind, applied: bool) -> &'static str {
    match (kind, applied) {
        (Kind::Read, _) => "",
        (Kind::Write, true) => "; the outcome is unknown",
        (Kind::Write, false) => "; nothing was written",
    }
}

fn strict_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Read => "strict read",
        Kind::Write => "strict write",
    }
}

/// The threshold that was missed, and how far: the one for all replicas, or else the one for owners.
fn size_clause(
    letter: char,
    (needed, got): (u8, u8),
    (primaries_needed, primaries_got): (u8, u8),
    unleased: &[NodeId],
) -> String {
    if got < needed || primaries_needed == 0 {
        return format!("{letter}={needed}: {got} answered");
    }
    let verb = if unleased.is_empty() { "answered" } else { "counted" };
    format!("P{letter}={primaries_needed}: {primaries_got} owners {verb}")
}

/// Who did not answer, and whose answer does not count as an owner's.
fn absence_clause(missing: &[NodeId], unleased: &[NodeId]) -> String {
    let mut clause = String::new();
    if !unleased.is_empty() {
        clause += &format!(", node {} answered without a lease", node_list(unleased));
    }
    if !missing.is_empty() || unleased.is_empty() {
        clause += &format!(", node {} missing", node_list(missing));
    }
    clause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_met(got: u8, primaries: (u8, u8), missing: &[u32], unleased: &[u32]) -> Failure {
        let nodes = |ids: &[u32]| ids.iter().copied().map(NodeId).collect();
        Failure::QuorumNotMet {
            kind: Kind::Write,
            needed: 2,
            got,
            primaries_needed: primaries.0,
            primaries_got: primaries.1,
            missing: nodes(missing),
            unleased: nodes(unleased),
            applied: true,
        }
    }

    #[test]
    fn says_what_is_short_and_whose_fault_it_is() {
        let sentences = [
            (not_met(1, (0, 1), &[2, 3], &[]), "W=2: 1 answered, node 2, 3 missing"),
            (not_met(2, (2, 1), &[3], &[]), "PW=2: 1 owners answered, node 3 missing"),
            (not_met(2, (2, 1), &[3], &[2]), "PW=2: 1 owners counted, node 2 answered without a lease, node 3 missing"),
            (not_met(3, (2, 1), &[], &[2, 3]), "PW=2: 1 owners counted, node 2, 3 answered without a lease"),
            (not_met(1, (2, 0), &[3], &[2]), "W=2: 1 answered, node 2 answered without a lease, node 3 missing"),
        ];
        for (failure, sentence) in sentences {
            assert_eq!(failure.to_string(), format!("write quorum not met, {sentence}; the outcome is unknown"));
        }
    }

    #[test]
    fn a_gap_in_a_listing_is_named() {
        let missing = vec![(NodeId(2), "unreachable".into()), (NodeId(3), "late".into())];
        let failure = Failure::NotCovered { partition: Partition(17), needed: 2, owners: 3, missing };
        let sentence = "partition 17 cannot be listed: 2 of its 3 owners must answer, and there is no answer from node 2 \
                        (unreachable), node 3 (late)";
        assert_eq!(failure.to_string(), sentence);
        assert!(failure.retryable());
    }

    #[test]
    fn a_stale_ring_is_retried_unless_the_write_may_hold() {
        let stale = |kind, applied| Failure::RingMayBeStale { kind, node: NodeId(2), applied };
        assert_eq!(
            stale(Kind::Write, false).to_string(),
            "node 2 cannot promise this strict write: its session with the coordination service is not confirmed, so its \
             ring may be stale; sloppy requests go on; nothing was written"
        );
        assert!(stale(Kind::Read, false).retryable() && stale(Kind::Write, false).retryable());
        let applied = stale(Kind::Write, true);
        assert!(applied.outcome_unknown() && !applied.retryable(), "{applied}");
    }
}
