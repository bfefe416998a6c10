//! What fjall does not check before it trusts it.
//!
//! Every tree keeps a manifest of its tables, and in a file `current` the manifest's number and checksum. Fjall reads the number
//! and not the checksum (lsm-tree 3.1, `version/recovery.rs`), so a flipped bit in a manifest hides tables or panics; and a tree
//! without a `current` it takes for one whose making was interrupted, and deletes it. Both are refused here, before it looks.

use std::fs;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::super::StorageError;

const TREES: &str = "keyspaces";
const CURRENT: &str = "current";

/// Checks the manifest of every tree of a database that was once completely made.
pub(super) fn verify(database: &Path) -> Result<(), StorageError> {
    let trees = database.join(TREES);
    let at_trees = |error| StorageError::missing_or_io(&trees, error);
    for entry in fs::read_dir(&trees).map_err(at_trees)? {
        let tree = entry.map_err(at_trees)?.path();
        if tree.is_dir() {
            verify_tree(&tree)?;
        }
    }
    Ok(())
}

fn verify_tree(tree: &Path) -> Result<(), StorageError> {
    let current_path = tree.join(CURRENT);
    let current = fs::read(&current_path).map_err(|error| StorageError::missing_or_io(&current_path, error))?;
    let Some((number, checksum)) = decode_current(&current) else {
        return Err(StorageError::corrupt(&current_path, "it is not what fjall 3 writes"));
    };
    let manifest_path = tree.join(format!("v{number}"));
    let manifest = fs::read(&manifest_path).map_err(|error| StorageError::missing_or_io(&manifest_path, error))?;
    if xxh3_128(&manifest) != checksum {
        return Err(StorageError::corrupt(&manifest_path, "its checksum does not fit"));
    }
    Ok(())
}

/// The manifest's number and checksum, both little-endian; then the kind of checksum, of which there is one.
fn decode_current(current: &[u8]) -> Option<(u64, u128)> {
    const XXH3: u8 = 0;
    let (number, rest) = current.split_first_chunk()?;
    let (checksum, kind) = rest.split_first_chunk()?;
    (kind == [XXH3]).then(|| (u64::from_le_bytes(*number), u128::from_le_bytes(*checksum)))
}
