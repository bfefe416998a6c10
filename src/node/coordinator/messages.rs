//! What a Coordinator is asked and told.

use std::sync::Arc;

use actix::prelude::*;

use crate::core::id::{Epoch, StoreId};
use crate::core::request::{Answer, Failure, Request};
use crate::node::admission::Permit;
use crate::node::env::Moment;
use crate::node::replica::messages::ReplicaReply;

/// Calls that arrived together.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Calls(pub Vec<Call>);

/// One call, admitted at the edge.
pub struct Call {
    /// The caller's number.
    pub id: u64,
    /// What to do.
    pub request: Request,
    /// Who gets the answer.
    pub caller: Arc<dyn Answers>,
    /// Goes back with the answer.
    pub permit: Permit,
    /// When it came.
    pub arrived: Moment,
    /// When it is too late: for a forwarded call what its first node says, else what the request says.
    pub deadline: Moment,
    /// It was forwarded once, by a node that knew its partition at this age, and is not forwarded again.
    pub forwarded: Option<Epoch>,
}

/// Takes answers, at once and without waiting.
pub trait Answers: Send + Sync {
    /// What came of call `id`, by the ring of `epoch`.
    fn answer(&self, id: u64, epoch: Epoch, result: Result<Answer, Failure>);
}

/// Answers of a local Replica that came together.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LocalReplies(pub Vec<ReplicaReply>);

/// From itself, behind whatever is in the mailbox: send what was gathered.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Flush;

/// How quick are the others?
#[derive(Message)]
#[rtype(result = "Vec<(StoreId, u64, u64)>")]
pub struct ReportLatencies;

/// Take nothing more, and tell when the last operation is answered.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;
