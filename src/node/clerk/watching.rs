//! Watching for somebody who comes back with what was seen last.
//!
//! Watch first, then read, then wait, as the service asks of a watcher: a change between the read and the wait wakes it.
//! Whether there is something new is told by a digest of what was read, not by the wake, so that wakes for nothing and
//! changes that were undone are not told.

use xxhash_rust::xxh3::Xxh3;

use super::read::{stat, walk};
use crate::coordination::api::{Error, Session, Watch};
use crate::coordination::tree::{Path, Refusal};
use crate::coordination::watch::Watched as Scope;
use crate::wire::tree::{NodeStat, Seen, TreeFailure, Watched, WatchedNode};

/// Nodes below a watch of a subtree: all of them are read at each change.
pub(super) const WATCHED_MAX: usize = 1_000;

/// Why nothing could be watched.
pub(super) enum NotWatched {
    /// The service says so.
    Service(Error),
    /// There is too much of it.
    TooMany,
}

impl From<Error> for NotWatched {
    fn from(error: Error) -> NotWatched {
        NotWatched::Service(error)
    }
}

impl NotWatched {
    /// What to tell of it.
    pub fn into_failure(self, tell: impl FnOnce(Error) -> TreeFailure) -> TreeFailure {
        match self {
            NotWatched::Service(error) => tell(error),
            NotWatched::TooMany => {
                let reason = format!("there are more than {WATCHED_MAX} nodes below; watch a part of them");
                TreeFailure::Invalid { reason }
            }
        }
    }
}

/// Returns as soon as what is watched differs from what was seen. May be dropped at any time.
pub(super) async fn watch(
    session: &dyn Session,
    path: &Path,
    subtree: bool,
    seen: Option<Seen>,
) -> Result<Watched, NotWatched> {
    let mut wakes = Wakes::begin(session, path, subtree).await?;
    loop {
        let mut watched = read(session, path, subtree).await?;
        if seen.is_some_and(|seen| watched.seen.revision < seen.revision) {
            // Another node, further ahead, was asked before: what was seen there was acknowledged, so this shows it.
            session.sync().await?;
            watched = read(session, path, subtree).await?;
        }
        if seen.is_none_or(|seen| watched.seen.digest != seen.digest) {
            return Ok(watched);
        }
        wakes.next().await?;
    }
}

/// What the service is asked to watch.
struct Wakes {
    first: Box<dyn Watch>,
    /// A node alone is watched for its data and for its children.
    second: Option<Box<dyn Watch>>,
}

impl Wakes {
    async fn begin(session: &dyn Session, path: &Path, subtree: bool) -> Result<Wakes, Error> {
        if subtree {
            return Ok(Wakes { first: session.watch(path, Scope::Subtree).await?, second: None });
        }
        let first = session.watch(path, Scope::Node).await?;
        Ok(Wakes { first, second: Some(session.watch(path, Scope::Children).await?) })
    }

    async fn next(&mut self) -> Result<(), Error> {
        let Some(second) = &mut self.second else { return self.first.changed().await };
        tokio::select! {
            biased;
            changed = self.first.changed() => changed,
            changed = second.changed() => changed,
        }
    }
}

async fn read(session: &dyn Session, path: &Path, subtree: bool) -> Result<Watched, NotWatched> {
    let (mut nodes, mut children, mut revision) = (vec![], vec![], 0);
    if subtree {
        let walk = walk(session, path, WATCHED_MAX).await?;
        if walk.left_off {
            return Err(NotWatched::TooMany);
        }
        revision = walk.revision.0;
        let node = |(path, found): &(Path, _)| WatchedNode { path: path.to_string(), data: None, stat: stat(found) };
        nodes = walk.nodes.iter().map(node).collect();
    } else if let Some(read) = present(session.get(path).await)? {
        let node = WatchedNode { path: path.to_string(), data: Some(read.value.data), stat: stat(&read.value.stat) };
        nodes.push(node);
        revision = read.revision.0;
        if let Some(read) = present(session.children(path).await)? {
            children = read.value.names;
            children.truncate(super::read::LISTED_MAX);
            revision = revision.max(read.revision.0);
        }
    }
    let digest = digest(&nodes, &children, subtree);
    Ok(Watched { seen: Seen { revision, digest }, nodes, children })
}

/// `None` of what is not there.
fn present<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Error::Refused(Refusal::NoNode { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Equal for equal states of what is watched, on every node. Data counts by the revision that set it.
fn digest(nodes: &[WatchedNode], children: &[String], subtree: bool) -> u64 {
    let mut hash = Xxh3::new();
    let mut text = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for WatchedNode { path, stat: NodeStat { created, modified, version, .. }, .. } in nodes {
        text(path);
        text(&format!("{created} {modified} {version}"));
    }
    text(if subtree { "subtree" } else { "node" });
    children.iter().for_each(|name| text(name));
    hash.digest()
}
