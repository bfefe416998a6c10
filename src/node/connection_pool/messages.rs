//! What a ConnectionPool is told, and what it tells.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use crate::core::id::StoreId;
use crate::node::outbox::Outbox;
use crate::wire::message::{ReplicaError, ToCoordinator, ToReplica};
use crate::wire::report::PeerReport;

/// Who numbered a call. The highest byte of its number says so, and the reply goes back there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// An operation.
    Coordinator = 0,
    /// The delivery of a hint.
    Handoff = 1,
    /// An operator's question.
    Inspector = 2,
    /// A page of a listing.
    Lister = 3,
    /// The moving of partitions.
    Transfer = 4,
    /// The reaping of what was deleted.
    Reaper = 6,
    /// The comparison of owners.
    Repair = 5,
}

const ORIGIN_SHIFT: u32 = 56;

impl Origin {
    /// The number of this origin's `sequence`-th call.
    pub fn number(self, sequence: u64) -> u64 {
        ((self as u64) << ORIGIN_SHIFT) | Origin::sequence(sequence)
    }

    /// Which of its origin's calls this is.
    pub fn sequence(id: u64) -> u64 {
        id & ((1 << ORIGIN_SHIFT) - 1)
    }

    /// Who numbered this call.
    pub fn of(id: u64) -> Option<Origin> {
        const ALL: [Origin; 7] = [
            Origin::Coordinator,
            Origin::Handoff,
            Origin::Inspector,
            Origin::Lister,
            Origin::Transfer,
            Origin::Repair,
            Origin::Reaper,
        ];
        ALL.into_iter().find(|origin| *origin as u64 == id >> ORIGIN_SHIFT)
    }
}

/// Send these, in order. What cannot be sent comes back as [`PeerEvent::Refused`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct PeerSend {
    /// To whom.
    pub to: StoreId,
    /// What.
    pub messages: Vec<ToReplica>,
}

/// What came of it.
#[derive(Message)]
#[rtype(result = "()")]
pub enum PeerEvent {
    /// Replies that arrived together.
    Replies {
        /// Who replies.
        from: StoreId,
        /// The replies.
        replies: Vec<ToCoordinator>,
    },
    /// Calls that were never sent.
    Refused {
        /// Who was to get them.
        from: StoreId,
        /// Their numbers, and why not.
        refused: Vec<(u64, ReplicaError)>,
    },
    /// The link broke: nothing that was sent before will be answered.
    Lost {
        /// Who is gone.
        from: StoreId,
    },
}

/// From a link to its pool.
#[derive(Message)]
#[rtype(result = "()")]
pub enum LinkEvent {
    /// The greeting succeeded.
    Up {
        /// To whom.
        store: StoreId,
        /// Where the link waits for what it shall write.
        attach: oneshot::Sender<Arc<Outbox<ToReplica>>>,
    },
    /// The link broke, or could not be made.
    Down {
        /// To whom.
        store: StoreId,
        /// Why.
        reason: String,
    },
}

/// How are the links?
#[derive(Message)]
#[rtype(result = "PeersReported")]
pub struct ReportPeers;

/// So.
pub struct PeersReported(pub Vec<PeerReport>);
