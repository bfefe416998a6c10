//! What a bucket promises by default, and how its conflicts are resolved.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A quorum size as people write it: a number, or a word that follows n.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuorumSize {
    /// Exactly so many replicas.
    Count(u8),
    /// One replica.
    One,
    /// A majority of n.
    Quorum,
    /// All n.
    All,
}

impl QuorumSize {
    /// How many of `n` replicas that is.
    pub fn of(self, n: u8) -> u8 {
        match self {
            QuorumSize::Count(count) => count,
            QuorumSize::One => 1,
            QuorumSize::Quorum => n / 2 + 1,
            QuorumSize::All => n,
        }
    }
}

impl From<u8> for QuorumSize {
    fn from(count: u8) -> QuorumSize {
        QuorumSize::Count(count)
    }
}

impl fmt::Display for QuorumSize {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            QuorumSize::Count(count) => write!(f, "{count}"),
            QuorumSize::One => f.write_str("one"),
            QuorumSize::Quorum => f.write_str("quorum"),
            QuorumSize::All => f.write_str("all"),
        }
    }
}

/// What is wrong with a quorum size.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' is no quorum size: give a number from 0 to 255, or one, quorum or all")]
pub struct BadQuorumSize(pub String);

impl FromStr for QuorumSize {
    type Err = BadQuorumSize;

    fn from_str(text: &str) -> Result<Self, BadQuorumSize> {
        match text {
            "one" => Ok(QuorumSize::One),
            "quorum" => Ok(QuorumSize::Quorum),
            "all" => Ok(QuorumSize::All),
            number => number.parse().map(QuorumSize::Count).map_err(|_| BadQuorumSize(text.into())),
        }
    }
}

/// A number or a word, in frames as in TOML.
impl Serialize for QuorumSize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            QuorumSize::Count(count) => to.serialize_u8(*count),
            word => to.collect_str(word),
        }
    }
}

impl<'de> Deserialize<'de> for QuorumSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct SizeVisitor;
        impl de::Visitor<'_> for SizeVisitor {
            type Value = QuorumSize;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number from 0 to 255, or one, quorum or all")
            }
            fn visit_u64<E: de::Error>(self, count: u64) -> Result<QuorumSize, E> {
                u8::try_from(count).map(QuorumSize::Count).map_err(|_| E::custom(BadQuorumSize(count.to_string())))
            }
            fn visit_i64<E: de::Error>(self, count: i64) -> Result<QuorumSize, E> {
                u8::try_from(count).map(QuorumSize::Count).map_err(|_| E::custom(BadQuorumSize(count.to_string())))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<QuorumSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_any(SizeVisitor)
    }
}

/// What happens to concurrent writes of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conflict {
    /// All are kept, and handed to the reader to resolve.
    #[default]
    Siblings,
    /// The newest by hybrid logical clock survives; the others are lost. Ties break by dot.
    Lww,
}

/// What a write without a context covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlindWrite {
    /// What the coordinating replica holds, as SET does elsewhere.
    #[default]
    Supersede,
    /// Nothing: it becomes a sibling of whatever is there.
    Sibling,
}

/// Properties of a bucket: the defaults of its requests, and how it treats conflicts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    /// Replicas of each key; `None` is the cluster's replication, and it may not be more.
    pub n: Option<u8>,
    /// Replicas that must answer a read.
    pub r: QuorumSize,
    /// Replicas, or fallbacks, that must hold a write durably.
    pub w: QuorumSize,
    /// How many of `r` must be owners.
    pub pr: QuorumSize,
    /// How many of `w` must be owners.
    pub pw: QuorumSize,
    /// Whether fallbacks stand in for owners that are down.
    pub sloppy: bool,
    /// What happens to concurrent writes.
    pub conflict: Conflict,
    /// What a write without a context covers.
    pub blind_write: BlindWrite,
}

impl Default for Bucket {
    fn default() -> Self {
        Bucket {
            n: None,
            r: QuorumSize::Quorum,
            w: QuorumSize::Quorum,
            pr: QuorumSize::Count(0),
            pw: QuorumSize::Count(0),
            sloppy: true,
            conflict: Conflict::default(),
            blind_write: BlindWrite::default(),
        }
    }
}

/// All buckets: those with properties of their own, and what the others have. Stored as a map of the former.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Bucket>", into = "BTreeMap<String, Bucket>")]
pub struct Buckets {
    default: Bucket,
    named: BTreeMap<Vec<u8>, Bucket>,
}

impl Buckets {
    /// From configured tables; the one named `default` holds for bare keys and for every bucket without a table.
    pub fn new<'a>(tables: impl IntoIterator<Item = (&'a String, &'a Bucket)>) -> Buckets {
        let named: BTreeMap<_, _> = tables.into_iter().map(|(n, b)| (n.clone().into_bytes(), b.clone())).collect();
        let default = named.get(super::key::DEFAULT_BUCKET.as_bytes()).cloned().unwrap_or_default();
        Buckets { default, named }
    }

    /// The properties of a bucket.
    pub fn get(&self, name: &[u8]) -> &Bucket {
        self.named.get(name).unwrap_or(&self.default)
    }
}

impl From<BTreeMap<String, Bucket>> for Buckets {
    fn from(tables: BTreeMap<String, Bucket>) -> Buckets {
        Buckets::new(&tables)
    }
}

impl From<Buckets> for BTreeMap<String, Bucket> {
    /// The names were text when the buckets were made.
    fn from(buckets: Buckets) -> BTreeMap<String, Bucket> {
        let text = |name: Vec<u8>| String::from_utf8_lossy(&name).into_owned();
        buckets.named.into_iter().map(|(name, bucket)| (text(name), bucket)).collect()
    }
}
