//! What operators ask of the coordination service through a node: to read, write and watch its tree, to keep the
//! buckets' properties there, and to change the ring.
//!
//! The node carries a request out with its own session, so a read may be as old as that node's copy unless it asks to
//! `sync`. Nothing here belongs to the data path.
//!
//! A watch is a long poll. The caller names what it saw last; the node answers as soon as it reads something else, or
//! after a while that nothing changed. All that is remembered travels in [`Seen`], so any other node can go on with it.

mod failure;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::change::{ChangeAnswer, ChangeRequest};
use crate::core::bucket::Bucket;
use crate::core::id::Epoch;

pub use failure::TreeFailure;

/// What a node is asked to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum TreeRequest {
    /// Read a node's data. Answered by [`TreeAnswer::Node`].
    Get {
        /// Which.
        path: String,
        /// Whether everything that was acknowledged before must be seen.
        sync: bool,
    },
    /// List what is below a node. Answered by [`TreeAnswer::Listing`].
    List {
        /// Which.
        path: String,
        /// Also below its children.
        recursive: bool,
        /// As in `Get`.
        sync: bool,
    },
    /// Make a node. Answered by [`TreeAnswer::Written`].
    Create {
        /// Where; of a sequential node what its number is put behind.
        path: String,
        /// What it holds.
        #[serde(with = "crate::core::blob")]
        data: Bytes,
        /// Whether the service puts a number behind the name.
        sequential: bool,
        /// Whether it is ephemeral: it belongs to the answering node's session, and that node deletes it when the
        /// connection that asked for it ends.
        held: bool,
    },
    /// Replace a node's data. Answered by [`TreeAnswer::Written`].
    Set {
        /// Which.
        path: String,
        /// What it holds from now on.
        #[serde(with = "crate::core::blob")]
        data: Bytes,
        /// What its version must be; `None` is any.
        expected: Option<u64>,
    },
    /// Delete a node without children. Answered by [`TreeAnswer::Deleted`].
    Delete {
        /// Which.
        path: String,
        /// What its version must be; `None` is any.
        expected: Option<u64>,
    },
    /// Tell of a change. Answered by [`TreeAnswer::Watched`] or, when nothing changed in time, [`TreeAnswer::Unchanged`].
    Watch {
        /// What is watched: the node, there or not, and the names of its children.
        path: String,
        /// Instead all that is below it.
        subtree: bool,
        /// What the last answer said; `None` is answered at once.
        seen: Option<Seen>,
        /// Milliseconds to wait for a change; a node may cut it down.
        wait_ms: u32,
    },
    /// Show the buckets as the service has them. Answered by [`TreeAnswer::Buckets`].
    Buckets,
    /// Change properties of a bucket, all or none. Answered by [`TreeAnswer::BucketSet`].
    SetBucket {
        /// Its name.
        bucket: String,
        /// Names and values of what is to be changed, as people write them; the rest stays as it is.
        properties: Vec<(String, String)>,
    },
    /// Change who owns what, or tell of it. Answered by [`TreeAnswer::Change`].
    Change(ChangeRequest),
}

impl TreeRequest {
    /// Whether it changes anything, so that it must not be sent twice.
    pub fn is_write(&self) -> bool {
        match self {
            TreeRequest::Create { .. }
            | TreeRequest::Set { .. }
            | TreeRequest::Delete { .. }
            | TreeRequest::SetBucket { .. } => true,
            TreeRequest::Get { .. } | TreeRequest::List { .. } | TreeRequest::Watch { .. } | TreeRequest::Buckets => {
                false
            }
            TreeRequest::Change(request) => request.is_write(),
        }
    }

    /// Bytes of data that it carries.
    pub fn data_bytes(&self) -> usize {
        match self {
            TreeRequest::Create { data, .. } | TreeRequest::Set { data, .. } => data.len(),
            _ => 0,
        }
    }
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum TreeAnswer {
    /// A node and its data.
    Node(TreeNode),
    /// What is below a node.
    Listing {
        /// The node's own.
        stat: NodeStat,
        /// Names, or paths relative to the node, parents before their children.
        names: Vec<String>,
        /// Whether there are more than may be listed.
        left_off: bool,
        /// The revision at which it was so.
        revision: u64,
    },
    /// The node was made or set.
    Written {
        /// Its path, with its number if it is sequential.
        path: String,
        /// How it was after that.
        stat: NodeStat,
    },
    /// The node is gone.
    Deleted,
    /// What is watched, and is not what was seen.
    Watched(Watched),
    /// What is watched is as it was seen. Ask again.
    Unchanged,
    /// The buckets.
    Buckets(BucketsReport),
    /// The bucket has these properties from this epoch on.
    BucketSet {
        /// The epoch that they came with.
        epoch: Epoch,
        /// Owners of each partition.
        replication: u8,
        /// All its properties.
        bucket: Bucket,
    },
    /// What is staged, what it would move, or how the change is.
    Change(Box<ChangeAnswer>),
}

impl TreeAnswer {
    /// Roughly the bytes that it takes on the wire.
    pub fn weight(&self) -> usize {
        const EACH: usize = 64;
        match self {
            TreeAnswer::Node(node) => node.data.len(),
            TreeAnswer::Listing { names, .. } => names.iter().map(|name| name.len() + EACH).sum(),
            TreeAnswer::Watched(Watched { nodes, children, .. }) => {
                let data = |node: &WatchedNode| node.data.as_ref().map_or(0, Bytes::len);
                let nodes: usize = nodes.iter().map(|node| node.path.len() + data(node) + EACH).sum();
                nodes + children.iter().map(|name| name.len() + EACH).sum::<usize>()
            }
            TreeAnswer::Buckets(report) => report.buckets.len() * EACH,
            TreeAnswer::Change(answer) => answer.items() * EACH,
            TreeAnswer::Written { .. } | TreeAnswer::Deleted | TreeAnswer::Unchanged | TreeAnswer::BucketSet { .. } => {
                0
            }
        }
    }
}

/// A node as it was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TreeNode {
    /// Where.
    pub path: String,
    /// What it holds.
    #[serde(with = "crate::core::blob")]
    pub data: Bytes,
    /// The rest.
    pub stat: NodeStat,
    /// The revision at which it was so.
    pub revision: u64,
}

/// What is known of a node beside its data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeStat {
    /// The revision that created it.
    pub created: u64,
    /// The revision that set its data last.
    pub modified: u64,
    /// How often its data was set since it was created.
    pub version: u64,
    /// How many children it gained and lost since it was created.
    pub children_version: u64,
    /// The session that it vanishes with, if it is ephemeral.
    pub owner: Option<u64>,
    /// Bytes of its data.
    pub data_bytes: u64,
    /// Children it has now.
    pub children: u64,
}

/// What a watcher saw last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// The revision at which it was read. A node whose copy is older catches up first.
    pub revision: u64,
    /// A digest of all that is watched; only nodes look into it.
    pub digest: u64,
}

/// What is watched, as it is now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Watched {
    /// For the next request.
    pub seen: Seen,
    /// The node, if it is there; of a subtree all nodes, parents before their children.
    pub nodes: Vec<WatchedNode>,
    /// Names of the node's children; empty of a subtree, whose nodes say it.
    pub children: Vec<String>,
}

/// One of the nodes that are watched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WatchedNode {
    /// Where.
    pub path: String,
    /// What it holds; `None` in a subtree.
    #[serde(with = "crate::core::blob::option")]
    pub data: Option<Bytes>,
    /// The rest.
    pub stat: NodeStat,
}

/// The buckets that have properties of their own.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BucketsReport {
    /// The epoch that they came with.
    pub epoch: Epoch,
    /// Owners of each partition: the n of a bucket that sets none.
    pub replication: u8,
    /// By name.
    pub buckets: Vec<(String, Bucket)>,
}
