//! What one connection asks, and what must end with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::failure::path;
use super::held::{self, Held, HeldNode};
use super::{Clerk, REQUESTS_MAX, read, watching};
use crate::coordination::api::Session;
use crate::coordination::tree::{CreateMode, Path, Stat};
use crate::node::admission::Admission;
use crate::wire::tree::{Seen, TreeAnswer, TreeFailure, TreeRequest};

/// Watches of one connection that wait at once.
pub(super) const WATCHES_MAX: u32 = 16;
/// Nodes that one connection may hold.
pub(super) const HELD_MAX: u32 = 64;
/// How long a watch waits, at most, before it says that nothing changed.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long anything else takes, at most.
const WITHIN_MAX: Duration = Duration::from_secs(60);
/// How long the end of a visit tries to delete what was held.
const LET_GO_WITHIN: Duration = Duration::from_secs(2);

/// One connection's dealings with the [`Clerk`].
pub struct Visit {
    clerk: Arc<Clerk>,
    watches: Arc<Admission>,
    held: Held,
    /// Set once no watch shall wait any more.
    hurry: watch::Sender<bool>,
}

impl Visit {
    /// Begins.
    pub fn new(clerk: Arc<Clerk>) -> Visit {
        Visit { clerk, watches: Admission::new(WATCHES_MAX), held: Held::default(), hurry: watch::Sender::new(false) }
    }

    /// Carries out a request, in so much time at most.
    ///
    /// # Errors
    /// [`TreeFailure`]; *outcome unknown* for a write whose time was over before its answer came.
    pub async fn perform(&self, request: TreeRequest, within: Duration) -> Result<TreeAnswer, TreeFailure> {
        let Some(_permit) = self.clerk.admission.admit() else {
            return Err(too_many("requests of operators are being carried out", REQUESTS_MAX));
        };
        let mut within = within.min(WITHIN_MAX);
        if let TreeRequest::Watch { wait_ms, .. } = &request {
            within += wait(*wait_ms);
        }
        let is_write = request.is_write();
        let late = || format!("no answer within {} ms", within.as_millis());
        timeout(within, self.carry_out(request)).await.unwrap_or_else(|_| match is_write {
            true => Err(TreeFailure::OutcomeUnknown { reason: late() }),
            false => Err(TreeFailure::Unavailable { reason: late() }),
        })
    }

    /// Answers the watches that wait, now and from now on: the connection or the node ends.
    pub fn hurry(&self) {
        self.hurry.send_replace(true);
    }

    /// Ends: deletes what was held.
    pub async fn leave(&self) {
        self.hurry();
        let held = self.held.let_go();
        let Some(session) = self.clerk.session.load_full().filter(|_| !held.is_empty()) else { return };
        let delete_all = async {
            for node in &held {
                held::delete(&**session, node).await;
            }
        };
        if timeout(LET_GO_WITHIN, delete_all).await.is_err() {
            log::warn!("nodes that were held for a connection stay until session {} ends", session.id());
        }
    }

    async fn carry_out(&self, request: TreeRequest) -> Result<TreeAnswer, TreeFailure> {
        let session = self.clerk.session()?;
        let session = &**session;
        let answer = match request {
            TreeRequest::Get { path: at, sync } => {
                let at = path(&at)?;
                self.sync_if(session, sync).await?;
                read::get(session, &at).await
            }
            TreeRequest::List { path: at, recursive, sync } => {
                let at = path(&at)?;
                self.sync_if(session, sync).await?;
                if recursive { read::list_all(session, &at).await } else { read::list(session, &at).await }
            }
            TreeRequest::Create { path: at, data, sequential, held } => {
                let at = path(&at)?;
                if held && self.held.count() >= HELD_MAX as usize {
                    return Err(too_many("nodes are held by this connection", HELD_MAX));
                }
                let created = session.create(&at, data, mode(sequential, held)).await;
                if let (Ok((path, stat)), true) = (&created, held) {
                    let node = HeldNode { path: path.clone(), created: stat.created, session: session.id() };
                    if let Err(node) = self.held.add(node) {
                        held::delete(session, &node).await;
                    }
                }
                created.map(|(path, stat)| written(path.as_str(), &stat))
            }
            TreeRequest::Set { path: at, data, expected } => {
                let at = path(&at)?;
                session.set(&at, data, expected).await.map(|stat| written(at.as_str(), &stat))
            }
            TreeRequest::Delete { path: at, expected } => {
                session.delete(&path(&at)?, expected).await.map(|()| TreeAnswer::Deleted)
            }
            TreeRequest::Buckets => return self.clerk.buckets(session).await,
            TreeRequest::SetBucket { bucket, properties } => {
                return self.clerk.set_bucket(session, &bucket, &properties).await;
            }
            TreeRequest::Change(request) => return self.clerk.change(session, request).await,
            TreeRequest::Watch { path: at, subtree, seen, wait_ms } => {
                return self.watch(session, &path(&at)?, subtree, seen, wait(wait_ms)).await;
            }
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.clerk.explain(session, error).await),
        }
    }

    async fn sync_if(&self, session: &dyn Session, sync: bool) -> Result<(), TreeFailure> {
        if sync { session.sync().await.map_err(|error| self.clerk.tell(error)) } else { Ok(()) }
    }

    async fn watch(
        &self,
        session: &dyn Session,
        at: &Path,
        subtree: bool,
        seen: Option<Seen>,
        wait: Duration,
    ) -> Result<TreeAnswer, TreeFailure> {
        let Some(_permit) = self.watches.admit() else {
            return Err(too_many("watches of this connection wait", WATCHES_MAX));
        };
        let mut hurry = self.hurry.subscribe();
        let watching = timeout(wait, watching::watch(session, at, subtree, seen));
        tokio::select! {
            biased;
            watched = watching => match watched {
                Ok(Ok(watched)) => Ok(TreeAnswer::Watched(watched)),
                Ok(Err(not)) => Err(not.into_failure(|error| self.clerk.tell(error))),
                Err(_) => Ok(TreeAnswer::Unchanged),
            },
            // The sender lives as long as this.
            _ = hurry.wait_for(|hurry| *hurry) => Err(TreeFailure::ShuttingDown),
        }
    }
}

fn wait(wait_ms: u32) -> Duration {
    Duration::from_millis(wait_ms.into()).min(WAIT_MAX)
}

fn mode(sequential: bool, ephemeral: bool) -> CreateMode {
    match (sequential, ephemeral) {
        (false, false) => CreateMode::Persistent,
        (true, false) => CreateMode::PersistentSequential,
        (false, true) => CreateMode::Ephemeral,
        (true, true) => CreateMode::EphemeralSequential,
    }
}

fn written(path: &str, stat: &Stat) -> TreeAnswer {
    TreeAnswer::Written { path: path.into(), stat: read::stat(stat) }
}

fn too_many(what: &str, limit: u32) -> TreeFailure {
    TreeFailure::TooMany { what: what.into(), limit }
}
