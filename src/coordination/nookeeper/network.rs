//! How the Raft crate reaches other replicas: its calls, on coordination links.

use std::io;
use std::sync::Arc;

use openraft::error::{InstallSnapshotError, PayloadTooLarge, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};

use super::elections::Outlogged;
use super::link::Links;
use super::link::message::{self, Answer, Call, Piece, RaftCall};
use super::timing::Timing;
use super::types::{Endpoint, RaftId, Types};

/// More entries than this at once are sent in parts: it bounds what a follower decodes and stores in one go.
const APPEND_BYTES_MAX: usize = 4 << 20;

type Failure<E> = RPCError<RaftId, Endpoint, E>;

/// Makes a [`Network`] for each peer.
pub(super) struct Networks {
    pub links: Arc<Links>,
    pub timing: Timing,
    pub outlogged: Outlogged,
}

impl RaftNetworkFactory<Types> for Networks {
    type Network = Network;

    async fn new_client(&mut self, target: RaftId, node: &Endpoint) -> Network {
        let (links, timing, outlogged) = (self.links.clone(), self.timing.clone(), self.outlogged.clone());
        Network { links, timing, outlogged, to: target, endpoint: node.clone() }
    }
}

/// One peer. Its calls may be dropped half-way: the link sorts out the late answer.
pub(super) struct Network {
    links: Arc<Links>,
    timing: Timing,
    outlogged: Outlogged,
    to: RaftId,
    endpoint: Endpoint,
}

impl Network {
    async fn call<E: std::error::Error>(&self, body: bytes::Bytes) -> Result<Answer, Failure<E>> {
        let answer = self.links.call(self.to, &self.endpoint, body).await;
        // Never "network error", after which the crate tries again without a pause.
        let answer = answer.map_err(|error| Unreachable::new(&error))?;
        message::decode(&answer).map_err(|error| Unreachable::new(&error).into())
    }

    /// An answer of the wrong kind, or none because the peer's Raft has ended.
    fn strange<E: std::error::Error>(&self, answer: Answer) -> Failure<E> {
        Unreachable::new(&io::Error::other(match answer {
            Answer::Failed { cause } => format!("{} takes no part: {cause}", self.to),
            answer => format!("{} answered something else: {answer:?}", self.to),
        }))
        .into()
    }
}

impl RaftNetwork<Types> for Network {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<RaftId>, Failure<RaftError<RaftId>>> {
        let entries = request.entries.len();
        let body = message::encode(&Call::Raft(RaftCall::Append(request)));
        if body.len() > APPEND_BYTES_MAX && entries > 1 {
            return Err(PayloadTooLarge::new_entries_hint(entries as u64 / 2).into());
        }
        match self.call(body).await? {
            Answer::Append(response) => Ok(response),
            other => Err(self.strange(other)),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<RaftId>,
        _: RPCOption,
    ) -> Result<VoteResponse<RaftId>, Failure<RaftError<RaftId>>> {
        let last_log_id = request.last_log_id;
        match self.call(message::encode(&Call::Raft(RaftCall::Vote(request)))).await? {
            Answer::Vote(response) => {
                if response.last_log_id > last_log_id {
                    self.outlogged.note();
                }
                Ok(response)
            }
            other => Err(self.strange(other)),
        }
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<RaftId>, Failure<RaftError<RaftId, InstallSnapshotError>>> {
        let InstallSnapshotRequest { vote, meta, offset, data, done } = request;
        let piece = Piece { vote, meta, offset, data: data.into(), done };
        match self.call(message::encode(&Call::Raft(RaftCall::Snapshot(piece)))).await? {
            Answer::Snapshot(response) => Ok(response),
            Answer::SnapshotMismatch(mismatch) => {
                let error = RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch));
                Err(RemoteError::new(self.to, error).into())
            }
            other => Err(self.strange(other)),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.timing.heartbeat()))
    }
}

/// Answers what other replicas' Raft asks.
pub(super) async fn answer(raft: &openraft::Raft<Types>, call: RaftCall) -> Answer {
    let answered = match call {
        RaftCall::Append(request) => raft.append_entries(request).await.map(Answer::Append),
        RaftCall::Vote(request) => raft.vote(request).await.map(Answer::Vote),
        RaftCall::Snapshot(piece) => return install(raft, piece).await,
    };
    answered.unwrap_or_else(|error| Answer::Failed { cause: error.to_string() })
}

async fn install(raft: &openraft::Raft<Types>, piece: Piece) -> Answer {
    let Piece { vote, meta, offset, data, done } = piece;
    match raft.install_snapshot(InstallSnapshotRequest { vote, meta, offset, data: data.into(), done }).await {
        Ok(response) => Answer::Snapshot(response),
        Err(RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch))) => {
            Answer::SnapshotMismatch(mismatch)
        }
        Err(RaftError::Fatal(fatal)) => Answer::Failed { cause: fatal.to_string() },
    }
}
