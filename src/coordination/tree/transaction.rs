//! One write on its way into the tree.
//!
//! Changes are made at once, so that later ones see them; what they replaced is kept until all have succeeded.

use bytes::Bytes;

use super::change::{Change, Event, EventKind, Outcome, Refusal};
use super::limits::{Limit, Limits};
use super::node::{CreateMode, Node, Revision, SessionId};
use super::path::{Path, SEQUENCE_DIGITS};
use super::{NODE_BYTES, Tree};

/// The highest number that a sequential node's digits can say.
pub(super) const SEQUENCE_MAX: u64 = 10u64.pow(SEQUENCE_DIGITS as u32) - 1;

#[must_use = "it is neither committed nor rolled back"]
pub(super) struct Transaction<'a> {
    tree: &'a mut Tree,
    session: SessionId,
    /// What the tree's revision will be.
    revision: Revision,
    events: Vec<Event>,
    /// What was there before, the latest last.
    replaced: Vec<(Path, Option<Node>)>,
}

impl<'a> Transaction<'a> {
    pub fn begin(tree: &'a mut Tree, session: SessionId) -> Transaction<'a> {
        let revision = Revision(tree.revision.0 + 1);
        Transaction { tree, session, revision, events: vec![], replaced: vec![] }
    }

    /// Makes the changes up to the first that cannot be.
    pub fn run(&mut self, changes: Vec<Change>, limits: &Limits) -> Result<Vec<Outcome>, Refusal> {
        within(Limit::Changes, changes.len() as u64, limits.changes_max)?;
        within(Limit::WriteBytes, changes.iter().map(Change::data_bytes).sum(), limits.write_bytes_max)?;
        changes.into_iter().map(|change| self.make(change, limits)).collect()
    }

    /// Keeps what was done, and tells it.
    pub fn commit(self) -> Vec<Event> {
        if !self.events.is_empty() {
            self.tree.revision = self.revision;
        }
        self.events
    }

    /// Takes back what was done.
    pub fn roll_back(self) {
        for (path, before) in self.replaced.into_iter().rev() {
            self.tree.replace(path, before);
        }
    }

    /// Removes a node that has no children, whatever its version.
    pub fn remove(&mut self, path: Path) {
        self.edit_parent(&path, |parent| parent.children_version += 1);
        self.put(path.clone(), None);
        self.tell(path, EventKind::Deleted);
    }

    fn make(&mut self, change: Change, limits: &Limits) -> Result<Outcome, Refusal> {
        match change {
            Change::Create { path, data, mode } => self.create(path, data, mode, limits),
            Change::Set { path, data, expected } => self.set(path, data, expected, limits),
            Change::Delete { path, expected } => self.delete(path, expected),
            Change::Check { path, expected } => self.expect(&path, expected).map(|_| Outcome::Checked),
        }
    }

    fn create(&mut self, path: Path, data: Bytes, mode: CreateMode, limits: &Limits) -> Result<Outcome, Refusal> {
        let Some(parent) = path.parent() else { return Err(Refusal::NodeExists { path }) };
        let above = self.tree.node(&parent)?;
        let (owner_above, first) = (above.owner, above.next_sequence);
        let (path, next_sequence) = if mode.is_sequential() { self.number(&path, first)? } else { (path, first) };
        if self.tree.nodes.contains_key(&path) {
            return Err(Refusal::NodeExists { path });
        }
        if owner_above.is_some() {
            return Err(Refusal::NoChildrenForEphemerals { path: parent });
        }
        within(Limit::Children, self.tree.child_count(&parent) as u64 + 1, limits.children_max)?;
        self.make_room(NODE_BYTES + (path.as_str().len() + data.len()) as u64, limits)?;

        let node = Node::new(data, mode.is_ephemeral().then_some(self.session), self.revision);
        let stat = node.stat(0);
        self.edit_parent(&path, |parent| {
            parent.children_version += 1;
            parent.next_sequence = next_sequence;
        });
        self.put(path.clone(), Some(node));
        self.tell(path.clone(), EventKind::Created);
        Ok(Outcome::Created { path, stat })
    }

    /// The first free number from `first`, put behind the path, and the one after it. Somebody may have made a node of that
    /// name by hand.
    fn number(&self, path: &Path, first: u64) -> Result<(Path, u64), Refusal> {
        for sequence in first..=SEQUENCE_MAX {
            let numbered = path
                .numbered(sequence)
                .map_err(|_| Refusal::TooMuch { limit: Limit::PathBytes, max: Path::BYTES_MAX as u64 })?;
            if !self.tree.nodes.contains_key(&numbered) {
                return Ok((numbered, sequence + 1));
            }
        }
        Err(Refusal::TooMuch { limit: Limit::Sequence, max: SEQUENCE_MAX })
    }

    fn set(&mut self, path: Path, data: Bytes, expected: Option<u64>, limits: &Limits) -> Result<Outcome, Refusal> {
        let mut node = self.expect(&path, expected)?.clone();
        self.make_room((data.len() as u64).saturating_sub(node.data.len() as u64), limits)?;
        (node.data, node.version, node.modified) = (data, node.version + 1, self.revision);
        let stat = self.tree.stat_of(&path, &node);
        self.put(path.clone(), Some(node));
        self.tell(path, EventKind::Set);
        Ok(Outcome::Set(stat))
    }

    fn delete(&mut self, path: Path, expected: Option<u64>) -> Result<Outcome, Refusal> {
        if path.is_root() {
            return Err(Refusal::RootStays);
        }
        self.expect(&path, expected)?;
        if self.tree.child_count(&path) > 0 {
            return Err(Refusal::NotEmpty { path });
        }
        self.remove(path);
        Ok(Outcome::Deleted)
    }

    fn expect(&self, path: &Path, expected: Option<u64>) -> Result<&Node, Refusal> {
        let node = self.tree.node(path)?;
        match expected {
            Some(expected) if expected != node.version => Err(Refusal::BadVersion { path: path.clone(), expected }),
            _ => Ok(node),
        }
    }

    /// Refuses to make a full tree larger; what does not grow it always passes.
    fn make_room(&self, bytes: u64, limits: &Limits) -> Result<(), Refusal> {
        if bytes == 0 { Ok(()) } else { within(Limit::TreeBytes, self.tree.bytes + bytes, limits.tree_bytes_max) }
    }

    fn edit_parent(&mut self, path: &Path, edit: impl FnOnce(&mut Node)) {
        let above = path.parent().and_then(|parent| Some((self.tree.nodes.get(&parent)?.clone(), parent)));
        if let Some((mut node, parent)) = above {
            edit(&mut node);
            self.put(parent, Some(node));
        }
    }

    fn put(&mut self, path: Path, node: Option<Node>) {
        let before = self.tree.replace(path.clone(), node);
        self.replaced.push((path, before));
    }

    fn tell(&mut self, path: Path, kind: EventKind) {
        self.events.push(Event { path, kind });
    }
}

fn within(limit: Limit, have: u64, max: u64) -> Result<(), Refusal> {
    if have > max { Err(Refusal::TooMuch { limit, max }) } else { Ok(()) }
}
