//! The clerk: carries out what operators ask of the coordination service, with the node's own session.
//!
//! It is no actor, for it holds nothing: the session and the provider's status are published by whoever keeps them, and
//! a node without them answers *not connected*. Each connection that asks makes a [`Visit`]; what must end with the
//! connection, watches that wait and nodes that are held, belongs to that.
//!
//! Everything is bounded: requests at once of all visits, watches and held nodes of one, names in a listing, nodes in a
//! watch, and the time that anything takes.

mod buckets;
mod changes;
#[cfg(test)]
mod changes_tests;
mod failure;
mod held;
mod knowledge;
mod read;
#[cfg(test)]
mod tests;
mod visit;
mod watching;

use std::sync::Arc;

use super::admission::Admission;
use crate::coordination::SharedSession;
use crate::coordination::api::Session;
use crate::coordination::status::SharedStatus;
use crate::core::id::NodeId;
use crate::wire::report::ServiceReport;
use crate::wire::tree::TreeFailure;

pub use knowledge::{Knowledge, Registry};
pub use visit::Visit;

/// Requests that are carried out at once; an operator's, so few, and each may hold a watch of the service.
const REQUESTS_MAX: u32 = 256;

/// Shared by all connections.
pub struct Clerk {
    node: NodeId,
    session: SharedSession,
    status: SharedStatus,
    admission: Arc<Admission>,
    wall_ms: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Clerk {
    /// For this node, with whatever session and provider are published there. `wall_ms` tells the time in milliseconds since 1970.
    pub fn new(
        node: NodeId,
        session: SharedSession,
        status: SharedStatus,
        wall_ms: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Arc<Clerk> {
        Arc::new(Clerk { node, session, status, admission: Admission::new(REQUESTS_MAX), wall_ms: Box::new(wall_ms) })
    }

    /// Where the node's session is published.
    pub fn shared_session(&self) -> &SharedSession {
        &self.session
    }

    /// How the service is; `None` of one that the node was started with by the program around it, which tells nothing of itself.
    pub fn service(&self) -> Option<ServiceReport> {
        Some(self.status.load_full()?.report())
    }

    /// The session of now. It may end while it is used; who asks next gets the one that follows.
    fn session(&self) -> Result<Arc<Box<dyn Session>>, TreeFailure> {
        self.session.load_full().ok_or_else(|| self.not_connected("it has no session now"))
    }

    fn wall_ms(&self) -> u64 {
        (self.wall_ms)()
    }

    fn not_connected(&self, reason: &str) -> TreeFailure {
        TreeFailure::NotConnected { node: self.node, reason: reason.into() }
    }
}
