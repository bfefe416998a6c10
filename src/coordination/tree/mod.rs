//! A tree of small nodes, as ZooKeeper has it.
//!
//! A node has a [`Path`], up to a mebibyte of data, a version that counts its settings, and children. It is *persistent*, or
//! *ephemeral*: then it vanishes with the session that made it and has no children. A *sequential* node gets the next number
//! of its parent behind its name, which no other child of that parent ever gets.
//!
//! A write is a list of [`Change`]s that happen all or not at all; each sees what those before it did. One that changes
//! anything raises the [`Revision`] by one and tells what it did as [`Event`]s.
//!
//! Everything here is a function of what came before: no clock, no chance, and maps that are in order. Replicas that apply
//! the same writes hold the same bytes. What this leaves out: access control, quotas, time-to-live and container nodes.

mod change;
mod generation;
mod limits;
mod node;
mod path;
mod stored;
#[cfg(test)]
mod tests;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

pub use change::{Change, Event, EventKind, Outcome, Refusal};
pub use generation::{GENERATION_MAX, generation_of, in_generation};
pub use limits::{Limit, Limits};
pub use node::{Content, CreateMode, Listing, Revision, SessionId, Stat};
pub use path::{Path, PathError, SEQUENCE_DIGITS};

use node::Node;
use transaction::Transaction;

/// What a node costs beside its path and data, in the count of [`Tree::bytes`].
const NODE_BYTES: u64 = 256;

/// All nodes at one revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree {
    revision: Revision,
    nodes: BTreeMap<Path, Node>,
    /// Names below each node that has any. Follows from `nodes`.
    children: BTreeMap<Path, BTreeSet<String>>,
    /// Ephemeral nodes by their session. Follows from `nodes`.
    owned: BTreeMap<SessionId, BTreeSet<Path>>,
    /// Follows from `nodes`.
    bytes: u64,
}

impl Default for Tree {
    fn default() -> Tree {
        let mut tree = Tree::without_root(Revision::default());
        tree.replace(Path::root(), Some(Node::new(Bytes::new(), None, Revision::default())));
        tree
    }
}

impl Tree {
    fn without_root(revision: Revision) -> Tree {
        Tree { revision, nodes: BTreeMap::new(), children: BTreeMap::new(), owned: BTreeMap::new(), bytes: 0 }
    }

    /// How many writes have changed it.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Roughly what it takes in memory and in a snapshot: paths, data, and 256 bytes for each node.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A node's data.
    ///
    /// # Errors
    /// [`Refusal::NoNode`].
    pub fn get(&self, path: &Path) -> Result<Content, Refusal> {
        let node = self.node(path)?;
        Ok(Content { data: node.data.clone(), stat: self.stat_of(path, node) })
    }

    /// What is known of a node; `None` if it is not there.
    pub fn stat(&self, path: &Path) -> Option<Stat> {
        self.nodes.get(path).map(|node| self.stat_of(path, node))
    }

    /// The names below a node.
    ///
    /// # Errors
    /// [`Refusal::NoNode`].
    pub fn children(&self, path: &Path) -> Result<Listing, Refusal> {
        let stat = self.stat_of(path, self.node(path)?);
        Ok(Listing { names: self.children.get(path).into_iter().flatten().cloned().collect(), stat })
    }

    /// The ephemeral nodes of a session, in order.
    pub fn owned(&self, session: SessionId) -> impl Iterator<Item = &Path> {
        self.owned.get(&session).into_iter().flatten()
    }

    /// Applies a session's write: all changes, or none.
    ///
    /// # Errors
    /// The [`Refusal`] of the first change that cannot be; the tree is then as before.
    pub fn apply(
        &mut self,
        session: SessionId,
        changes: Vec<Change>,
        limits: &Limits,
    ) -> Result<(Vec<Outcome>, Vec<Event>), Refusal> {
        let mut transaction = Transaction::begin(self, session);
        match transaction.run(changes, limits) {
            Ok(outcomes) => Ok((outcomes, transaction.commit())),
            Err(refusal) => {
                transaction.roll_back();
                Err(refusal)
            }
        }
    }

    /// Removes all ephemeral nodes of a session, in one write.
    pub fn remove_owned(&mut self, session: SessionId) -> Vec<Event> {
        let owned: Vec<Path> = self.owned(session).cloned().collect();
        let mut transaction = Transaction::begin(self, session);
        owned.into_iter().for_each(|path| transaction.remove(path));
        transaction.commit()
    }

    fn node(&self, path: &Path) -> Result<&Node, Refusal> {
        self.nodes.get(path).ok_or_else(|| Refusal::NoNode { path: path.clone() })
    }

    fn stat_of(&self, path: &Path, node: &Node) -> Stat {
        node.stat(self.child_count(path))
    }

    fn child_count(&self, path: &Path) -> usize {
        self.children.get(path).map_or(0, BTreeSet::len)
    }

    /// Puts a node in its place, or takes it away; answers what was there. The one place that changes `nodes`, and with it
    /// all that follows from it.
    fn replace(&mut self, path: Path, node: Option<Node>) -> Option<Node> {
        let cost = |node: &Node| NODE_BYTES + (path.as_str().len() + node.data.len()) as u64;
        let (added, owner) = (node.as_ref().map_or(0, cost), node.as_ref().and_then(|node| node.owner));
        let is_there = node.is_some();
        let before = match node {
            Some(node) => self.nodes.insert(path.clone(), node),
            None => self.nodes.remove(&path),
        };
        self.bytes = self.bytes + added - before.as_ref().map_or(0, cost);
        if before.is_some() != is_there
            && let Some(parent) = path.parent()
        {
            set_member(&mut self.children, parent, path.name().to_owned(), is_there);
        }
        if let Some(session) = before.as_ref().and_then(|node| node.owner) {
            set_member(&mut self.owned, session, path.clone(), false);
        }
        if let Some(session) = owner {
            set_member(&mut self.owned, session, path, true);
        }
        before
    }
}

/// Adds a member to the set of a key, or takes it out; keys without members go.
fn set_member<K: Ord + Clone, V: Ord>(sets: &mut BTreeMap<K, BTreeSet<V>>, key: K, member: V, is_in: bool) {
    let set = sets.entry(key.clone()).or_default();
    if is_in {
        set.insert(member);
    } else {
        set.remove(&member);
    }
    if set.is_empty() {
        sets.remove(&key);
    }
}
