//! What changed between two looks at what is watched.

use std::collections::BTreeMap;

use kv::wire::tree::{Watched, WatchedNode};
use serde_json::json;

use super::data;
use crate::json;
use crate::output::Output;

/// What happened to a node.
#[derive(Debug, PartialEq)]
pub enum Change<'a> {
    /// It is there, at first sight.
    Found(&'a WatchedNode),
    /// It is not there, at first sight.
    NotFound(&'a str),
    /// It was made.
    Created(&'a WatchedNode),
    /// Its data was set.
    Set(&'a WatchedNode),
    /// It is gone.
    Deleted(&'a str),
    /// It gained a child.
    ChildCame(String),
    /// It lost a child.
    ChildWent(String),
}

/// What makes the one of the other; at first sight, what is there.
pub fn changes<'a>(path: &'a str, before: Option<&'a Watched>, now: &'a Watched) -> Vec<Change<'a>> {
    let Some(before) = before else {
        if now.nodes.is_empty() {
            return vec![Change::NotFound(path)];
        }
        let children = now.children.iter().map(|name| Change::ChildCame(below(path, name)));
        return now.nodes.iter().map(Change::Found).chain(children).collect();
    };
    let by_path = |watched: &'a Watched| watched.nodes.iter().map(|node| (node.path.as_str(), node)).collect();
    let (old, new): (BTreeMap<&str, &WatchedNode>, BTreeMap<&str, &WatchedNode>) = (by_path(before), by_path(now));
    let mut changes = vec![];
    // Children go before their parents.
    changes.extend(old.keys().rev().filter(|path| !new.contains_key(*path)).map(|path| Change::Deleted(path)));
    for (path, node) in &new {
        match old.get(path) {
            None => changes.push(Change::Created(node)),
            Some(old) if old.stat.created != node.stat.created => {
                changes.extend([Change::Deleted(path), Change::Created(node)]);
            }
            Some(old) if (old.stat.modified, old.stat.version) != (node.stat.modified, node.stat.version) => {
                changes.push(Change::Set(node));
            }
            Some(_) => {}
        }
    }
    let went = before.children.iter().filter(|name| !now.children.contains(name));
    changes.extend(went.map(|name| Change::ChildWent(below(path, name))));
    let came = now.children.iter().filter(|name| !before.children.contains(name));
    changes.extend(came.map(|name| Change::ChildCame(below(path, name))));
    changes
}

fn below(path: &str, name: &str) -> String {
    format!("{}/{name}", path.trim_end_matches('/'))
}

impl Change<'_> {
    fn word(&self) -> &'static str {
        match self {
            Change::Found(_) => "found",
            Change::NotFound(_) => "not found",
            Change::Created(_) => "created",
            Change::Set(_) => "set",
            Change::Deleted(_) => "deleted",
            Change::ChildCame(_) => "child",
            Change::ChildWent(_) => "child gone",
        }
    }

    fn path(&self) -> &str {
        match self {
            Change::Found(node) | Change::Created(node) | Change::Set(node) => &node.path,
            Change::NotFound(path) | Change::Deleted(path) => path,
            Change::ChildCame(path) | Change::ChildWent(path) => path,
        }
    }

    /// A line, or a JSON document on one.
    pub fn print(&self, revision: u64, output: &mut Output) {
        let node = match self {
            Change::Found(node) | Change::Created(node) | Change::Set(node) => Some(node),
            _ => None,
        };
        if output.is_json() {
            let mut document = json!({ "change": self.word(), "path": self.path(), "revision": revision });
            if let Some(node) = node {
                document["stat"] = json!(node.stat);
                document["data"] = json!(node.data.as_ref().map(|data| json::bytes(data)));
            }
            return output.json_line(&document);
        }
        let about = node.map(|node| {
            let data = node.data.as_ref().map(|data| format!(": {}", data::brief(data)));
            format!(", version {}{}", node.stat.version, data.unwrap_or_default())
        });
        output.line(format_args!("{} {}{}", self.word(), self.path(), about.unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::wire::tree::{NodeStat, Seen};

    fn node(path: &str, created: u64, modified: u64) -> WatchedNode {
        let version = modified - created;
        let stat =
            NodeStat { created, modified, version, children_version: 0, owner: None, data_bytes: 0, children: 0 };
        WatchedNode { path: path.into(), data: None, stat }
    }

    fn watched(nodes: Vec<WatchedNode>, children: &[&str]) -> Watched {
        let children = children.iter().map(|name| name.to_string()).collect();
        Watched { seen: Seen { revision: 9, digest: 0 }, nodes, children }
    }

    fn told(before: Option<&Watched>, now: &Watched) -> Vec<String> {
        changes("/a", before, now).iter().map(|change| format!("{} {}", change.word(), change.path())).collect()
    }

    #[test]
    fn at_first_it_tells_what_is_there() {
        assert_eq!(told(None, &watched(vec![], &[])), ["not found /a"]);
        assert_eq!(told(None, &watched(vec![node("/a", 1, 1)], &["b"])), ["found /a", "child /a/b"]);
    }

    #[test]
    fn each_change_is_told() {
        let before = watched(vec![node("/a", 1, 1), node("/a/b", 2, 2), node("/a/b/c", 3, 3), node("/a/d", 4, 4)], &[]);
        let now = watched(vec![node("/a", 1, 7), node("/a/d", 8, 8), node("/a/e", 9, 9)], &[]);
        let expected = ["deleted /a/b/c", "deleted /a/b", "set /a", "deleted /a/d", "created /a/d", "created /a/e"];
        assert_eq!(told(Some(&before), &now), expected);
    }

    #[test]
    fn children_come_and_go() {
        let (before, now) =
            (watched(vec![node("/a", 1, 1)], &["b", "c"]), watched(vec![node("/a", 1, 1)], &["c", "d"]));
        assert_eq!(told(Some(&before), &now), ["child gone /a/b", "child /a/d"]);
    }
}
