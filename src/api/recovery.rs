//! Forced recovery of the coordination service, on a node that does not run.
//!
//! While a majority of the voters lives, or can be started, there is nothing to recover. When it is lost for good, an operator
//! chooses a survivor. Its copy becomes that of the only voter of a new *generation*, and all that its voters acknowledged and
//! it never got is given up (`nookeeper::store::recover`). Everybody tells the generations apart: in greetings, so that nobody
//! of an older one is heard; in ring epochs, so that no older ring passes for newer ([`registry::recovered`]).
//!
//! The others need no hand. They are refused as what they were, drop their copies of the service and take part anew, with their
//! data (`api::process`); the roster then makes voters of those that voted.
//!
//! [`registry::recovered`]: crate::coordination::registry::recovered

use std::path::PathBuf;

use super::process::open_disk;
use crate::config::{Config, CoordinationKind, EngineKind};
use crate::coordination::nookeeper::store::{PathError, RecoverError, Recovered, Survey, recover_path, survey_path};
use crate::coordination::nookeeper::types::{Endpoint, RaftId};
use crate::storage::StorageError;
use crate::storage::home::disk::DiskHome;
use crate::storage::home::{Home, Joined};

/// Why nothing is recovered. What the node holds is as before.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The service is not in the nodes.
    #[error("the coordination service of this cluster is a ZooKeeper: recover that")]
    External,
    /// The node keeps nothing, or nothing yet.
    #[error("{} holds no copy of the coordination service: choose a node that took part in it", .0.display())]
    Nothing(PathBuf),
    /// The data directory cannot be used, or a node runs on it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The copy cannot be read or written.
    #[error(transparent)]
    Copy(#[from] PathError<RecoverError>),
}

/// A stopped node that could be recovered. Nobody can start it meanwhile.
pub struct Recovery {
    home: DiskHome,
    /// Where it belongs.
    pub joined: Joined,
    /// Under which name it would vote.
    pub own: RaftId,
    /// Where others would reach it.
    pub endpoint: Endpoint,
    /// What its copy holds.
    pub survey: Survey,
}

impl Recovery {
    /// Looks at the node of a configuration.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub fn prepare(config: &Config) -> Result<Recovery, RecoveryError> {
        if config.cluster.coordination.kind != CoordinationKind::Embedded {
            return Err(RecoveryError::External);
        }
        let nothing = || RecoveryError::Nothing(config.node.data_dir.clone());
        // Opening it would make it.
        if config.node.storage.engine == EngineKind::Memory || !config.node.data_dir.is_dir() {
            return Err(nothing());
        }
        let home = open_disk(config)?;
        let identity = home.identity();
        let joined = identity.joined.clone().filter(|_| identity.coordination_made).ok_or_else(nothing)?;
        let survey = survey_path(&home.coordination_file())?;
        // A recovery that was interrupted has changed the copy and not yet the identity.
        let generation = identity.generation.max(survey.generation) + 1;
        let own = RaftId { generation, store: identity.store };
        let endpoint = Endpoint { node: joined.node.0, address: config.node.advertise.clone() };
        Ok(Recovery { home, joined, own, endpoint, survey })
    }

    /// Makes the node the only voter of the next generation.
    ///
    /// # Errors
    /// [`RecoveryError`]. If it was interrupted it can be done again.
    pub fn carry_out(mut self) -> Result<Recovered, RecoveryError> {
        let recovered = recover_path(&self.home.coordination_file(), self.own, self.endpoint.clone())?;
        self.home.set_generation(self.own.generation)?;
        self.release()?;
        Ok(recovered)
    }

    /// Leaves the node as it is.
    ///
    /// # Errors
    /// [`RecoveryError::Storage`] if the directory cannot be written; then its next start is like one after a crash.
    pub fn release(self) -> Result<(), RecoveryError> {
        // The engine was not looked at, so it is only as clean as it was.
        if self.home.was_clean() {
            Box::new(self.home).close()?;
        }
        Ok(())
    }
}
