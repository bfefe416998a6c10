//! What went wrong with storage, as its callers must tell it apart.

use std::io;
use std::path::{Path, PathBuf};

use super::disk;
use crate::core::id::{ClusterId, NodeId, StoreId};

/// What went wrong with storage.
///
/// Two questions matter to a replica: was the write surely not applied ([`StorageError::is_surely_unapplied`]), and can it go
/// on writing ([`StorageError::needs_reopen`])? The others arise at opening, where each names what an operator looks at.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Less space than the reserve is left. Nothing was written and reads go on; writes work again when there is space.
    #[error("the disk of {} is full: {bytes_free} bytes are left; free some, writes then resume by themselves", path.display())]
    DiskFull {
        /// A path on that disk.
        path: PathBuf,
        /// Bytes still free to this process.
        bytes_free: u64,
    },
    /// A write or sync failed, now or earlier, and nobody knows what the disk holds. Reads go on; nothing more is written
    /// until the engine is opened again.
    #[error("a write to disk failed ({cause}); no more are taken until the node is restarted")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The engine was closed under this handle (a simulated crash).
    #[error("the engine is closed")]
    Closed,
    /// A key or value that no engine takes. Nothing was applied.
    #[error("a {what} of {bytes} bytes cannot be stored; it must not be empty (a key) nor over {bytes_max} bytes")]
    OutOfBounds {
        /// `key` or `value`.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest.
        bytes_max: usize,
    },
    /// Bytes that are not what was once written.
    #[error("{} is damaged: {detail}; restore it, or move the data directory away to start as a new store", path.display())]
    Corrupt {
        /// The damaged file, or the directory it is in where the engine does not say more.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// Another process works in this directory.
    #[error("{} is in use by {}; stop it, or give this node a data directory of its own", path.display(), holder(*pid))]
    Held {
        /// The data directory.
        path: PathBuf,
        /// The process that holds it, if it could say so.
        pid: Option<u32>,
    },
    /// Not empty, and not made by this program. It was not touched.
    #[error("{} is no data directory of KV: it is not empty and has no store.toml (found {found:?})", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Something that is in it.
        found: String,
    },
    /// Made by a newer version of this program.
    #[error("{} has format {found}; this version knows formats up to {known}, use a newer one", path.display())]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest that this program reads.
        known: u64,
    },
    /// Made by an older version of this program, whose stores cannot become members.
    #[error(
        "{} has format {found}, of a version whose stores had no id of their own; this version needs format {known}. \
         Start with an empty data directory, and copy what the old nodes hold through a client while the version that \
         made them serves it", path.display()
    )]
    OlderFormat {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The one that this program reads.
        known: u64,
    },
    /// The directory belongs to another cluster.
    #[error("{} belongs to cluster {found:?}, not to {expected:?}; check data_dir and cluster", path.display())]
    OtherCluster {
        /// The data directory.
        path: PathBuf,
        /// The cluster that it was made for.
        found: String,
        /// The cluster of this node.
        expected: String,
    },
    /// The directory belongs to another node of the cluster.
    #[error("{} belongs to node {found}, not to node {expected}; check data_dir and id", path.display())]
    OtherNode {
        /// The data directory.
        path: PathBuf,
        /// The node that it was made for.
        found: NodeId,
        /// This node.
        expected: NodeId,
    },
    /// The store was to join a cluster, and belongs to one already.
    #[error(
        "{} holds store {store} of node {node} in cluster {name:?} ({cluster}); it can join no other, nor take another id", path.display()
    )]
    Belongs {
        /// The data directory.
        path: PathBuf,
        /// The store in it.
        store: StoreId,
        /// Its cluster.
        cluster: ClusterId,
        /// That cluster's name.
        name: String,
        /// The node that it is of.
        node: NodeId,
    },
    /// The coordination service was recovered more often than whoever says so knows.
    #[error("{} knows generation {known} of the coordination service, so generation {given} is over", path.display())]
    OlderGeneration {
        /// The data directory.
        path: PathBuf,
        /// The generation that was to be set.
        given: u32,
        /// The highest that the store took part in.
        known: u32,
    },
    /// The directory cannot be put aside or dropped while somebody works with what is in it.
    #[error("{} cannot be set aside: {handles} handles on its engine are open", path.display())]
    StillOpen {
        /// The data directory.
        path: PathBuf,
        /// How many.
        handles: usize,
    },
    /// The directory was made by another engine.
    #[error("{} was made by engine {found:?}, not by {expected:?}; check engine", path.display())]
    OtherEngine {
        /// The data directory.
        path: PathBuf,
        /// The engine that made it.
        found: String,
        /// The engine that is configured.
        expected: String,
    },
    /// The path of the data directory is something else.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// That path.
        path: PathBuf,
    },
    /// No right to write, or a file system that is mounted read-only.
    #[error("{} cannot be written: {source}", path.display())]
    NotWritable {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Any other failure of the disk or the system.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StorageError {
    /// An I/O error on `path`, as the variant that says most.
    pub(super) fn io(path: &Path, source: io::Error) -> StorageError {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let bytes_free = disk::free_bytes(&path).unwrap_or(0);
                StorageError::DiskFull { path, bytes_free }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StorageError::NotWritable { path, source }
            }
            io::ErrorKind::NotADirectory => StorageError::NotADirectory { path },
            _ => StorageError::Io { path, source },
        }
    }

    /// An I/O error on a `path` that must be there: that it is not is damage.
    pub(super) fn missing_or_io(path: &Path, source: io::Error) -> StorageError {
        match source.kind() {
            io::ErrorKind::NotFound => StorageError::corrupt(path, "it is gone"),
            _ => StorageError::io(path, source),
        }
    }

    /// What opening the coordination service's database at `path` failed with.
    pub fn database(path: &Path, source: redb::DatabaseError) -> StorageError {
        match source {
            redb::DatabaseError::DatabaseAlreadyOpen => StorageError::Held { path: path.into(), pid: None },
            redb::DatabaseError::Storage(redb::StorageError::Io(source)) => StorageError::io(path, source),
            other => StorageError::corrupt(path, other.to_string()),
        }
    }

    /// Damage found in `path`.
    pub(super) fn corrupt(path: &Path, detail: impl Into<String>) -> StorageError {
        StorageError::Corrupt { path: path.to_path_buf(), detail: detail.into() }
    }

    /// Whether an [`apply`](super::Engine::apply) that failed so left no trace, now and after a restart.
    pub fn is_surely_unapplied(&self) -> bool {
        matches!(self, StorageError::DiskFull { .. } | StorageError::OutOfBounds { .. })
    }

    /// Whether this engine takes no write any more until it is opened again.
    pub fn needs_reopen(&self) -> bool {
        matches!(self, StorageError::Poisoned { .. } | StorageError::Closed)
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or("another process".into(), |pid| format!("process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_become_what_an_operator_can_act_on() {
        let of = |kind: io::ErrorKind| StorageError::io(Path::new("/"), kind.into());
        assert!(matches!(of(io::ErrorKind::StorageFull), StorageError::DiskFull { .. }));
        assert!(matches!(of(io::ErrorKind::ReadOnlyFilesystem), StorageError::NotWritable { .. }));
        assert!(matches!(of(io::ErrorKind::PermissionDenied), StorageError::NotWritable { .. }));
        assert!(matches!(of(io::ErrorKind::NotADirectory), StorageError::NotADirectory { .. }));
        assert!(matches!(of(io::ErrorKind::TimedOut), StorageError::Io { .. }));
    }
}
