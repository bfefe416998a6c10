//! What a listing asks: applications of any node, that node of the owners.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::message::Object;
use crate::core::id::Partition;
use crate::core::request::Value;

/// The next page of a bucket's keys, please.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListRequest {
    /// Which bucket.
    #[serde(with = "crate::core::blob")]
    pub bucket: Bytes,
    /// Only names that begin so; empty for all.
    #[serde(with = "crate::core::blob")]
    pub prefix: Bytes,
    /// Where the page before this one ended ([`ListPage::next`]); `None` for the first one.
    #[serde(with = "crate::core::blob::option")]
    pub cursor: Option<Bytes>,
    /// How many keys at most. A node may give fewer, and none, although more follow.
    pub keys_max: u32,
    /// Whether values and contexts are wanted.
    pub values: bool,
}

/// Some of a bucket's keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListPage {
    /// Keys that are live, in the order of the listing: by partition, then by name.
    pub keys: Vec<Listed>,
    /// Where to go on, opaque; `None` if this was the last page.
    #[serde(with = "crate::core::blob::option")]
    pub next: Option<Bytes>,
    /// Partitions that have been listed to their end.
    pub partitions_done: u32,
    /// Partitions of the cluster.
    pub partitions: u32,
}

/// A key that is live.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Its name in the bucket.
    #[serde(with = "crate::core::blob")]
    pub name: Bytes,
    /// Every surviving sibling, newest first; none if values were not asked for.
    pub values: Vec<Value>,
    /// What to give back with a write that follows; `None` if values were not asked for.
    #[serde(with = "crate::core::blob::option")]
    pub context: Option<Bytes>,
}

/// What do you hold of this range?
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scan {
    /// Of which partition.
    pub partition: Partition,
    /// Of which bucket.
    #[serde(with = "crate::core::blob")]
    pub bucket: Bytes,
    /// Only names that begin so.
    #[serde(with = "crate::core::blob")]
    pub prefix: Bytes,
    /// Only names that are greater.
    #[serde(with = "crate::core::blob::option")]
    pub after: Option<Bytes>,
    /// How many keys at most.
    pub keys_max: u32,
    /// Whether the values are wanted; else objects come without their bytes.
    pub values: bool,
}

/// What a replica holds of a range: all of it up to the end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scanned {
    /// By name.
    pub entries: Vec<ScannedKey>,
    /// The last name that was looked at; `None` if the range holds no more.
    #[serde(with = "crate::core::blob::option")]
    pub end: Option<Bytes>,
}

/// A key that a replica holds, live or not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScannedKey {
    /// Its name in the bucket.
    #[serde(with = "crate::core::blob")]
    pub name: Bytes,
    /// What is durable of it, encoded.
    pub object: Object,
}

impl ListPage {
    /// Bytes of its keys and values, roughly.
    pub fn weight(&self) -> usize {
        const OVERHEAD: usize = 64;
        let of_values = |values: &[Value]| values.iter().map(|value| value.bytes.len() + OVERHEAD).sum::<usize>();
        self.keys.iter().map(|key| OVERHEAD + key.name.len() + of_values(&key.values)).sum()
    }
}

impl Scanned {
    /// Bytes of its names and objects.
    pub fn weight(&self) -> usize {
        self.entries.iter().map(|entry| entry.name.len() + entry.object.0.len()).sum()
    }
}
