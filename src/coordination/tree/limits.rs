//! How much the tree and its sessions may hold.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Limits of the service. They are part of the replicated state: a replica with others would refuse what the rest applied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of data in one write, hence of any node.
    pub write_bytes_max: u64,
    /// Steps of one write.
    pub changes_max: u64,
    /// Children of a node. A listing must fit a frame.
    pub children_max: u64,
    /// Bytes of the whole tree, [`super::Tree::bytes`]: every replica holds it in memory and sends it as a snapshot.
    pub tree_bytes_max: u64,
    /// Sessions that are open.
    pub sessions_max: u64,
    /// Shortest session timeout in milliseconds; who asks for less gets this.
    pub session_timeout_min_ms: u64,
    /// Longest session timeout in milliseconds; who asks for more gets this.
    pub session_timeout_max_ms: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            write_bytes_max: 1 << 20,
            changes_max: 1 << 10,
            children_max: 1 << 16,
            tree_bytes_max: 256 << 20,
            sessions_max: 10_000,
            session_timeout_min_ms: 100,
            session_timeout_max_ms: 600_000,
        }
    }
}

/// Names a limit in an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Limit {
    /// [`Limits::write_bytes_max`].
    WriteBytes,
    /// [`Limits::changes_max`].
    Changes,
    /// [`Limits::children_max`].
    Children,
    /// [`Limits::tree_bytes_max`].
    TreeBytes,
    /// [`Limits::sessions_max`].
    Sessions,
    /// [`super::Path::BYTES_MAX`], passed by a sequential node's number.
    PathBytes,
    /// What the digits of a sequential node can say.
    Sequence,
    /// Writes of one session that wait for a reply.
    InFlight,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Limit::WriteBytes => "bytes of data in one write (write_bytes_max)",
            Limit::Changes => "steps of one write (changes_max)",
            Limit::Children => "children of a node (children_max)",
            Limit::TreeBytes => "bytes of the whole tree (tree_bytes_max)",
            Limit::Sessions => "open sessions (sessions_max)",
            Limit::PathBytes => "bytes of a path with its number",
            Limit::Sequence => "the number of a sequential node",
            Limit::InFlight => "writes of a session without a reply",
        })
    }
}
