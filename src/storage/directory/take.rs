//! Taking a directory for this process: what is made, what is refused.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::{Expected, Identity, StorageError, disk, identity};

pub(super) const LOCK: &str = "lock";

/// What a file system puts in its root directory by itself; a data directory may be a mount point.
pub(super) const MOUNT_POINT: &str = "lost+found";

/// Makes the directory and its name in its parent durable, unless it is there.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
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
pub(super) fn refuse_foreign(path: &Path) -> Result<(), StorageError> {
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
pub(super) fn take_lock(path: &Path) -> Result<File, StorageError> {
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

/// Refuses a store that is known to be another's.
pub(super) fn refuse_other(path: &Path, identity: &Identity, expected: &Expected) -> Result<(), StorageError> {
    let path = path.to_path_buf();
    if let Some(joined) = &identity.joined {
        if let Some(expected) = expected.cluster.clone().filter(|expected| *expected != joined.name) {
            return Err(StorageError::OtherCluster { path, found: joined.name.clone(), expected });
        }
        if let Some(expected) = expected.node.filter(|expected| *expected != joined.node) {
            return Err(StorageError::OtherNode { path, found: joined.node, expected });
        }
    }
    if identity.engine != expected.engine {
        let (found, expected) = (identity.engine.clone(), expected.engine.clone());
        return Err(StorageError::OtherEngine { path, found, expected });
    }
    Ok(())
}
