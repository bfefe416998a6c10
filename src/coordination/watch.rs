//! Who is to be told of which change.
//!
//! A watch stays until it is removed, and says no more than *read again*: many changes may be told at once, and one that
//! changed nothing that the watcher can see may be told too. What must never happen is a change that is not told after it
//! can be read. So a watcher first asks for the watch and then reads; each time it is told, it reads again.
//!
//! A replica that jumps over changes (it installs a snapshot, or reconnects) does not know what it missed and tells
//! [`Watches::all`].

use std::collections::{BTreeMap, BTreeSet};

use crate::coordination::tree::{Event, EventKind, Path};

/// What about a path is watched. The node need not be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watched {
    /// That it is created, set, or deleted.
    Node,
    /// That it gains or loses a child, or is created or deleted itself.
    Children,
    /// Everything about it and about all nodes below.
    Subtree,
}

/// Names a watch in its [`Watches`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WatchId(u64);

/// The watches of one replica.
#[derive(Debug, Default)]
pub struct Watches {
    added: u64,
    by_path: BTreeMap<Path, BTreeMap<WatchId, Watched>>,
    paths: BTreeMap<WatchId, Path>,
}

impl Watches {
    /// Adds a watch. It is told of all events from now on.
    pub fn add(&mut self, path: Path, watched: Watched) -> WatchId {
        self.added += 1;
        let id = WatchId(self.added);
        self.by_path.entry(path.clone()).or_default().insert(id, watched);
        self.paths.insert(id, path);
        id
    }

    /// Removes a watch; one that is gone already is no harm.
    pub fn remove(&mut self, id: WatchId) {
        let Some(path) = self.paths.remove(&id) else { return };
        if let Some(here) = self.by_path.get_mut(&path) {
            here.remove(&id);
            if here.is_empty() {
                self.by_path.remove(&path);
            }
        }
    }

    /// Those that are to be told of these events, each once.
    pub fn concerned(&self, events: &[Event]) -> BTreeSet<WatchId> {
        let mut concerned = BTreeSet::new();
        for Event { path, kind } in events {
            let comes_or_goes = *kind != EventKind::Set;
            self.collect(path, |watched| watched != Watched::Children || comes_or_goes, &mut concerned);
            for (distance, above) in path.ancestors().enumerate() {
                let sees = |watched| match watched {
                    Watched::Node => false,
                    Watched::Children => distance == 0 && comes_or_goes,
                    Watched::Subtree => true,
                };
                self.collect(&above, sees, &mut concerned);
            }
        }
        concerned
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = WatchId> {
        self.paths.keys().copied()
    }

    fn collect(&self, path: &Path, sees: impl Fn(Watched) -> bool, into: &mut BTreeSet<WatchId>) {
        let here = self.by_path.get(path).into_iter().flatten();
        into.extend(here.filter(|(_, watched)| sees(**watched)).map(|(id, _)| *id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 4] = ["/", "/a", "/a/b", "/a/b/c"];
    const ALL: [Watched; 3] = [Watched::Node, Watched::Children, Watched::Subtree];

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    /// Who of one watch of each kind on each path is told, as `path kind`.
    fn told(kind: EventKind, at: &str) -> Vec<String> {
        let mut watches = Watches::default();
        let mut names = BTreeMap::new();
        for (watched, on) in ALL.into_iter().flat_map(|watched| PATHS.map(|on| (watched, on))) {
            names.insert(watches.add(path(on), watched), format!("{on} {watched:?}"));
        }
        let concerned = watches.concerned(&[Event { path: path(at), kind }]);
        concerned.into_iter().map(|id| names[&id].clone()).collect()
    }

    #[test]
    fn a_set_concerns_the_node_and_the_subtrees_around_it() {
        let expected = ["/a/b Node", "/ Subtree", "/a Subtree", "/a/b Subtree"];
        assert_eq!(told(EventKind::Set, "/a/b"), expected);
    }

    #[test]
    fn coming_and_going_concerns_the_children_of_the_parent_as_well() {
        let expected = ["/a/b Node", "/a Children", "/a/b Children", "/ Subtree", "/a Subtree", "/a/b Subtree"];
        assert_eq!(told(EventKind::Created, "/a/b"), expected);
        assert_eq!(told(EventKind::Deleted, "/a/b"), expected);
    }

    #[test]
    fn names_that_begin_alike_are_others() {
        assert_eq!(told(EventKind::Created, "/ab"), ["/ Children", "/ Subtree"]);
    }

    #[test]
    fn a_watch_stays_until_it_is_removed_and_is_told_once_of_many_events() {
        let mut watches = Watches::default();
        let (one, other) = (watches.add(path("/a"), Watched::Subtree), watches.add(path("/a"), Watched::Node));
        let set = |at: &str| Event { path: path(at), kind: EventKind::Set };
        let events = [set("/a"), set("/a"), set("/a/b")];
        assert_eq!(Vec::from_iter(watches.concerned(&events)), [one, other]);
        watches.remove(one);
        watches.remove(one);
        assert_eq!(Vec::from_iter(watches.concerned(&events)), [other]);
        assert_eq!(Vec::from_iter(watches.all()), [other]);
        watches.remove(other);
        assert!(watches.by_path.is_empty() && watches.concerned(&events).is_empty());
    }
}
