//! The file that tells whose bytes a data directory holds: `store.toml`.
//!
//! It is small, readable, and ends in a checksum of what stands before, because a directory that is taken for another one
//! costs more than a start that is refused. The format number is read before anything else, so that a newer file is called
//! newer, not damaged.

use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::StorageError;
use crate::core::id::{NodeId, StoreId};

/// Its name in the data directory.
pub(super) const FILE: &str = "store.toml";

/// The format of the data directory that this program writes, and the newest that it reads.
pub(super) const FORMAT: u64 = 1;

const HEADER: &str = "# What this data directory of KV holds. Written by the node; a changed file is refused.\n";
const CHECKSUM: &str = "checksum = ";

/// The content of `store.toml`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub format: u64,
    pub engine: String,
    pub cluster: String,
    pub node: NodeId,
    pub store: StoreId,
    /// How often the directory was opened.
    pub start: u64,
    /// Whether the engine's files were once completely made.
    pub made: bool,
}

#[derive(Deserialize)]
struct AnyFormat {
    format: u64,
}

impl Identity {
    /// The file's content.
    pub fn encode(&self) -> Result<String, toml::ser::Error> {
        let body = format!("{HEADER}{}", toml::to_string(self)?);
        Ok(format!("{body}{CHECKSUM}\"{:016x}\"\n", xxh3_64(body.as_bytes())))
    }

    /// Reads the content of the file at `path`.
    pub fn decode(path: &Path, content: &[u8]) -> Result<Identity, StorageError> {
        let corrupt = |detail: &str| StorageError::corrupt(path, detail);
        let content = str::from_utf8(content).map_err(|_| corrupt("it is not text"))?;
        if let Ok(AnyFormat { format }) = toml::from_str(content)
            && format > FORMAT
        {
            return Err(StorageError::NewerFormat { path: path.into(), found: format, known: FORMAT });
        }
        let body_bytes = content.rfind(CHECKSUM).ok_or_else(|| corrupt("it is cut short"))?;
        let (body, checksum) = content.split_at(body_bytes);
        if checksum != format!("{CHECKSUM}\"{:016x}\"\n", xxh3_64(body.as_bytes())) {
            return Err(corrupt("its checksum does not fit"));
        }
        toml::from_str(body).map_err(|error| corrupt(error.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let (engine, cluster) = ("fjall".to_string(), "a \"cluster\"".to_string());
        Identity { format: FORMAT, engine, cluster, node: NodeId(3), store: StoreId(u128::MAX), start: 7, made: true }
    }

    #[test]
    fn reads_what_it_wrote() {
        let content = identity().encode().unwrap();
        assert_eq!(Identity::decode(Path::new(FILE), content.as_bytes()).unwrap(), identity());
    }

    /// Every bit flipped and every length cut, one at a time: never believed, never a panic.
    #[test]
    fn damage_never_passes() {
        let content = identity().encode().unwrap().into_bytes();
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            Identity::decode(Path::new(FILE), &flipped).unwrap_err();
        }
        for cut in 0..content.len() {
            Identity::decode(Path::new(FILE), &content[..cut]).unwrap_err();
        }
    }

    #[test]
    fn a_newer_format_is_called_newer() {
        let newer = "format = 2\nshape = \"unknown to this version\"\n";
        let error = Identity::decode(Path::new(FILE), newer.as_bytes()).unwrap_err();
        assert!(matches!(error, StorageError::NewerFormat { found: 2, known: FORMAT, .. }), "{error}");
    }
}
