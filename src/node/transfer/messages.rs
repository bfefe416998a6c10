//! What the Mover is told and asked.

use actix::prelude::*;

use crate::node::connection_pool::messages::PeerSend;
use crate::node::replica::messages::ReplicaReply;
use crate::wire::report::TransfersReport;

/// Ask other stores through this pool, which tells the Mover what comes back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct MoveThrough(pub Recipient<PeerSend>);

/// The ring, or who is live, may have changed.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub struct LookAgain;

/// How far is everything?
#[derive(Message, Clone, Copy)]
#[rtype(result = "TransfersReport")]
pub struct ReportTransfers;

/// Answers of this store's own Replicas.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct OwnReplies(pub Vec<ReplicaReply>);
