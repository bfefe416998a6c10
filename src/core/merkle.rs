//! Merkle leaves: what a store holds of a partition, in a few kilobytes.
//!
//! Two owners want to know whether they hold the same, and if not, where they differ, without sending all they hold. Each keeps
//! of a partition a fixed number of [`Leaves`]. A key belongs to one of them for ever, by a hash of its stored form, and a leaf
//! is the *sum* modulo 2^128 of `hash(key, clock)` over its keys. A sum forgets the order in which it was made, so equal contents
//! have equal leaves whatever the route to them (but for collisions of a hash of 128 bits); and what was added can be taken out
//! again, so a write costs two additions and never a look at the other keys of its leaf. (Bellare and Micciancio's AdHash, *A New
//! Paradigm for Collision-Free Hashing*, 1997; here without a defence against who forges collisions: the hash is not
//! cryptographic, and whoever may write could spoil the repair of what he wrote.)
//!
//! The upper levels are sums as well, of [`FAN_OUT`] nodes each: they need no room, since [`Leaves::level`] makes them when they are
//! asked for. Comparing from the [root](Leaves::root) downwards costs O(k log n) bytes for k differences; comparing
//! all leaves at once costs their few kilobytes.
//!
//! The clock of a version covers its context and its live dots, not its values: a dot names one value for ever. A record that
//! cannot be read counts as the version [`UNREADABLE`], so that its leaf differs from that of an owner that can read it.
//!
//! What is not here: when leaves can be trusted. Who keeps them sees to it that they follow every change of what is held.

use std::ops::Range;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_128;

use super::version::Clock;

/// Nodes under each inner node, but for the lowest level if the leaves are no power of it.
pub const FAN_OUT: usize = 16;

/// Stands for the version of a record that cannot be read.
pub const UNREADABLE: Clock = Clock(0);

/// Leaves of all partitions together, as far as the bounds of one partition allow.
const LEAVES_IN_ALL: usize = 1 << 18;
/// Fewest leaves of a partition.
const LEAVES_MIN: usize = 64;
/// Most leaves of a partition.
const LEAVES_MAX: usize = 4096;
/// Bytes of a leaf, in memory and in the form that is sent.
const LEAF_BYTES: usize = size_of::<u128>();

/// How many leaves each partition has where there are `partitions` of them: 2^18 divided among them, but at least 64 and at most 4,096.
///
/// A store that holds all partitions keeps 4 MiB of leaves at Q from 64 to 4,096 (4,096 to 64 leaves, 64 KiB to 1 KiB each), less
/// below, 64 MiB at the largest Q of 65,536. At the default of 256 a partition has 1,024 leaves in 16 KiB, and a store of ten
/// million keys about 40 keys in each.
pub fn leaf_count(partitions: u32) -> usize {
    (LEAVES_IN_ALL / partitions.max(1) as usize).clamp(LEAVES_MIN, LEAVES_MAX)
}

/// The leaves of one partition. Sent as one byte string, 16 bytes a leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaves {
    sums: Box<[u128]>,
}

/// Sums of some nodes. Sent as one byte string, 16 bytes each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sums(pub Vec<u128>);

/// A key's leaf, and the hash that goes into it with each of its versions.
struct Slot {
    leaf: usize,
    key: u128,
}

impl Leaves {
    /// The leaves of an empty partition.
    ///
    /// # Panics
    /// Unless `count` is what [`leaf_count`] answers for some number of partitions.
    pub fn new(count: usize) -> Leaves {
        assert!(is_a_count(count), "a partition has no {count} leaves");
        Leaves { sums: vec![0; count].into() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sums.len()
    }

    /// The leaf of a key, given in its stored form. It does not depend on the bits by which the key's partition is chosen.
    pub fn leaf_of(&self, stored: &[u8]) -> u32 {
        self.slot(stored).leaf as u32
    }

    /// The key is there, at this version.
    pub fn add(&mut self, stored: &[u8], clock: Clock) {
        self.replace(stored, None, Some(clock));
    }

    /// The key is there no more; it was at this version.
    pub fn remove(&mut self, stored: &[u8], clock: Clock) {
        self.replace(stored, Some(clock), None);
    }

    /// The key was at one version, or not there, and is at another, or there no more.
    pub fn replace(&mut self, stored: &[u8], before: Option<Clock>, after: Option<Clock>) {
        if before == after {
            return;
        }
        let slot = self.slot(stored);
        let sum = &mut self.sums[slot.leaf];
        *sum = sum.wrapping_sub(before.map_or(0, |clock| slot.hash(clock)));
        *sum = sum.wrapping_add(after.map_or(0, |clock| slot.hash(clock)));
    }

    /// The numbers of the leaves in which two stores differ, in order. Two that have not the same number of leaves differ in all.
    pub fn differing(&self, other: &Leaves) -> Vec<u32> {
        let most = self.count().max(other.count());
        let all_differ = self.count() != other.count();
        (0..most).filter(|&i| all_differ || self.sums[i] != other.sums[i]).map(|i| i as u32).collect()
    }

    /// The sum of all leaves: equal for equal contents.
    pub fn root(&self) -> u128 {
        sum(&self.sums)
    }

    /// The nodes `depth` levels below the root, which alone is level 0. Node `i` is the sum of the nodes from `i` times [`FAN_OUT`] on
    /// of the next level; the lowest level, and whatever is below it, are the leaves.
    pub fn level(&self, depth: u32) -> Vec<u128> {
        let nodes = FAN_OUT.saturating_pow(depth).min(self.count());
        self.sums.chunks(self.count() / nodes).map(sum).collect()
    }

    /// The sums of these nodes of a [level](Leaves::level), in the order asked for; zero for one that there is not, as for an empty one.
    pub fn sums(&self, depth: u32, nodes: &[u32]) -> Sums {
        let level = self.level(depth);
        Sums(nodes.iter().map(|node| level.get(*node as usize).copied().unwrap_or_default()).collect())
    }

    /// The nodes of the next level under node `node` of this one; none under a leaf.
    pub fn under(&self, depth: u32, node: u32) -> Range<u32> {
        let width = |depth: u32| FAN_OUT.saturating_pow(depth).min(self.count()) as u32;
        let (nodes, under) = (width(depth), width(depth + 1));
        if under == nodes { 0..0 } else { node * (under / nodes)..(node + 1) * (under / nodes) }
    }

    /// Bytes in memory, and as sent.
    pub fn bytes(&self) -> usize {
        self.count() * LEAF_BYTES
    }

    fn slot(&self, stored: &[u8]) -> Slot {
        let key = xxh3_128(stored);
        // Counts are powers of two: all leaves are equally likely.
        Slot { leaf: key as usize % self.count(), key }
    }
}

impl Slot {
    fn hash(&self, clock: Clock) -> u128 {
        let mut bytes = [0; 2 * LEAF_BYTES];
        bytes[..LEAF_BYTES].copy_from_slice(&self.key.to_be_bytes());
        bytes[LEAF_BYTES..].copy_from_slice(&clock.0.to_be_bytes());
        xxh3_128(&bytes)
    }
}

fn sum(nodes: &[u128]) -> u128 {
    nodes.iter().fold(0, |sum, node| sum.wrapping_add(*node))
}

fn is_a_count(leaves: usize) -> bool {
    leaves.is_power_of_two() && (LEAVES_MIN..=LEAVES_MAX).contains(&leaves)
}

impl Serialize for Leaves {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serialize(&self.sums, to)
    }
}

impl<'de> Deserialize<'de> for Leaves {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Leaves, D::Error> {
        let sums = deserialize(from)?;
        if !is_a_count(sums.len()) {
            return Err(D::Error::custom(format!("{} are no leaves of a partition", sums.len())));
        }
        Ok(Leaves { sums: sums.into() })
    }
}

impl Serialize for Sums {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, to)
    }
}

impl<'de> Deserialize<'de> for Sums {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Sums, D::Error> {
        deserialize(from).map(Sums)
    }
}

fn serialize<S: Serializer>(sums: &[u128], to: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = sums.iter().flat_map(|sum| sum.to_be_bytes()).collect();
    to.serialize_bytes(&bytes)
}

fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u128>, D::Error> {
    let bytes = super::blob::deserialize(from)?;
    let (sums, rest) = bytes.as_chunks::<LEAF_BYTES>();
    if !rest.is_empty() {
        return Err(D::Error::custom(format!("{} bytes are no sums", bytes.len())));
    }
    Ok(sums.iter().map(|sum| u128::from_be_bytes(*sum)).collect())
}

#[cfg(test)]
mod tests;
