//! A node of the tree, and what readers are told of it.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How many writes have changed the tree: ZooKeeper's zxid. Each write that changes anything raises it by one, however
/// many nodes it touches; a forced recovery of the service raises it far beyond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A session with the service, by the number that the service gave it. No number is given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Who a new node belongs to, and who names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CreateMode {
    /// Stays until it is deleted.
    Persistent,
    /// Stays until it is deleted; the service puts a number behind its name.
    PersistentSequential,
    /// Vanishes with the session that creates it; has no children.
    Ephemeral,
    /// Vanishes with the session that creates it; the service puts a number behind its name.
    EphemeralSequential,
}

impl CreateMode {
    /// Whether the node vanishes with its session.
    pub fn is_ephemeral(self) -> bool {
        matches!(self, CreateMode::Ephemeral | CreateMode::EphemeralSequential)
    }

    /// Whether the service puts a number behind the name.
    pub fn is_sequential(self) -> bool {
        matches!(self, CreateMode::PersistentSequential | CreateMode::EphemeralSequential)
    }
}

/// What is known of a node beside its data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stat {
    /// The revision that created it.
    pub created: Revision,
    /// The revision that set its data last.
    pub modified: Revision,
    /// How often its data was set since it was created; a forced recovery of the service raises it far beyond.
    pub version: u64,
    /// How many children it gained and lost since it was created.
    pub children_version: u64,
    /// The session that it vanishes with, if it is ephemeral.
    pub owner: Option<SessionId>,
    /// Bytes of its data.
    pub data_bytes: u64,
    /// Children it has now.
    pub children: u64,
}

/// What a node holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Content {
    /// Its data.
    #[serde(with = "crate::core::blob")]
    pub data: Bytes,
    /// The rest.
    pub stat: Stat,
}

/// The nodes directly below a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listing {
    /// Their names in byte order, without the path above them.
    pub names: Vec<String>,
    /// Of the node above them.
    pub stat: Stat,
}

/// A node as the tree keeps it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Node {
    #[serde(with = "crate::core::blob")]
    pub data: Bytes,
    pub version: u64,
    pub children_version: u64,
    /// The number that its next sequential child gets. It never falls while the node is there.
    pub next_sequence: u64,
    pub owner: Option<SessionId>,
    pub created: Revision,
    pub modified: Revision,
}

impl Node {
    pub fn new(data: Bytes, owner: Option<SessionId>, created: Revision) -> Node {
        Node { data, version: 0, children_version: 0, next_sequence: 0, owner, created, modified: created }
    }

    pub fn stat(&self, children: usize) -> Stat {
        Stat {
            created: self.created,
            modified: self.modified,
            version: self.version,
            children_version: self.children_version,
            owner: self.owner,
            data_bytes: self.data.len() as u64,
            children: children as u64,
        }
    }
}
