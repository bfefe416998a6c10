//! How a command ends.

use std::io;
use std::process::ExitCode;

use kv::client::servers::BadServers;
use kv::client::{ClientError, Failure};
use kv::wire::tree::TreeFailure;

/// What the exit code tells a script.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Exit {
    /// It was done.
    Done = 0,
    /// The key has no value, or there is no such node of the tree.
    NotFound = 1,
    /// The command cannot be met as it stands.
    Usage = 2,
    /// Too few nodes could do it in time, or promise it; a write was not applied.
    QuorumNotMet = 3,
    /// A write may have been applied.
    OutcomeUnknown = 4,
    /// No node could be reached.
    CannotConnect = 5,
    /// Ctrl-C came before the end. As shells have it: 128 and the signal's number.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The cluster or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The cluster, where it takes the command to know what to do next.
    #[error("{error}")]
    Advised {
        /// What it said.
        error: ClientError,
        /// What to do next.
        advice: String,
    },
    /// The list of servers.
    #[error(transparent)]
    Servers(#[from] BadServers),
    /// A file that was named.
    #[error("{path}: {reason}")]
    File {
        /// As it was named.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Arguments that clap cannot judge.
    #[error("{0}")]
    Usage(String),
    /// A node of the tree that was to be held has gone.
    #[error("{0} is gone: the connection or the session that held it has ended")]
    NotHeld(String),
    /// Standard output.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// The operating system.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl CliError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        let error = match self {
            CliError::Client(error) | CliError::Advised { error, .. } => error,
            CliError::NotHeld(_) => return Exit::NotFound,
            _ => return Exit::Usage,
        };
        match error {
            error if error.outcome_unknown() => Exit::OutcomeUnknown,
            ClientError::Failure(failure) => match failure {
                Failure::Invalid(_) | Failure::BadContext(_) | Failure::TooLarge { .. } | Failure::TooMany { .. } => {
                    Exit::Usage
                }
                _ => Exit::QuorumNotMet,
            },
            ClientError::Tree(TreeFailure::NoNode { .. }) => Exit::NotFound,
            ClientError::Tree(failure) if failure.retryable() => Exit::QuorumNotMet,
            ClientError::Tree(_) => Exit::Usage,
            ClientError::Timeout { .. } => Exit::QuorumNotMet,
            ClientError::UnknownNode(_) | ClientError::Servers(_) => Exit::Usage,
            _ => Exit::CannotConnect,
        }
    }

    /// What to do next, where the error does not say so itself.
    pub fn advice(&self) -> Option<&str> {
        if let CliError::Advised { advice, .. } = self {
            return Some(advice);
        }
        if let CliError::Client(ClientError::Tree(failure)) = self {
            return tree_advice(failure);
        }
        match (self.exit(), self) {
            (Exit::CannotConnect, _) => {
                Some("Is the cluster running there? Name its nodes with --servers host:port,... or KV_SERVERS.")
            }
            (Exit::OutcomeUnknown, _) => {
                Some("It may have been applied, now or later: read the key before writing it again.")
            }
            (_, CliError::Client(ClientError::Failure(Failure::NotCovered { .. }))) => {
                Some("Start the missing nodes; `kv-cli status` shows who is down. Then list again.")
            }
            (_, CliError::Client(ClientError::Failure(Failure::QuorumNotMet { .. }))) => Some(
                "Start the missing node, or ask for less: a smaller --r or --w, --sloppy. `kv-cli status` shows who is down.",
            ),
            (Exit::QuorumNotMet, CliError::Client(ClientError::Failure(Failure::RingMayBeStale { .. }))) => Some(
                "The nodes that were asked have lost the coordination service. Without --strict, --pr and --pw they serve what they have.",
            ),
            (Exit::QuorumNotMet, _) => {
                Some("Try again, or give it longer with --timeout. `kv-cli status` shows who is slow or down.")
            }
            (_, CliError::Client(ClientError::Failure(Failure::Invalid(_)))) => {
                Some("`kv-cli ring` shows the buckets and how many replicas they have.")
            }
            _ => None,
        }
    }
}

fn tree_advice(failure: &TreeFailure) -> Option<&'static str> {
    match failure {
        TreeFailure::NotConnected { .. } | TreeFailure::Unavailable { .. } => {
            Some("`kv-cli coord status --all` shows who leads and who is connected.")
        }
        TreeFailure::OutcomeUnknown { .. } => {
            Some("It may have happened, now or later: `kv-cli coord get PATH --sync` before trying again.")
        }
        TreeFailure::NoNode { .. } => Some(
            "`kv-cli coord ls` shows what is there; add --sync if it was made just now. A parent has to be created first.",
        ),
        TreeFailure::NodeExists { .. } => Some("Change it with `kv-cli coord set`, or create it with --sequential."),
        TreeFailure::BadVersion { .. } => {
            Some("Somebody changed it meanwhile: `kv-cli coord get --stat` again, then decide with what it says.")
        }
        TreeFailure::NotEmpty { .. } => Some("`kv-cli coord ls -R` shows them; delete them first."),
        TreeFailure::TooMany { .. } | TreeFailure::ShuttingDown => Some("Try again, or another node with --servers."),
        TreeFailure::Invalid { .. } | TreeFailure::Refused { .. } | TreeFailure::Change(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::core::id::NodeId;
    use kv::core::request::Kind;

    fn exit(failure: Failure) -> Exit {
        CliError::from(ClientError::from(failure)).exit()
    }

    #[test]
    fn each_failure_has_its_code() {
        let quorum_not_met = |applied| Failure::QuorumNotMet {
            kind: Kind::Write,
            needed: 3,
            got: 2,
            primaries_needed: 0,
            primaries_got: 2,
            missing: vec![],
            unleased: vec![],
            applied,
        };
        assert_eq!(exit(quorum_not_met(false)), Exit::QuorumNotMet);
        assert_eq!(exit(quorum_not_met(true)), Exit::OutcomeUnknown);
        let stale = |applied| Failure::RingMayBeStale { kind: Kind::Write, node: NodeId(1), applied };
        assert_eq!(exit(stale(false)), Exit::QuorumNotMet);
        assert_eq!(exit(stale(true)), Exit::OutcomeUnknown);
        assert_eq!(exit(Failure::Invalid("w > n".into())), Exit::Usage);
        assert_eq!(exit(Failure::BadContext("cut".into())), Exit::Usage);
        assert_eq!(exit(Failure::ShuttingDown), Exit::QuorumNotMet);
        assert_eq!(exit(Failure::OutcomeUnknown("broken".into())), Exit::OutcomeUnknown);
        assert_eq!(CliError::from(ClientError::Connect { tried: vec![] }).exit(), Exit::CannotConnect);
    }
}
