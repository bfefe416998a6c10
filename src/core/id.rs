//! Names of things: nodes, stores, partitions, epochs.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A node as its operator names it: the number in its configuration. It survives a change of disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StoreId(pub u128);

/// A cluster: drawn at random when it is made, kept by every store, checked at every greeting, so that two clusters of one
/// name never mix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClusterId(pub u128);

/// What identifiers of 128 random bits have in common: hexadecimal in text, where numbers of 128 bits are more than JSON and
/// TOML hold, and a number in frames.
macro_rules! random_id {
    ($name:ident, $letter:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "{}{:08x}", $letter, (self.0 >> 96) as u32)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if to.is_human_readable() { to.collect_str(self) } else { to.serialize_u128(self.0) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                if !from.is_human_readable() {
                    return u128::deserialize(from).map($name);
                }
                String::deserialize(from)?.parse().map_err(D::Error::custom)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(hex: &str) -> Result<Self, Self::Err> {
                u128::from_str_radix(hex, 16).map($name)
            }
        }
    };
}

random_id!(StoreId, 's');
random_id!(ClusterId, 'c');

/// One start of a store. Stores are kept apart by their id; a copy of one is told from it by its starts: whoever shows an
/// older number than one that was seen was rolled back, and whoever shows a number that was seen with another nonce is a
/// second process on a copy of the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Start {
    /// The store.
    pub store: StoreId,
    /// How often it was started, this time included. Durable before anything else happens.
    pub number: u64,
    /// Drawn at random for this start.
    pub nonce: u64,
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

/// Why a text is no epoch.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an epoch is a generation and a counter, such as 0.7")]
pub struct BadEpoch;

impl FromStr for Epoch {
    type Err = BadEpoch;

    fn from_str(text: &str) -> Result<Epoch, BadEpoch> {
        let (generation, counter) = text.split_once('.').ok_or(BadEpoch)?;
        let counter = counter.parse().map_err(|_| BadEpoch)?;
        Ok(Epoch { generation: generation.parse().map_err(|_| BadEpoch)?, counter })
    }
}
