//! The data directory of a store.
//!
//! ```text
//! lock                held while a process works here; names that process
//! store.toml          format, engine, store id, start number, and once it joined: cluster, node, generation
//! clean               the engine's files with their lengths, as the last orderly stop left them
//! engine/             the engine's own
//! coordination.redb   the coordination service's log, vote and snapshots
//! ring                the last known ring
//! set-aside-…/        a store that was here before (see `aside`)
//! ```
//!
//! The directory is made when its path is absent or empty. Anything else that is not ours is refused before a byte in it
//! changes. A new one holds a *fresh* store with a random id, which belongs nowhere until it is adopted. Each opening raises the
//! *start number* and makes it durable before anything else is touched, so that whoever keeps the highest number seen can
//! tell a directory that was rolled back to an older copy.

mod aside;
mod clean;
mod ring;
mod take;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::identity::{self, Identity, Joined};
use super::{StorageError, disk};
use crate::core::id::{NodeId, StoreId};

const ENGINE: &str = "engine";
const COORDINATION: &str = "coordination.redb";

/// Who is opening a data directory. Whatever in it belongs to someone else is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// The cluster's name; `None`: whichever it is, for a node that joins learns it later.
    pub cluster: Option<String>,
    /// The node; `None`: whichever it is.
    pub node: Option<NodeId>,
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
    /// Opens the directory and raises its start number. If it is absent or empty it is made, for a store whose id is
    /// `fresh`, which must be drawn at random.
    ///
    /// A setting aside that was interrupted is finished first, and the store that was begun then is found.
    pub fn open(path: &Path, expected: &Expected, fresh: StoreId) -> Result<DataDir, StorageError> {
        let at_path = |source| StorageError::io(path, source);
        take::make_directory(path).map_err(at_path)?;
        take::refuse_foreign(path)?;
        let lock = take::take_lock(path)?;

        let identity_path = path.join(identity::FILE);
        let before = match fs::read(&identity_path) {
            Ok(content) => Some(Identity::decode(&identity_path, &content)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StorageError::io(&identity_path, error)),
        };
        let (identity, was_clean) = match before {
            None => (Identity::fresh(&expected.engine, fresh), false),
            Some(identity) => {
                take::refuse_other(path, &identity, expected)?;
                let identity = aside::finish(path, identity)?;
                let was_clean = clean::check(path, identity.start)?;
                (Identity { start: identity.start + 1, ..identity }, was_clean)
            }
        };
        write_identity(path, &identity)?;
        // The raised start number already made it stale; this only spares the reader a riddle.
        let _ = fs::remove_file(path.join(clean::FILE));
        Ok(DataDir { path: path.into(), identity, was_clean, _lock: lock })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the store knows of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the last stop was an orderly one. `false` for a new directory.
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// Makes the store a member: of `joined`, under the id `store`, its own or one that the cluster reserved for it.
    /// Durable at the return. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`StorageError::Belongs`] if it is a member already, elsewhere or under another id.
    pub fn adopt(&mut self, joined: Joined, store: StoreId) -> Result<(), StorageError> {
        self.change(|identity, path| identity.adopt(path, joined, store))
    }

    /// Notes that the store takes part in this generation of the coordination service. Durable at the return.
    ///
    /// # Errors
    /// [`StorageError::OlderGeneration`] if it took part in a later one.
    pub fn set_generation(&mut self, generation: u32) -> Result<(), StorageError> {
        self.change(|identity, path| identity.raise(path, generation))
    }

    /// Takes back that the store was started. Durable at the return; the next opening gives the same number again.
    pub fn withdraw_start(&mut self) -> Result<(), StorageError> {
        self.change(|identity, _| {
            identity.withdraw_start();
            Ok(())
        })
    }

    /// Moves all that the store has into `set-aside-<start>-<store>/` inside the directory, and starts again as the store
    /// `fresh`, drawn at random, which belongs nowhere. The engine and the coordination file must be closed. A crash at any
    /// moment leaves either the old store untouched or the rest to the next opening.
    pub fn set_aside(&mut self, fresh: StoreId) -> Result<(), StorageError> {
        self.change(|identity, _| {
            identity.successor = Some(fresh);
            Ok(())
        })?;
        self.identity = aside::finish(&self.path, self.identity.clone())?;
        self.was_clean = false;
        Ok(())
    }

    /// Opens the engine with `open`, which gets the engine's directory: an absent one that it must make, or one that it once
    /// made completely. One whose making was interrupted is thrown away first; nothing in it was ever acknowledged.
    pub fn open_engine<T>(&mut self, open: impl FnOnce(&Path) -> Result<T, StorageError>) -> Result<T, StorageError> {
        let path = self.path.join(ENGINE);
        if self.identity.engine_made {
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
        self.change(|identity, _| {
            identity.engine_made = true;
            Ok(())
        })?;
        Ok(engine)
    }

    /// Where the coordination service keeps its log, vote and snapshots.
    pub fn coordination_file(&self) -> PathBuf {
        self.path.join(COORDINATION)
    }

    /// Opens the coordination service's file with `open`, which makes it if it is not there. One that was made once and is
    /// gone is refused, for a store must not vote again that forgot how it voted; [`DataDir::set_aside`] is the way on.
    pub fn open_coordination<T>(
        &mut self,
        open: impl FnOnce(&Path) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let path = self.coordination_file();
        if self.identity.coordination_made {
            if !path.is_file() {
                return Err(StorageError::corrupt(&path, "it is gone, though this store took part before"));
            }
            return open(&path);
        }
        remove_file(&path)?;
        let opened = open(&path)?;
        disk::sync_directory(&self.path).map_err(|error| StorageError::io(&path, error))?;
        self.change(|identity, _| {
            identity.coordination_made = true;
            Ok(())
        })?;
        Ok(opened)
    }

    /// Deletes the coordination service's file, so that the next opening makes an empty one: after a forced recovery
    /// elsewhere. The file must be closed, and the store must first have got another name in the service
    /// ([`DataDir::set_generation`]).
    pub fn drop_coordination(&mut self) -> Result<(), StorageError> {
        self.change(|identity, _| {
            identity.coordination_made = false;
            Ok(())
        })?;
        remove_file(&self.coordination_file())
    }

    /// Keeps `ring` as the last known one, in the place of the one before. Durable at the return.
    pub fn save_ring(&self, ring: &[u8]) -> Result<(), StorageError> {
        ring::save(&self.path, ring).map_err(|error| StorageError::io(&self.path.join(ring::FILE), error))
    }

    /// The last known ring; `None`, with a line in the log, if it is damaged.
    pub fn load_ring(&self) -> Option<Vec<u8>> {
        ring::load(&self.path)
    }

    /// Releases the directory after an orderly stop. The engine must be closed: its files are listed as they are now, and
    /// the next opening refuses a directory in which they are not the same.
    pub fn close(self) -> Result<(), StorageError> {
        clean::mark(&self.path, self.identity.start)
            .map_err(|error| StorageError::io(&self.path.join(clean::FILE), error))
    }

    /// Changes the identity; in memory only once it is durable.
    fn change(
        &mut self,
        change: impl FnOnce(&mut Identity, &Path) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut identity = self.identity.clone();
        change(&mut identity, &self.path)?;
        if identity != self.identity {
            write_identity(&self.path, &identity)?;
            self.identity = identity;
        }
        Ok(())
    }
}

fn write_identity(directory: &Path, identity: &Identity) -> Result<(), StorageError> {
    let at_file = |error| StorageError::io(&directory.join(identity::FILE), error);
    let content = identity.encode().map_err(|error| at_file(io::Error::other(error)))?;
    disk::replace_file(directory, identity::FILE, content.as_bytes()).map_err(at_file)
}

/// Removes what may be there.
fn remove_file(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StorageError::io(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
