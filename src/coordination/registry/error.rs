//! What can go wrong with the registry.

use crate::coordination::api;
use crate::coordination::tree::Path;
use crate::core::id::{ClusterId, NodeId, StoreId};
use crate::wire::change::ChangeFailure;
use crate::wire::handshake;

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The coordination service did not do it. [`api::Error`] says whether it may be tried again.
    #[error(transparent)]
    Service(#[from] api::Error),
    /// A node of the tree holds what is no record of its kind: somebody wrote it by hand, or a version that is far ahead.
    #[error("{path} is not what it should be: {detail}")]
    Malformed {
        /// Which.
        path: Path,
        /// What is wrong with it.
        detail: String,
    },
    /// There is no cluster in the service yet. It is founded once, by an explicit bootstrap.
    #[error("there is no cluster yet; it has to be founded first")]
    NotFounded,
    /// The service keeps another cluster. The two never mix.
    #[error("the coordination service keeps cluster '{name}' with id {id}, which is another one")]
    OtherCluster {
        /// Its id.
        id: ClusterId,
        /// Its name.
        name: String,
    },
    /// The store may not take part, now or later.
    #[error(transparent)]
    Verdict(#[from] Verdict),
    /// Another process holds the node's place. It frees it when it stops, or when its session is over: try again then.
    #[error("node {node} is alive at {address} with store {store}")]
    NodeAlive {
        /// The node.
        node: NodeId,
        /// Where it runs.
        address: String,
        /// Its store.
        store: StoreId,
    },
    /// A new node says that it is reached where another one is.
    #[error("{address} is the address of node {node}")]
    AddressTaken {
        /// The address.
        address: String,
        /// Whose it is.
        node: NodeId,
    },
    /// What was asked for cannot be.
    #[error("{reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// What was asked of the ring cannot be, or not now.
    #[error(transparent)]
    Change(#[from] ChangeFailure),
    /// Others changed the same thing at the same time, again and again. Try again.
    #[error("others keep changing {path}; try again")]
    Contended {
        /// What they change.
        path: Path,
    },
}

impl Error {
    /// Whether the same call may succeed later, in the same session.
    pub fn retryable(&self) -> bool {
        match self {
            Error::Service(error) => error.retryable() || error.outcome_unknown(),
            Error::NotFounded | Error::NodeAlive { .. } | Error::Contended { .. } => true,
            // An operator may repair what is malformed while the node waits.
            Error::Malformed { .. } => true,
            Error::OtherCluster { .. }
            | Error::Verdict(_)
            | Error::AddressTaken { .. }
            | Error::Invalid { .. }
            | Error::Change(_) => false,
        }
    }
}

/// Why a store may not take part, for good.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Verdict {
    /// It was restored from an older copy of itself: it forgot what it promised since.
    #[error(
        "store {store} was rolled back: its start {seen} was registered, this is start {shown}. Its bytes are not merged; \
         move them away and start the node with an empty folder"
    )]
    RolledBack {
        /// The store.
        store: StoreId,
        /// The start that it shows.
        shown: u64,
        /// The latest that was registered.
        seen: u64,
    },
    /// It is a copy of a store that runs elsewhere, or did when this start was registered.
    #[error(
        "store {store} runs at {address}; this is a copy of it. Give this node an empty folder and a number of its own"
    )]
    Cloned {
        /// The store.
        store: StoreId,
        /// Where the original runs.
        address: String,
    },
    /// The node came with another store since.
    #[error("store {store} was replaced: node {node} came with store {by} since")]
    Replaced {
        /// The store.
        store: StoreId,
        /// Its node.
        node: NodeId,
        /// The store that the node serves now.
        by: StoreId,
    },
    /// It handed over all it had and went out of the ring, and this start of it is over. Started again it is a guest.
    #[error(
        "node {node} has left: store {store} owns nothing and holds nothing. Started again it would join as a new node does"
    )]
    Left {
        /// The store.
        store: StoreId,
        /// Its node.
        node: NodeId,
    },
    /// An operator declared its data destroyed.
    #[error(
        "store {store} was forgotten: an operator declared its data destroyed. Start the node with an empty folder"
    )]
    Forgotten {
        /// The store.
        store: StoreId,
    },
    /// It says that it belongs to this cluster, which never heard of it.
    #[error("store {store} is not known to this cluster")]
    Unknown {
        /// The store.
        store: StoreId,
    },
    /// It belongs to another cluster.
    #[error("the store belongs to cluster {own}, the coordination service keeps cluster {id}")]
    OtherCluster {
        /// The store's.
        own: ClusterId,
        /// The service's.
        id: ClusterId,
    },
}

/// What a caller is told whose greeting was judged so.
impl From<Verdict> for handshake::Refusal {
    fn from(verdict: Verdict) -> handshake::Refusal {
        match verdict {
            Verdict::RolledBack { store, seen, .. } => handshake::Refusal::RolledBack { store, seen },
            Verdict::Cloned { store, address } => handshake::Refusal::Cloned { store, address },
            Verdict::Replaced { store, .. }
            | Verdict::Left { store, .. }
            | Verdict::Forgotten { store }
            | Verdict::Unknown { store } => handshake::Refusal::NotAMember { store },
            Verdict::OtherCluster { id, .. } => handshake::Refusal::OtherCluster { id },
        }
    }
}
