//! The MembershipWatcher: holds the node's session with the coordination service.
//!
//! For as long as the node runs it goes round in this circle (`session`):
//!
//! 1. open a session, catch up, register this start of the store; the live entry that comes with it tells the others that the node
//!    is there;
//! 2. read the registry, hand the ring to the RingManager, keep it on disk, acknowledge its epoch;
//! 3. only now extend the lease: from here on strict requests are served;
//! 4. follow every change of the registry in the same way, and renew the session every quarter of its timeout. A renewal that
//!    fails or comes late ends nothing by itself: the lease runs out, strict requests are refused, sloppy ones go on;
//! 5. when the session has ended, end the lease and begin again.
//!
//! It ends for good when the registry says that this store is not the node's any more: it was rolled back or cloned, another
//! start of it was registered since, or the node came with another store. The [`Listener`] then ends the node.
//!
//! Nobody waits for it. While the service is away, the node serves by the ring that it has.

mod session;
#[cfg(all(test, feature = "sim"))]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::env::Env;
use super::lease::Lease;
use super::ring_manager::RingManager;
use crate::config::Config;
use crate::coordination::api::Service;
use crate::coordination::registry::{Joiner, Verdict, View};
use crate::coordination::{Membership, SharedSession};

/// How long [`Leave`] waits for the service to end the session; after that it ends by its timeout.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

/// Keeps the last known membership, for a start without the service.
pub trait LastKnown: Send + Sync {
    /// Keeps it instead of the one before. Called on an arbiter: must not wait for a disk.
    fn save(&self, membership: &Membership);
}

/// Is told what the watcher sees. Called on an arbiter: must not block.
pub trait Listener: Send + Sync {
    /// The registry, each time it was read; its ring is published already.
    fn seen(&self, view: &Arc<View>);

    /// This store is not the node's any more. The watcher has stopped, and the node should.
    fn refused(&self, verdict: &Verdict);
}

/// What the watcher is made of.
#[derive(Clone)]
pub struct WatcherParts {
    /// Where to open sessions.
    pub service: Arc<dyn Service>,
    /// This start of the store.
    pub joiner: Joiner,
    /// The timeout to ask for.
    pub timeout: Duration,
    /// What the operator wrote; differences are logged.
    pub config: Arc<Config>,
    /// The lease. Nobody else extends or ends it.
    pub lease: Lease,
    /// Where the session is published while there is one.
    pub session: SharedSession,
    /// Who keeps the ring for the next start.
    pub last_known: Arc<dyn LastKnown>,
    /// Who owns the ring.
    pub ring_manager: Addr<RingManager>,
    /// Who else wants to know.
    pub listener: Arc<dyn Listener>,
    /// The surroundings.
    pub env: Env,
}

/// Gives the session back, so that the others learn at once that the node is gone. Nothing is watched afterwards.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave;

/// The actor.
pub struct MembershipWatcher {
    running: Option<SpawnHandle>,
    parts: Option<WatcherParts>,
}

impl MembershipWatcher {
    /// Holds a session, and another one when that has ended.
    pub fn new(parts: WatcherParts) -> MembershipWatcher {
        MembershipWatcher { running: None, parts: Some(parts) }
    }
}

impl Actor for MembershipWatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let watching = self.parts.clone().map(session::hold_sessions);
        self.running = watching.map(|watching| ctx.spawn(actix::fut::wrap_future(watching)));
    }
}

impl Handler<Leave> for MembershipWatcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Leave, ctx: &mut Context<Self>) -> ResponseFuture<()> {
        if let Some(running) = self.running.take() {
            ctx.cancel_future(running);
        }
        let Some(parts) = self.parts.take() else { return Box::pin(std::future::ready(())) };
        // What could extend it was cancelled above.
        parts.lease.end();
        let session = parts.session.swap(None);
        Box::pin(async move {
            let Some(session) = session else { return };
            match tokio::time::timeout(LEAVE_PATIENCE, session.close()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => log::info!("the session ends by its timeout: {error}"),
                Err(_) => log::info!("the session ends by its timeout: the service does not answer"),
            }
        })
    }
}
