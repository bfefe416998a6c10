//! Reading the tree: one node, its children, all that is below it.

use crate::coordination::api::{Error, Session};
use crate::coordination::tree::{Path, Refusal, Revision, Stat};
use crate::wire::tree::{NodeStat, TreeAnswer, TreeNode};

/// Names that one listing gives.
pub(super) const LISTED_MAX: usize = 10_000;

/// A node's data.
pub(super) async fn get(session: &dyn Session, path: &Path) -> Result<TreeAnswer, Error> {
    let read = session.get(path).await?;
    Ok(TreeAnswer::Node(TreeNode {
        path: path.to_string(),
        data: read.value.data,
        stat: stat(&read.value.stat),
        revision: read.revision.0,
    }))
}

/// The names of a node's children.
pub(super) async fn list(session: &dyn Session, path: &Path) -> Result<TreeAnswer, Error> {
    let read = session.children(path).await?;
    let mut names = read.value.names;
    let left_off = names.len() > LISTED_MAX;
    names.truncate(LISTED_MAX);
    Ok(TreeAnswer::Listing { stat: stat(&read.value.stat), names, left_off, revision: read.revision.0 })
}

/// The relative paths of all that is below a node.
pub(super) async fn list_all(session: &dyn Session, path: &Path) -> Result<TreeAnswer, Error> {
    let walk = walk(session, path, LISTED_MAX + 1).await?;
    let relative = |below: &Path| below.as_str()[path.as_str().len()..].trim_start_matches('/').to_string();
    let mut nodes = walk.nodes.iter();
    let Some((top, top_stat)) = nodes.next() else { return Err(Refusal::NoNode { path: path.clone() }.into()) };
    debug_assert_eq!(top, path);
    Ok(TreeAnswer::Listing {
        stat: stat(top_stat),
        names: nodes.map(|(below, _)| relative(below)).collect(),
        left_off: walk.left_off,
        revision: walk.revision.0,
    })
}

/// A node and all below it, read one after the other: each as it was at some moment of the walk.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Parents before their children, children by name. Empty if there is no such node.
    pub nodes: Vec<(Path, Stat)>,
    /// Whether there are more than was asked for.
    pub left_off: bool,
    /// The newest revision that was read.
    pub revision: Revision,
}

/// Walks down from `top` until `most` nodes were read. What vanishes meanwhile is not in it.
pub(super) async fn walk(session: &dyn Session, top: &Path, most: usize) -> Result<Walk, Error> {
    let mut walk = Walk::default();
    let mut ahead = vec![top.clone()];
    while let Some(path) = ahead.pop() {
        if walk.nodes.len() == most {
            walk.left_off = true;
            break;
        }
        let read = match session.children(&path).await {
            Ok(read) => read,
            Err(Error::Refused(Refusal::NoNode { .. })) => continue,
            Err(error) => return Err(error),
        };
        walk.revision = walk.revision.max(read.revision);
        // A name that makes no path is none that the service gave.
        ahead.extend(read.value.names.iter().rev().filter_map(|name| path.child(name).ok()));
        walk.nodes.push((path, read.value.stat));
    }
    Ok(walk)
}

/// A node's numbers as they travel.
pub(super) fn stat(stat: &Stat) -> NodeStat {
    NodeStat {
        created: stat.created.0,
        modified: stat.modified.0,
        version: stat.version,
        children_version: stat.children_version,
        owner: stat.owner.map(|session| session.0),
        data_bytes: stat.data_bytes,
        children: stat.children,
    }
}
