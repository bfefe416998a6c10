//! What the Reaper is told and asked.

use actix::prelude::*;

use crate::node::connection_pool::messages::PeerSend;
use crate::node::replica::messages::ReplicaReply;
use crate::wire::report::ReapReport;

/// Ask other stores through this pool, which tells the Reaper what comes back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReapThrough(pub Recipient<PeerSend>);

/// What keeps tombstones here?
#[derive(Message, Clone, Copy)]
#[rtype(result = "ReapReport")]
pub struct ReportReaping;

/// Answers of this store's own Replicas.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct OwnReplies(pub Vec<ReplicaReply>);
