//! The tree as bytes of a snapshot: its revision and its nodes. What follows from them is built anew, and a snapshot that no
//! tree can have made is refused.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

use super::Tree;
use super::node::{Node, Revision};
use super::path::Path;

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (self.revision, &self.nodes).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Tree, D::Error> {
        let (revision, nodes) = <(Revision, BTreeMap<Path, Node>)>::deserialize(from)?;
        if !nodes.contains_key(&Path::root()) {
            return Err(D::Error::custom("a tree without a root"));
        }
        for (path, node) in &nodes {
            let has_parent =
                path.parent().is_none_or(|parent| nodes.get(&parent).is_some_and(|parent| parent.owner.is_none()));
            if !has_parent {
                return Err(D::Error::custom(format!("{path} has no parent, or an ephemeral one")));
            }
            if node.created.max(node.modified) > revision {
                return Err(D::Error::custom(format!("{path} is newer than its tree")));
            }
        }
        let mut tree = Tree::without_root(revision);
        for (path, node) in nodes {
            tree.replace(path, Some(node));
        }
        Ok(tree)
    }
}
