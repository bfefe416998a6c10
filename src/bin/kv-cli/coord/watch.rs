//! `kv-cli coord watch`.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use kv::client::Client;
use kv::wire::tree::{Seen, TreeAnswer, TreeRequest, Watched, WatchedNode};
use serde_json::json;
use tokio::time::sleep;

use super::{data, strange};
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::json;
use crate::output::{Output, note};

/// A node is asked again after so long without a change, so that one which went silent is noticed.
const WAIT_MS: u32 = 10_000;
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

const AFTER_HELP: &str = "\
First comes what is there, then each change until Ctrl-C. No change goes unnoticed, but values between two looks may be \
skipped. When the node that was asked goes away another one is asked. --json prints one document a line.

Examples:
  kv-cli coord watch /config            its data, and its children's coming and going
  kv-cli coord watch /kv/live           who is alive
  kv-cli coord watch /kv --subtree      everything below";

/// Print each change of a node as it comes
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Watch {
    /// The node; it need not be there yet
    path: String,
    /// Watch all that is below it, too
    #[arg(long)]
    subtree: bool,
}

impl Watch {
    /// Watches until Ctrl-C, or until nobody reads any more.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut watching = Watching::new(self.path, self.subtree);
        let mut before = None;
        loop {
            let watched = tokio::select! {
                biased;
                interrupted = &mut interrupt => return interrupted.map(|()| Exit::Done).map_err(CliError::Runtime),
                watched = watching.next(&client) => watched?,
            };
            for change in changes(&watching.path, before.as_ref(), &watched) {
                change.print(watched.seen.revision, output);
            }
            if !output.flush()? {
                return Ok(Exit::Done);
            }
            before = Some(watched);
        }
    }
}

/// A watch that goes on with whichever node answers.
pub struct Watching {
    path: String,
    subtree: bool,
    seen: Option<Seen>,
    /// Whether the user knows that nobody answers.
    told: bool,
}

impl Watching {
    /// Nothing seen yet.
    pub fn new(path: String, subtree: bool) -> Watching {
        Watching { path, subtree, seen: None, told: false }
    }

    /// Beginning at that revision, whoever is asked: nothing older is shown.
    pub fn since(path: String, revision: u64) -> Watching {
        // Of nothing, so that the first answer comes at once.
        let seen = Seen { revision, digest: 0 };
        Watching { seen: Some(seen), ..Watching::new(path, false) }
    }

    /// What there is, as soon as it differs from what was seen last. Once there was an answer it tries for ever. May be
    /// dropped and called again.
    pub async fn next(&mut self, client: &Client) -> Result<Watched, CliError> {
        loop {
            let (path, subtree, seen) = (self.path.clone(), self.subtree, self.seen);
            match client.tree(TreeRequest::Watch { path, subtree, seen, wait_ms: WAIT_MS }).await {
                Ok(TreeAnswer::Watched(watched)) => {
                    (self.seen, self.told) = (Some(watched.seen), false);
                    return Ok(watched);
                }
                Ok(TreeAnswer::Unchanged) => self.told = false,
                Ok(_) => return Err(strange()),
                Err(error) if self.seen.is_some() && error.retryable() => {
                    if !std::mem::replace(&mut self.told, true) {
                        note(format_args!("note: {error}; trying again"));
                    }
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What happened to a node.
#[derive(Debug, PartialEq)]
enum Change<'a> {
    /// It is there, or not, at first sight.
    Found(&'a WatchedNode),
    NotFound(&'a str),
    Created(&'a WatchedNode),
    Set(&'a WatchedNode),
    Deleted(&'a str),
    ChildCame(String),
    ChildWent(String),
}

fn changes<'a>(path: &'a str, before: Option<&'a Watched>, now: &'a Watched) -> Vec<Change<'a>> {
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

    fn print(&self, revision: u64, output: &mut Output) {
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
    use kv::wire::tree::NodeStat;

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
