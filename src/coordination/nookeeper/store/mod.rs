//! What a replica keeps on its disk, and what it has applied of it.
//!
//! One redb file holds the log, the vote, how far the log is committed, and the last snapshot. [`LogStore`] and [`Machine`] are
//! its two faces towards the Raft crate, [`Replica`] is the applied state towards readers.
//!
//! An entry is written and synced, then acknowledged; when a majority has it, it is applied to the state in memory and told to
//! those who watch. Now and then the state is stored as a snapshot, and the log before it goes. A start takes the snapshot and
//! applies the committed entries after it once more. A replica that is far behind gets a snapshot instead of entries.
//! When the majority is lost for good, [`recover()`] makes the file of one survivor the beginning of a new generation.

mod file;
mod incoming;
mod log;
mod machine;
mod record;
mod recover;
mod replica;
#[cfg(any(test, feature = "sim"))]
mod simulated_file;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError};

pub use file::{FileError, OpenError};
pub use log::LogStore;
pub use machine::Machine;
pub use recover::{RecoverError, Recovered, Survey, recover, recover_path, survey, survey_path};
pub use replica::Replica;
#[cfg(any(test, feature = "sim"))]
pub use simulated_file::{FileCopy, SimulatedFile};

use file::File;
use incoming::Incoming;

/// Memory for pages of the file. What is read often is applied and in memory anyway.
const CACHE_BYTES: usize = 8 << 20;

/// Opens what a replica stored, or makes it in an empty database.
///
/// # Errors
/// [`OpenError`].
pub fn open(database: Database) -> Result<(LogStore, Machine), OpenError> {
    let file = File::open(database)?;
    let incoming = Incoming::default();
    let machine = Machine::open(file.clone(), incoming.clone())?;
    Ok((LogStore { file, incoming }, machine))
}

/// Opens a file that is there. It is read whole, so that damage shows now and not when a page is needed.
fn existing(path: &Path) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).open(path)
}

/// Why something could not be done with a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct PathError<E: std::error::Error> {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub cause: E,
}

fn at_path<T, E: std::error::Error>(path: &Path, result: Result<T, E>) -> Result<T, PathError<E>> {
    result.map_err(|cause| PathError { path: path.to_owned(), cause })
}
