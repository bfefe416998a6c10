//! The data directory of a store.
//!
//! ```text
//! lock         held while a process works here; names that process
//! store.toml   format, engine, cluster, node, store id, start number
//! clean        the engine's files with their lengths, as the last orderly stop left them
//! engine/      the engine's own
//! ```
//!
//! The directory is made when its path is absent or empty. Anything else that is not ours is refused before a byte in it
//! changes. Each opening raises the *start number* and makes it durable before the engine is touched, so that whoever keeps
//! the highest number seen can tell a directory that was rolled back to an older copy.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::identity::{self, Identity};
use super::{StorageError, disk};
use crate::core::id::{NodeId, StoreId};

const LOCK: &str = "lock";
const CLEAN: &str = "clean";
const ENGINE: &str = "engine";

/// What a file system puts in its root directory by itself; a data directory may be a mount point.
const MOUNT_POINT: &str = "lost+found";

/// Who is opening a data directory. Whatever in it belongs to someone else is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// The cluster's name.
    pub cluster: String,
    /// The node.
    pub node: NodeId,
    /// The store; a new directory gets this id.
    pub store: StoreId,
    /// The engine's name.
    pub engine: String,
}

/// A data directory that this process holds. Dropping it releases it, as a crash would.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    was_clean: bool,
    /// Held by being open.
    _lock: File,
}

impl DataDir {
    /// Opens the directory, making it if it is absent or empty, and raises its start number.
    pub fn open(path: &Path, expected: &Expected) -> Result<DataDir, StorageError> {
        let at_path = |source| StorageError::io(path, source);
        make_directory(path).map_err(at_path)?;
        refuse_foreign(path)?;
        let lock = take_lock(path)?;

        let identity_path = path.join(identity::FILE);
        let mut identity = match fs::read(&identity_path) {
            Ok(content) => Identity::decode(&identity_path, &content)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Identity {
                format: identity::FORMAT,
                engine: expected.engine.clone(),
                cluster: expected.cluster.clone(),
                node: expected.node,
                store: expected.store,
                start: 0,
                made: false,
            },
            Err(error) => return Err(StorageError::io(&identity_path, error)),
        };
        refuse_other(path, &identity, expected)?;

        let was_clean = match fs::read(path.join(CLEAN)) {
            Ok(marker) => check_marker(path, &marker, identity.start)?,
            Err(_) => false,
        };
        identity.start += 1;
        let mut directory = DataDir { path: path.into(), identity, was_clean, _lock: lock };
        directory.write_identity()?;
        // The raised start number already made it stale; this only spares the reader a riddle.
        let _ = fs::remove_file(path.join(CLEAN));
        Ok(directory)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How often the directory was opened, this time included: it rises by one with each start.
    pub fn start(&self) -> u64 {
        self.identity.start
    }

    /// The store whose bytes these are.
    pub fn store(&self) -> StoreId {
        self.identity.store
    }

    /// Whether the last stop was an orderly one. `false` for a new directory.
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// Opens the engine with `open`, which gets the engine's directory: an absent one that it must make, or one that it once
    /// made completely. One whose making was interrupted is thrown away first; nothing in it was ever acknowledged.
    pub fn open_engine<T>(&mut self, open: impl FnOnce(&Path) -> Result<T, StorageError>) -> Result<T, StorageError> {
        let path = self.path.join(ENGINE);
        if self.identity.made {
            if !path.is_dir() {
                return Err(StorageError::corrupt(&path, "it is gone, though this store was in use before"));
            }
            return open(&path);
        }
        if let Err(error) = fs::remove_dir_all(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(StorageError::io(&path, error));
        }
        let engine = open(&path)?;
        self.identity.made = true;
        self.write_identity()?;
        Ok(engine)
    }

    /// Releases the directory after an orderly stop. The engine must be closed: its files are listed as they are now, and
    /// the next opening refuses a directory in which they are not the same.
    pub fn close(self) -> Result<(), StorageError> {
        let body = list_files(&self.path.join(ENGINE), self.identity.start);
        let marker = format!("{body}{:016x}\n", xxh3_64(body.as_bytes()));
        disk::replace_file(&self.path, CLEAN, marker.as_bytes())
            .map_err(|error| StorageError::io(&self.path.join(CLEAN), error))
    }

    fn write_identity(&mut self) -> Result<(), StorageError> {
        let at_file = |error| StorageError::io(&self.path.join(identity::FILE), error);
        let content = self.identity.encode().map_err(|error| at_file(io::Error::other(error)))?;
        disk::replace_file(&self.path, identity::FILE, content.as_bytes()).map_err(at_file)
    }
}

/// Makes the directory and its name in its parent durable, unless it is there.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if path.exists() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    fs::create_dir_all(path)?;
    path.canonicalize()?.parent().map_or(Ok(()), disk::sync_directory)
}

/// Refuses a directory that has no identity but holds something that an interrupted making does not leave.
fn refuse_foreign(path: &Path) -> Result<(), StorageError> {
    let at_path = |source| StorageError::io(path, source);
    if path.join(identity::FILE).try_exists().map_err(at_path)? {
        return Ok(());
    }
    let unfinished = format!("{}{}", identity::FILE, disk::UNFINISHED);
    for entry in fs::read_dir(path).map_err(at_path)? {
        let name = entry.map_err(at_path)?.file_name();
        if name != LOCK && name != MOUNT_POINT && *name != *unfinished {
            return Err(StorageError::Foreign { path: path.into(), found: name.to_string_lossy().into() });
        }
    }
    Ok(())
}

/// Takes the lock and writes this process's id into it.
fn take_lock(path: &Path) -> Result<File, StorageError> {
    let lock_path = path.join(LOCK);
    let at_lock = |source| StorageError::io(&lock_path, source);
    let mut lock =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock_path).map_err(at_lock)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let pid = lock.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
            return Err(StorageError::Held { path: path.into(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(at_lock(error)),
    }
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(at_lock)?;
    Ok(lock)
}

fn refuse_other(path: &Path, identity: &Identity, expected: &Expected) -> Result<(), StorageError> {
    let path = path.to_path_buf();
    if identity.cluster != expected.cluster {
        let (found, expected) = (identity.cluster.clone(), expected.cluster.clone());
        return Err(StorageError::OtherCluster { path, found, expected });
    }
    if identity.node != expected.node {
        return Err(StorageError::OtherNode { path, found: identity.node, expected: expected.node });
    }
    if identity.store != expected.store {
        return Err(StorageError::OtherStore { path, found: identity.store, expected: expected.store });
    }
    if identity.engine != expected.engine {
        let (found, expected) = (identity.engine.clone(), expected.engine.clone());
        return Err(StorageError::OtherEngine { path, found, expected });
    }
    Ok(())
}

/// The clean marker without its checksum: the start that it ends, then every file with its length.
fn list_files(engine: &Path, start: u64) -> String {
    let mut files = Vec::new();
    disk::visit(engine, &mut |path, file| {
        let name = path.strip_prefix(engine).unwrap_or(path).display().to_string();
        files.push(format!("{name} {}\n", file.len()));
    });
    files.sort();
    format!("start {start}\n{}", files.concat())
}

/// Whether `marker` ends start number `start`. An error if it does and the engine's files are not as it lists them. A marker
/// that is of another start, or damaged, says nothing.
fn check_marker(path: &Path, marker: &[u8], start: u64) -> Result<bool, StorageError> {
    const CHECKSUM_BYTES: usize = 17;
    let Some((body, checksum)) = marker.len().checked_sub(CHECKSUM_BYTES).and_then(|at| marker.split_at_checked(at))
    else {
        return Ok(false);
    };
    if checksum != format!("{:016x}\n", xxh3_64(body)).as_bytes()
        || !body.starts_with(format!("start {start}\n").as_bytes())
    {
        return Ok(false);
    }
    let (then, now) = (String::from_utf8_lossy(body), list_files(&path.join(ENGINE), start));
    if then == now {
        return Ok(true);
    }
    let gone = then.lines().find(|line| now.lines().all(|other| other != *line));
    let detail = match gone {
        Some(line) => format!("the last orderly stop left a file and length {line:?}, which is not there now"),
        None => "it holds files that the last orderly stop did not leave".into(),
    };
    Err(StorageError::corrupt(&path.join(ENGINE), detail))
}

#[cfg(test)]
mod tests;
