//! What can be wrong with a configuration: every refusal is worded here, once, and says what would be right.

use std::fmt;

use crate::core::id::NodeId;
use crate::wire::servers::{BadAddress, BadServers};

use super::coordination::CoordinationKind;

/// What is wrong, and what would be right.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Complaint {
    /// The file cannot be opened or is no text.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file that `cluster` names cannot be opened or is no text.
    #[error("cannot read {file}: {reason}; the path is relative to the file that it stands in")]
    UnreadableCluster {
        /// As it was looked for.
        file: String,
        /// The system's words.
        reason: String,
    },
    /// Not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// A key that means nothing.
    #[error("unknown key; {0}")]
    UnknownKey(KeyHint),
    /// A key that has no default and was not given.
    #[error("is missing; give {0}")]
    Missing(&'static str),
    /// A value of the wrong type or outside its range.
    #[error("found {found}, expected {expected}")]
    Unexpected {
        /// The value as it was written.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// Not `host:port`.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// Not a server list.
    #[error(transparent)]
    Servers(#[from] BadServers),
    /// Q must be a power of two, so that a partition is a prefix of the token.
    #[error("{partitions} is no power of two; the nearest are {below} and {above}")]
    NotPowerOfTwo {
        /// As configured.
        partitions: u32,
        /// The next power of two below.
        below: u32,
        /// The next power of two above.
        above: u32,
    },
    /// Two nodes have one id.
    #[error("node {id} is listed before, on line {line}; give each node an id of its own")]
    DuplicateId {
        /// The id.
        id: NodeId,
        /// Where it stands first.
        line: usize,
    },
    /// Two nodes have one address.
    #[error("{address} is node {id}'s, on line {line}; give each node an address of its own")]
    DuplicateAddress {
        /// The address.
        address: String,
        /// Who has it first.
        id: NodeId,
        /// Where it stands first.
        line: usize,
    },
    /// Fewer nodes than copies.
    #[error(
        "{replication} copies need at least {replication} nodes with a weight above 0, and {nodes} are listed; \
         add nodes or lower replication"
    )]
    TooFewNodes {
        /// Copies of each key.
        replication: u8,
        /// Nodes that may own something.
        nodes: usize,
    },
    /// A bucket's table without a name.
    #[error("a bucket's name has at least one byte")]
    BucketNameEmpty,
    /// A bucket's table under a name that no request can use.
    #[error(
        "bucket '{name}' of the cluster has a name longer than {limit} bytes; raise the limit or rename the bucket"
    )]
    BucketNameTooLong {
        /// The name.
        name: String,
        /// Bytes allowed.
        limit: u32,
    },
    /// A bucket with more replicas than the ring has owners.
    #[error("{n} replicas are more than the cluster's replication = {replication}; lower n or raise replication")]
    ReplicasAboveReplication {
        /// The bucket's.
        n: u8,
        /// The cluster's.
        replication: u8,
    },
    /// A quorum that can never be met, or that asks nobody.
    #[error("{size} cannot be met by n = {n} replicas; give 1 to {n}, or one, quorum or all")]
    QuorumOutOfRange {
        /// As configured or inherited.
        size: String,
        /// The bucket's replicas.
        n: u8,
    },
    /// More owners than answers.
    #[error("found {size}, but only {of} = {answers} replicas answer at all; give 0 to {answers} or raise {of}")]
    PrimariesAboveQuorum {
        /// As configured or inherited.
        size: String,
        /// `r` or `w`.
        of: &'static str,
        /// Its size.
        answers: u8,
    },
    /// A value over another that bounds it.
    #[error("{value} is more than {bound} = {limit}; lower it or raise {bound}")]
    Above {
        /// As configured.
        value: u64,
        /// The key that bounds it.
        bound: &'static str,
        /// The value of that key.
        limit: u64,
    },
    /// Two pings must fit into the time after which a silent peer counts as down.
    #[error(
        "{ping_ms} is more than half of timing.peer_timeout_ms = {timeout_ms}: one late ping would take a peer down"
    )]
    PingTooRare {
        /// Milliseconds between pings.
        ping_ms: u64,
        /// Milliseconds of silence after which a peer counts as down.
        timeout_ms: u64,
    },
    /// A key of the other coordination service.
    #[error("means nothing with kind = \"{kind}\"; leave it out, or set coordination.kind = \"{needs}\"")]
    OtherCoordination {
        /// As configured.
        kind: CoordinationKind,
        /// What the key is for.
        needs: &'static str,
    },
    /// An even number of voters survives no more losses than one less, and more than five are slower for nothing.
    #[error("found {0} voters; name 1, 3 or 5: they survive the loss of 0, 1 or 2")]
    VoterCount(usize),
    /// A voter that is named twice.
    #[error("node {0} is named twice; each votes once")]
    VoterTwice(NodeId),
    /// Followers must hear of a living leader before they give it up.
    #[error(
        "{election_ms} is less than three times coordination.heartbeat_ms = {heartbeat_ms}: \
         a late heartbeat would depose a leader"
    )]
    ElectionTooSoon {
        /// Milliseconds without a leader after which a voter stands for election.
        election_ms: u64,
        /// Milliseconds between heartbeats.
        heartbeat_ms: u64,
    },
    /// Sessions must outlive an election.
    #[error(
        "{session_ms} is less than twice coordination.election_timeout_ms = {election_ms}: \
         all nodes would count as gone whenever a leader is elected"
    )]
    SessionTooShort {
        /// Milliseconds of silence after which a node counts as gone.
        session_ms: u64,
        /// Milliseconds without a leader after which a voter stands for election.
        election_ms: u64,
    },
    /// Not a path in ZooKeeper.
    #[error("'{0}' is no path; give one such as /kv, with names between its slashes and none at its end")]
    NotAPath(String),
    /// A node is either listed or joins.
    #[error("a node that joins learns its cluster from the node it asks; leave out either this or cluster")]
    JoinWithCluster,
    /// What the node list says of a listed node.
    #[error("is for a node that joins; of this one it stands in the node list, which its cluster's file has")]
    OnlyToJoin,
    /// Nobody can dial the address that a node would tell the others.
    #[error("{0} is where the node listens, on all its addresses; give the one at which the others reach it")]
    AdvertiseUnspecified(String),
    /// This node is not one of the cluster's.
    #[error("node {id} is not in the node list, which has {listed}; correct the id or add the node to the list")]
    NotListed {
        /// The node.
        id: NodeId,
        /// The ids that are.
        listed: String,
    },
    /// Others would dial another address than the one this node says it has.
    #[error("{advertise} is not node {id}'s address in the node list, {listed}; make them equal or leave this out")]
    AdvertiseDiffers {
        /// This node's own words.
        advertise: String,
        /// This node.
        id: NodeId,
        /// What all others use.
        listed: String,
    },
    /// Links are not encrypted, and this one would leave the machine.
    #[error(
        "{0} can be reached from other machines, and links are not encrypted yet; \
         listen on 127.0.0.1, or set insecure = true (--insecure) on a network you trust"
    )]
    BeyondLoopback(String),
}

impl Complaint {
    /// For a value out of a set or range.
    pub(super) fn unexpected(found: impl fmt::Display, expected: impl Into<String>) -> Complaint {
        Complaint::Unexpected { found: found.to_string(), expected: expected.into() }
    }
}

/// Which key may have been meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyHint {
    /// A known key of that table is spelt nearly so.
    Nearest(String),
    /// The key is known, in another table of the file.
    Elsewhere(String),
    /// Nothing is like it: these are known here.
    Known(Vec<String>),
}

impl fmt::Display for KeyHint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            KeyHint::Nearest(key) => write!(f, "did you mean {key}?"),
            KeyHint::Elsewhere(path) => write!(f, "did you mean {path}?"),
            KeyHint::Known(keys) => write!(f, "known here: {}", keys.join(", ")),
        }
    }
}
