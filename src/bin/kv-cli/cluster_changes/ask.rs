//! Asking about ring changes, and what to do after an error.

use kv::client::{Client, ClientError};
use kv::wire::change::{ChangeAnswer, ChangeFailure, ChangeReport, ChangeRequest, PlanReport, StagedReport};
use kv::wire::tree::TreeFailure;

use super::remedies;
use crate::cluster::Where;
use crate::exit::CliError;

/// A cluster whose ring is looked at or changed.
pub struct Changes {
    /// The way to it.
    pub client: Client,
    /// The options that name it again, for commands that are suggested.
    pub cluster: String,
}

impl Changes {
    /// Connects.
    pub async fn at(at: &Where) -> Result<Changes, CliError> {
        Ok(Changes { client: at.connect(None).await?, cluster: at.as_arguments(None) })
    }

    /// Asks; an error says what to do next.
    pub async fn ask(&self, request: ChangeRequest) -> Result<ChangeAnswer, CliError> {
        self.client.change(request).await.map_err(|error| advised(error, &self.cluster))
    }

    /// What would be committed.
    pub async fn plan(&self) -> Result<PlanReport, CliError> {
        match self.ask(ChangeRequest::Plan).await? {
            ChangeAnswer::Plan(plan) => Ok(plan),
            _ => Err(strange()),
        }
    }

    /// The change that runs, or the last one.
    pub async fn progress(&self) -> Result<Option<ChangeReport>, CliError> {
        match self.ask(ChangeRequest::Progress).await? {
            ChangeAnswer::Change(change) => Ok(change.map(|change| *change)),
            _ => Err(strange()),
        }
    }

    /// Changes what is staged.
    pub async fn stage(&self, request: ChangeRequest) -> Result<StagedReport, CliError> {
        match self.ask(request).await? {
            ChangeAnswer::Staged(staged) => Ok(staged),
            _ => Err(strange()),
        }
    }
}

/// An answer to something else than what was asked.
pub fn strange() -> CliError {
    let reason = "it answered another question than the one that was asked".into();
    ClientError::Protocol { address: "the node".into(), reason }.into()
}

/// An error with what to do about it.
fn advised(error: ClientError, cluster: &str) -> CliError {
    let advice = match &error {
        ClientError::Tree(TreeFailure::Change(failure)) => match failure {
            ChangeFailure::Running { .. } => format!(
                "`kv-cli{cluster} cluster watch` shows how far it is, `kv-cli{cluster} cluster turn-back` takes it back."
            ),
            ChangeFailure::PlanChanged { .. } => format!("`kv-cli{cluster} cluster plan` shows what is staged now."),
            ChangeFailure::Refused(refusals) => {
                let remedies: Vec<_> = refusals.iter().map(|refusal| remedies::for_refusal(refusal, cluster)).collect();
                remedies.join("\n")
            }
            ChangeFailure::NoChange { .. } => format!("`kv-cli{cluster} cluster watch` says how the last one ended."),
        },
        error if error.outcome_unknown() => format!(
            "It may have happened, now or later: look at `kv-cli{cluster} cluster plan` and `kv-cli{cluster} cluster watch` \
             before you repeat it."
        ),
        _ => return error.into(),
    };
    CliError::Advised { error, advice }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use kv::core::id::NodeId;
    use kv::core::ring::change::{Origin, Refusal};

    #[test]
    fn each_failure_says_what_to_type() {
        let failures = [
            ChangeFailure::Running { number: 3, origin: Origin::Operator, through: NodeId(2) },
            ChangeFailure::PlanChanged { expected: 1, found: 2 },
            ChangeFailure::Refused(vec![Refusal::Alive { node: NodeId(1) }]),
            ChangeFailure::NoChange { number: 3 },
        ];
        for failure in failures {
            let error = advised(ClientError::Tree(failure.into()), " --servers a:1");
            assert_eq!(error.exit(), Exit::Usage, "{error}");
            assert!(error.advice().unwrap().contains("kv-cli --servers a:1 cluster "), "{error}");
        }
    }

    #[test]
    fn an_answer_that_never_came_is_not_repeated_blindly() {
        let lost = ClientError::OutcomeUnknown { address: "a:1".into(), reason: "it closed".into() };
        let error = advised(lost, "");
        assert_eq!(error.exit(), Exit::OutcomeUnknown);
        assert!(error.advice().unwrap().contains("before you repeat it"), "{error}");
    }
}
