//! What replicas ask each other, and the answers.

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotResponse, VoteRequest, VoteResponse};
use openraft::{SnapshotMeta, Vote};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::coordination::nookeeper::types::{Endpoint, RaftId, Types};
use crate::coordination::state::{Action, Reply};
use crate::wire::frame::{self, FrameError};

/// A question to another replica.
#[derive(Serialize, Deserialize)]
pub(in crate::coordination::nookeeper) enum Call {
    /// From the Raft crate to its peer.
    Raft(RaftCall),
    /// To the leader, from a user of another replica. Lost, the outcome is unknown; sent again to whoever leads, it is
    /// carried out once.
    Ask(Ask),
}

/// What the replicas' Raft asks.
#[derive(Serialize, Deserialize)]
pub(in crate::coordination::nookeeper) enum RaftCall {
    /// From the leader: entries of the log, or none as a sign of life. Lost, the leader sends it again.
    Append(AppendEntriesRequest<Types>),
    /// From a candidate. Lost, it asks again in its next election.
    Vote(VoteRequest<RaftId>),
    /// From the leader: a piece of a snapshot. Lost, the piece is sent again, or the whole.
    Snapshot(Piece),
}

/// What only a leader can answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::coordination::nookeeper) enum Ask {
    /// Carry this out.
    Act(Action),
    /// How long is the log that a read must have seen?
    ReadIndex,
}

/// A piece of a snapshot.
#[derive(Serialize, Deserialize)]
pub(in crate::coordination::nookeeper) struct Piece {
    /// The leader's.
    pub vote: Vote<RaftId>,
    /// Of which snapshot.
    pub meta: SnapshotMeta<RaftId, Endpoint>,
    /// Where in it.
    pub offset: u64,
    /// The bytes.
    #[serde(with = "crate::core::blob")]
    pub data: Bytes,
    /// Whether it is the last one.
    pub done: bool,
}

/// The answer to a [`Call`]. A replica whose Raft has failed answers [`Answer::Failed`] to any.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::coordination::nookeeper) enum Answer {
    /// To [`RaftCall::Append`].
    Append(AppendEntriesResponse<RaftId>),
    /// To [`RaftCall::Vote`].
    Vote(VoteResponse<RaftId>),
    /// To [`RaftCall::Snapshot`].
    Snapshot(InstallSnapshotResponse<RaftId>),
    /// To [`RaftCall::Snapshot`]: this piece does not fit what came before; begin again.
    SnapshotMismatch(openraft::error::SnapshotMismatch),
    /// To [`Call::Ask`].
    Told(Told),
    /// The replica takes part no more, or not yet.
    Failed {
        /// Why.
        cause: String,
    },
}

/// What a leader says to an [`Ask`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::coordination::nookeeper) enum Told {
    /// It was carried out. A replica that applied this much of the log shows it.
    Done {
        /// The index of an entry of the log.
        index: u64,
        /// What it came to; of a read index, nothing.
        reply: Reply,
    },
    /// Surely not carried out: another one leads, or nobody, or this one has too much to do.
    Refused {
        /// Why.
        cause: String,
    },
    /// It may be carried out, or not.
    Lost {
        /// Why.
        cause: String,
    },
}

/// A message as bytes.
pub(in crate::coordination::nookeeper) fn encode<T: Serialize>(message: &T) -> Bytes {
    rmp_serde::to_vec(message).expect("messages serialize into memory").into()
}

/// A message from bytes.
pub(in crate::coordination::nookeeper) fn decode<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, FrameError> {
    frame::decode(bytes)
}
