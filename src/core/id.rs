//! Names of things: nodes, stores, partitions, epochs.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A node as its operator names it: the number in its configuration. It survives a change of disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// A store: one data directory from its making to its loss. The ring names stores, not nodes, because a
/// node whose disk was replaced remembers nothing of what the old one promised.
///
/// In text (JSON, TOML) it is its hexadecimal form: numbers of 128 bits are more than these hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub u128);

impl StoreId {
    /// The store of a node in a cluster whose membership is a static list: nobody registers stores there, so every node
    /// must be able to name every store by itself.
    pub fn of_static_node(cluster: &str, node: NodeId) -> StoreId {
        StoreId(xxhash_rust::xxh3::xxh3_128(format!("{}:{cluster}:{node}", cluster.len()).as_bytes()))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "s{:08x}", (self.0 >> 96) as u32)
    }
}

impl Serialize for StoreId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(self) } else { to.serialize_u128(self.0) }
    }
}

impl<'de> Deserialize<'de> for StoreId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<StoreId, D::Error> {
        if !from.is_human_readable() {
            return u128::deserialize(from).map(StoreId);
        }
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for StoreId {
    type Err = std::num::ParseIntError;

    fn from_str(hex: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(hex, 16).map(StoreId)
    }
}

/// One of the Q equal slices of the token space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u16);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// The age of a ring. Epochs never decrease; a forced recovery of the coordination service raises the
/// generation, so that nothing made before it can pass for newer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Epoch {
    /// Raised by forced recovery alone.
    pub generation: u32,
    /// Raised by every change of the ring.
    pub counter: u64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.counter)
    }
}
