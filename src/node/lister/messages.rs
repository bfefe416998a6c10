//! What a Lister is asked and told.

use actix::prelude::*;

use crate::core::request::Failure;
use crate::node::admission::Permit;
use crate::node::connection_pool::ConnectionPool;
use crate::node::env::Moment;
use crate::node::replica::messages::ReplicaReply;
use crate::wire::list::{ListPage, ListRequest};

/// Gather this page. Fails with [`Failure::NotCovered`] if too few owners answer; the same can be asked again.
#[derive(Message)]
#[rtype(result = "Result<ListPage, Failure>")]
pub struct List {
    /// Which page.
    pub request: ListRequest,
    /// When it is too late.
    pub deadline: Moment,
    /// Goes back with the answer.
    pub permit: Permit,
}

/// List through this pool.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ListThrough(pub Addr<ConnectionPool>);

/// What a Replica of this node answered.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct ScannedHere(pub Vec<ReplicaReply>);
