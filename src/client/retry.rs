//! What may be tried again, and how.
//!
//! A read may be sent as often as one likes. A write is sent again only if surely no replica holds it: because not a byte of it
//! was written, or because the node said so. All else is for the caller to decide, who is told *outcome unknown*.

use std::time::Duration;

use super::ClientError;
use crate::core::id::Epoch;
use crate::core::request::Failure;
use crate::mutant;

/// What came of one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome<T> {
    /// The node answered.
    Answered(Result<T, Failure>),
    /// Not a byte was written.
    NotSent(String),
    /// It was written, then the connection broke.
    Lost(String),
    /// Its time is over.
    Late {
        /// Whether it was written.
        sent: bool,
    },
}

/// What to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Next<T> {
    /// That is the result.
    Finish(Result<T, ClientError>),
    /// Ask another node at once; this one could not be reached.
    Unreached(String),
    /// Ask another node at once; this is the result if there is none.
    Elsewhere(ClientError),
    /// Learn a ring that is at least as new from that node, then ask again.
    Learn(Epoch, ClientError),
    /// Wait, then ask again; this is the result if there is no time left.
    After(Duration, ClientError),
}

/// Judges an attempt at `address`. `timeout` is the request's whole time.
pub(crate) fn judge<T>(is_write: bool, address: &str, timeout: Duration, outcome: Outcome<T>) -> Next<T> {
    let lost = |reason: String| ClientError::OutcomeUnknown { address: address.into(), reason };
    match outcome {
        Outcome::Answered(Ok(answer)) => Next::Finish(Ok(answer)),
        Outcome::Answered(Err(failure)) => judge_failure(failure),
        Outcome::NotSent(reason) => Next::Unreached(reason),
        Outcome::Lost(reason) if is_write && !mutant!(RetryPut) => Next::Finish(Err(lost(reason))),
        Outcome::Lost(reason) => Next::Unreached(reason),
        Outcome::Late { sent: true } if is_write => {
            Next::Finish(Err(lost(format!("no answer came within {} ms", timeout.as_millis()))))
        }
        Outcome::Late { .. } => Next::Finish(Err(ClientError::Timeout { address: address.into(), after: timeout })),
    }
}

fn judge_failure<T>(failure: Failure) -> Next<T> {
    match failure {
        Failure::Overloaded { retry_after_ms, .. } => {
            Next::After(Duration::from_millis(retry_after_ms.into()), failure.into())
        }
        Failure::Moved { epoch } => Next::Learn(epoch, failure.into()),
        // Another node may see the replicas that this one has lost, or be in touch with the coordination service.
        Failure::QuorumNotMet { applied: false, .. }
        | Failure::RingMayBeStale { applied: false, .. }
        | Failure::Unavailable { .. }
        | Failure::NotCovered { .. }
        | Failure::ShuttingDown => Next::Elsewhere(failure.into()),
        failure => Next::Finish(Err(failure.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::NodeId;
    use crate::core::request::{Answer, Kind};

    type Outcome = super::Outcome<Answer>;

    const TIME: Duration = Duration::from_secs(1);

    fn quorum_not_met(applied: bool) -> Failure {
        Failure::QuorumNotMet {
            kind: Kind::Write,
            needed: 3,
            got: 2,
            primaries_needed: 0,
            primaries_got: 2,
            missing: vec![NodeId(3)],
            unleased: vec![],
            applied,
        }
    }

    fn ring_may_be_stale(applied: bool) -> Failure {
        Failure::RingMayBeStale { kind: Kind::Write, node: NodeId(1), applied }
    }

    #[test]
    fn a_write_that_may_be_applied_is_never_sent_again() {
        let unknown = [
            Outcome::Lost("it broke".into()),
            Outcome::Late { sent: true },
            Outcome::Answered(Err(quorum_not_met(true))),
            Outcome::Answered(Err(ring_may_be_stale(true))),
            Outcome::Answered(Err(Failure::OutcomeUnknown("the link broke".into()))),
        ];
        for outcome in unknown {
            match judge(true, "a:1", TIME, outcome.clone()) {
                Next::Finish(Err(error)) => assert!(error.outcome_unknown() && !error.retryable(), "{error}"),
                next => panic!("{outcome:?} led to {next:?}"),
            }
        }
    }

    #[test]
    fn what_surely_was_not_applied_is_tried_again() {
        assert!(matches!(judge(true, "a:1", TIME, Outcome::NotSent("refused".into())), Next::Unreached(_)));
        assert!(matches!(judge(false, "a:1", TIME, Outcome::Lost("it broke".into())), Next::Unreached(_)));
        let partition = crate::core::id::Partition(0);
        let not_covered = Failure::NotCovered { partition, needed: 2, owners: 3, missing: vec![] };
        for failure in [quorum_not_met(false), ring_may_be_stale(false), Failure::ShuttingDown, not_covered] {
            let next = judge(true, "a:1", TIME, Outcome::Answered(Err(failure.clone())));
            assert_eq!(next, Next::Elsewhere(failure.into()));
        }
        let overloaded = Failure::Overloaded { limit: "limits.requests_max".into(), retry_after_ms: 7 };
        let next = judge(true, "a:1", TIME, Outcome::Answered(Err(overloaded.clone())));
        assert_eq!(next, Next::After(Duration::from_millis(7), overloaded.into()));
    }

    #[test]
    fn wrong_use_is_final() {
        for failure in [Failure::Invalid("w > n".into()), Failure::BadContext("cut".into())] {
            let next = judge(false, "a:1", TIME, Outcome::Answered(Err(failure.clone())));
            assert_eq!(next, Next::Finish(Err(failure.into())));
        }
    }
}
