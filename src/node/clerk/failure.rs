//! From the service's errors to what operators read.

use super::Clerk;
use crate::coordination::api::{Error, Session};
use crate::coordination::registry;
use crate::coordination::tree::{Path, Refusal};
use crate::wire::tree::TreeFailure;

/// Reads a path as an operator wrote it.
pub(super) fn path(text: &str) -> Result<Path, TreeFailure> {
    text.parse()
        .map_err(|error: crate::coordination::tree::PathError| TreeFailure::Invalid { reason: error.to_string() })
}

impl Clerk {
    /// What to tell of an error; looks up what the operator would ask next.
    pub(super) async fn explain(&self, session: &dyn Session, error: Error) -> TreeFailure {
        match error {
            Error::Refused(Refusal::BadVersion { path, expected }) => {
                // The refusal stands also if it cannot be read any more.
                let present = session.exists(&path).await.ok().and_then(|read| read.value).map(|stat| stat.version);
                TreeFailure::BadVersion { path: path.to_string(), expected, present }
            }
            error => self.tell(error),
        }
    }

    /// What to tell of the registry's error.
    pub(super) fn tell_registry(&self, error: registry::Error) -> TreeFailure {
        match error {
            registry::Error::Service(error) => self.tell(error),
            registry::Error::Change(failure) => failure.into(),
            registry::Error::Invalid { reason } => TreeFailure::Invalid { reason },
            error => TreeFailure::Refused { reason: error.to_string() },
        }
    }

    /// What to tell of an error.
    pub(super) fn tell(&self, error: Error) -> TreeFailure {
        match error {
            Error::Refused(refusal) => refused(refusal),
            Error::SessionExpired => self.not_connected("its session has ended and the next one is not open yet"),
            Error::ConnectionLoss { cause } => TreeFailure::Unavailable { reason: cause },
            Error::OutcomeUnknown { cause } => TreeFailure::OutcomeUnknown { reason: cause },
        }
    }
}

fn refused(refusal: Refusal) -> TreeFailure {
    match refusal {
        Refusal::NoNode { path } => TreeFailure::NoNode { path: path.to_string() },
        Refusal::NodeExists { path } => TreeFailure::NodeExists { path: path.to_string() },
        Refusal::BadVersion { path, expected } => {
            TreeFailure::BadVersion { path: path.to_string(), expected, present: None }
        }
        Refusal::NotEmpty { path } => TreeFailure::NotEmpty { path: path.to_string() },
        refusal => TreeFailure::Refused { reason: refusal.to_string() },
    }
}
