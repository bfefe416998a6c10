//! Whose bytes a data directory holds: `store.toml`.
//!
//! It is small, readable, and ends in a checksum of what stands before, because a directory that is taken for another one
//! costs more than a start that is refused. The format number is read before anything else, so that a newer file is called
//! newer and an older one older, not damaged.

use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::StorageError;
use crate::core::id::{ClusterId, NodeId, StoreId};

/// Its name in the data directory.
pub(super) const FILE: &str = "store.toml";

/// The format of the data directory that this program writes, and the only one that it reads. In format 1 a store's id
/// followed from its node's number, so that a wiped store could not be told from the one it replaced.
pub(super) const FORMAT: u64 = 3;

const HEADER: &str = "# What this data directory of KV holds. Written by the node; a changed file is refused.\n";
const CHECKSUM: &str = "checksum = ";

/// What a store knows of itself before anybody else is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The engine that keeps its bytes, by name.
    pub engine: String,
    /// The store: drawn at random when the directory was made, or taken over when it joined.
    pub store: StoreId,
    /// How often it was opened, this time included.
    pub start: u64,
    /// Whether the engine's files were once completely made. They must be there ever after.
    pub engine_made: bool,
    /// Whether the coordination service's file was once completely made. It must be there ever after: a store that lost its
    /// log and its vote must not vote under the id it had.
    pub coordination_made: bool,
    /// The highest generation of the coordination service that it took part in.
    pub generation: u32,
    /// Where it belongs; `None`: nowhere yet, it is fresh.
    pub joined: Option<Joined>,
    /// The fresh store that takes this one's place; `Some` only while that is under way.
    pub(super) successor: Option<StoreId>,
}

/// Which cluster a store belongs to, and to which node of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// The node.
    pub node: NodeId,
}

/// The file as it stands on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u64,
    engine: String,
    store: StoreId,
    start: u64,
    engine_made: bool,
    coordination_made: bool,
    generation: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<ClusterId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<StoreId>,
}

#[derive(Deserialize)]
struct AnyFormat {
    format: u64,
}

impl Identity {
    /// A store that nobody knows yet, started for the first time.
    pub(super) fn fresh(engine: &str, store: StoreId) -> Identity {
        Identity {
            engine: engine.into(),
            store,
            start: 1,
            engine_made: false,
            coordination_made: false,
            generation: 0,
            joined: None,
            successor: None,
        }
    }

    /// The file's content.
    pub(super) fn encode(&self) -> Result<String, toml::ser::Error> {
        let Identity { engine, store, start, engine_made, coordination_made, generation, joined, successor } =
            self.clone();
        let (cluster, cluster_id, node) =
            joined.map_or((None, None, None), |joined| (Some(joined.name), Some(joined.cluster), Some(joined.node)));
        let stored = Stored {
            format: FORMAT,
            engine,
            store,
            start,
            engine_made,
            coordination_made,
            generation,
            cluster,
            cluster_id,
            node,
            successor,
        };
        let body = format!("{HEADER}{}", toml::to_string(&stored)?);
        Ok(format!("{body}{CHECKSUM}\"{:016x}\"\n", xxh3_64(body.as_bytes())))
    }

    /// Reads the content of the file at `path`.
    pub(super) fn decode(path: &Path, content: &[u8]) -> Result<Identity, StorageError> {
        let corrupt = |detail: &str| StorageError::corrupt(path, detail);
        let content = str::from_utf8(content).map_err(|_| corrupt("it is not text"))?;
        match toml::from_str(content) {
            Ok(AnyFormat { format: found }) if found > FORMAT => {
                return Err(StorageError::NewerFormat { path: path.into(), found, known: FORMAT });
            }
            Ok(AnyFormat { format: found }) if found < FORMAT => {
                return Err(StorageError::OlderFormat { path: path.into(), found, known: FORMAT });
            }
            _ => {}
        }
        let body_bytes = content.rfind(CHECKSUM).ok_or_else(|| corrupt("it is cut short"))?;
        let (body, checksum) = content.split_at(body_bytes);
        if checksum != format!("{CHECKSUM}\"{:016x}\"\n", xxh3_64(body.as_bytes())) {
            return Err(corrupt("its checksum does not fit"));
        }
        let stored: Stored = toml::from_str(body).map_err(|error| corrupt(error.message()))?;
        let joined = match (stored.cluster, stored.cluster_id, stored.node) {
            (Some(name), Some(cluster), Some(node)) => Some(Joined { cluster, name, node }),
            (None, None, None) => None,
            _ => return Err(corrupt("it names a part of cluster, cluster_id and node")),
        };
        let Stored { engine, store, start, engine_made, coordination_made, generation, successor, .. } = stored;
        Ok(Identity { engine, store, start, engine_made, coordination_made, generation, joined, successor })
    }

    /// Makes the store the cluster's, under the id that the cluster has for it.
    ///
    /// # Errors
    /// [`StorageError::Belongs`] if it is another's, or this one's under another id. `path` is named there.
    pub(super) fn adopt(&mut self, path: &Path, joined: Joined, store: StoreId) -> Result<(), StorageError> {
        match &self.joined {
            Some(before) if *before == joined && self.store == store => Ok(()),
            Some(Joined { cluster, name, node }) => Err(StorageError::Belongs {
                path: path.into(),
                store: self.store,
                cluster: *cluster,
                name: name.clone(),
                node: *node,
            }),
            None => {
                (self.joined, self.store) = (Some(joined), store);
                Ok(())
            }
        }
    }

    /// Counts this start no more.
    pub(super) fn withdraw_start(&mut self) {
        self.start = self.start.saturating_sub(1);
    }

    /// Raises the generation.
    ///
    /// # Errors
    /// [`StorageError::OlderGeneration`] if it was higher before. `path` is named there.
    pub(super) fn raise(&mut self, path: &Path, generation: u32) -> Result<(), StorageError> {
        if generation < self.generation {
            let known = self.generation;
            return Err(StorageError::OlderGeneration { path: path.into(), given: generation, known });
        }
        self.generation = generation;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let joined = Joined { cluster: ClusterId(7), name: "a \"cluster\"".into(), node: NodeId(3) };
        Identity {
            start: 7,
            engine_made: true,
            generation: 2,
            joined: Some(joined),
            successor: Some(StoreId(5)),
            ..Identity::fresh("fjall", StoreId(u128::MAX))
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        for identity in [identity(), Identity::fresh("memory", StoreId(0))] {
            let content = identity.encode().unwrap();
            assert_eq!(Identity::decode(Path::new(FILE), content.as_bytes()).unwrap(), identity);
        }
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
    fn another_format_is_called_newer_or_older() {
        let read = |text: &str| Identity::decode(Path::new(FILE), text.as_bytes()).unwrap_err();
        let error = read("format = 4\nshape = \"unknown to this version\"\n");
        assert!(matches!(error, StorageError::NewerFormat { found: 4, known: FORMAT, .. }), "{error}");
        let error = read("format = 1\nnode = 1\n");
        assert!(matches!(error, StorageError::OlderFormat { found: 1, known: FORMAT, .. }), "{error}");
    }
}
