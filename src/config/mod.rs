//! Configuration: what an operator decides, read once at the start.
//!
//! There are two files. `cluster.toml` says what all nodes share ([`ClusterConfig`]): the name, how the token space is cut, who
//! the nodes are, what the buckets promise. `node1.toml` and the like say what is one node's own ([`NodeConfig`]), and name the
//! cluster's file. Flags and environment may override the values that differ between machines ([`Overrides`]). A
//! node can also be started from a server list, or from nothing at all.
//!
//! The cluster's file only makes the cluster. Afterwards the coordination service rules, and where it differs the log says so.
//! So a node that joins a running cluster has no such file: it names a node to ask instead ([`NodeConfig::join`]), and its
//! [`Config::cluster`] is [`ClusterConfig::unknown`] until that one has answered.
//!
//! The `Default` of each type is the one place where defaults are written; `config/reference.toml` shows them all, and a test
//! proves that it is right and that it is complete.
//!
//! What is refused, and why it is refused here: a mistake found at the start costs a minute, one found under load an
//! outage. So unknown keys, wrong types, values out of range and values that contradict each other all keep a node from
//! starting, and are all reported together, each with file, line, key and what would be right ([`ConfigError`]). A file is
//! read as a tree of spans (`table`), each key with its name, type, range and unit on one line; then what the keys say
//! together is checked. `kv-server check` does this and nothing else.
//!
//! Not decided here: whether an address resolves, a port is free or a folder can be written. These may change between one start
//! and the next, and whoever uses them says so.

mod anti_entropy;
mod buckets;
mod cluster;
mod complaint;
mod coordination;
mod duration;
mod hints;
mod limits;
mod nearest;
mod network;
mod node;
mod problem;
mod reap;
mod source;
mod start;
mod storage;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod timing;
mod transfer;

pub use anti_entropy::AntiEntropyConfig;
pub use cluster::{ClusterConfig, NodeEntry};
pub use complaint::{Complaint, KeyHint};
pub use coordination::{CoordinationConfig, CoordinationKind};
pub use hints::HintsConfig;
pub use limits::NodeLimits;
pub use network::ListenError;
pub use node::NodeConfig;
pub use problem::{ConfigError, Place, Problem};
pub use reap::ReapConfig;
pub use start::Overrides;
pub use storage::{EngineKind, StorageConfig, SyncPolicy};
pub use timing::Timing;
pub use transfer::TransferConfig;

/// All that a node needs to know to start. The default is node 1 of the local cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// What all nodes share.
    pub cluster: ClusterConfig,
    /// What is this node's own.
    pub node: NodeConfig,
}
