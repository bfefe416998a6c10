//! The last known ring: `ring`.
//!
//! It lets a node serve that starts while nobody can tell it who is in the cluster. Only a memory, so one that cannot be
//! read is none, and the log says so.

use std::fs;
use std::io;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::disk;

/// Its name in the data directory.
pub(super) const FILE: &str = "ring";

const CHECKSUM_BYTES: usize = size_of::<u64>();

/// Replaces it: after a crash there is the old or the new one.
pub(super) fn save(directory: &Path, ring: &[u8]) -> io::Result<()> {
    let content = [&xxh3_64(ring).to_be_bytes()[..], ring].concat();
    disk::replace_file(directory, FILE, &content)
}

/// What was saved last, if it is there and whole.
pub(super) fn load(directory: &Path) -> Option<Vec<u8>> {
    let path = directory.join(FILE);
    let mut content = match fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            log::warn!("{}: {error}; the last known ring is forgotten", path.display());
            return None;
        }
    };
    match content.split_first_chunk::<CHECKSUM_BYTES>() {
        Some((checksum, ring)) if *checksum == xxh3_64(ring).to_be_bytes() => {
            content.drain(..CHECKSUM_BYTES);
            Some(content)
        }
        _ => {
            log::warn!("{} is damaged; the last known ring is forgotten", path.display());
            None
        }
    }
}
