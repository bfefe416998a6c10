//! Putting a store aside to begin anew in the same directory.
//!
//! A store that was rolled back, or that has a living copy, must not go on under its id, and its bytes may not be merged
//! without an operator. So all of it moves into a folder of its own:
//!
//! ```text
//! set-aside-<start>-<store>/   store.toml, engine/, coordination.redb, ring, clean: as they were
//! ```
//!
//! and the directory starts again as a fresh store. Nothing is deleted; the folder is itself a whole data directory, which can
//! be looked into with a node of its own, or deleted once its bytes are surely not needed.
//!
//! The identity with its *successor* named is the point of no return. All that follows can be done again, so an opening that
//! finds a successor does it again:
//!
//! 1. `store.toml` names the successor;
//! 2. the folder gets a `store.toml` without it;
//! 3. everything else is renamed into the folder;
//! 4. `store.toml` is the successor's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{COORDINATION, ENGINE, Identity, StorageError, clean, disk, ring, write_identity};

/// What moves, beside the identity.
pub(super) const CONTENT: [&str; 4] = [ENGINE, COORDINATION, ring::FILE, clean::FILE];

/// The folder of a store that was put aside after start number `identity.start`.
fn folder(path: &Path, identity: &Identity) -> PathBuf {
    path.join(format!("set-aside-{}-{}", identity.start, identity.store))
}

/// Finishes what the `identity` in the directory at `path` says was begun, if anything; the identity to go on with.
pub(super) fn finish(path: &Path, identity: Identity) -> Result<Identity, StorageError> {
    let Some(successor) = identity.successor else { return Ok(identity) };
    let aside = folder(path, &identity);
    let at_aside = |error| StorageError::io(&aside, error);
    match fs::create_dir(&aside) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at_aside(error)),
        _ => disk::sync_directory(path).map_err(at_aside)?,
    }
    write_identity(&aside, &Identity { successor: None, ..identity.clone() })?;
    for name in CONTENT {
        match fs::rename(path.join(name), aside.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::io(&path.join(name), error));
            }
            _ => {}
        }
    }
    disk::sync_directory(&aside).and_then(|()| disk::sync_directory(path)).map_err(at_aside)?;
    let fresh = Identity::fresh(&identity.engine, successor);
    write_identity(path, &fresh)?;
    log::warn!(
        "store {} is set aside, whole, in {}; store {successor} takes its place",
        identity.store,
        aside.display()
    );
    Ok(fresh)
}
