//! Ephemeral nodes that are held for a connection.
//!
//! They belong to the node's session, which outlives the connection; so the visit deletes them when it ends. A node
//! that stops or loses its session needs no help: the service removes them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::coordination::api::Session;
use crate::coordination::tree::{Path, Revision, SessionId};

/// One of them. Another node of that path, made later, has another revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HeldNode {
    pub path: Path,
    pub created: Revision,
    pub session: SessionId,
}

/// Those of one visit.
#[derive(Default)]
pub(super) struct Held(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    nodes: Vec<HeldNode>,
    let_go: bool,
}

impl Held {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().nodes.len()
    }

    /// Adds one; hands it back if the visit is over, for then nobody else will let it go.
    pub fn add(&self, node: HeldNode) -> Result<(), HeldNode> {
        let mut inner = self.lock();
        if inner.let_go {
            return Err(node);
        }
        inner.nodes.push(node);
        Ok(())
    }

    /// Takes all, and takes no more.
    pub fn let_go(&self) -> Vec<HeldNode> {
        let mut inner = self.lock();
        inner.let_go = true;
        std::mem::take(&mut inner.nodes)
    }

    /// Nothing panics while it is locked.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deletes a node if it is still the one that was held. Whatever goes wrong, it ends with the session.
pub(super) async fn delete(session: &dyn Session, node: &HeldNode) {
    if session.id() != node.session {
        return;
    }
    let deleted = match session.exists(&node.path).await {
        Ok(read) => match read.value.filter(|stat| stat.created == node.created) {
            Some(stat) => session.delete(&node.path, Some(stat.version)).await,
            None => Ok(()),
        },
        Err(error) => Err(error),
    };
    if let Err(error) = deleted {
        log::warn!("{} stays until session {} ends: {error}", node.path, node.session);
    }
}
