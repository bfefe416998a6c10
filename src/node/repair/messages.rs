//! What the Repairer is told and asked.

use actix::prelude::*;
use bytes::Bytes;

use crate::node::connection_pool::messages::PeerSend;
use crate::node::replica::messages::ReplicaReply;
use crate::wire::report::AntiEntropyReport;

/// Ask other stores through this pool, which tells the Repairer what comes back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RepairThrough(pub Recipient<PeerSend>);

/// Compare now, whatever the hour. Answered by how many pairs are to be compared.
#[derive(Message, Clone, Debug)]
#[rtype(result = "u64")]
pub struct StartRepair {
    /// Only keys of this bucket.
    pub bucket: Option<Bytes>,
    /// All pairs of this store, not only those that it leads.
    pub all: bool,
}

/// How do things stand?
#[derive(Message, Clone, Copy)]
#[rtype(result = "AntiEntropyReport")]
pub struct ReportAntiEntropy;

/// Look again, after what is being done.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub(super) struct LookAgain;

/// Answers of this store's own Replicas.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct OwnReplies(pub Vec<ReplicaReply>);
