//! Watches that outlive connections.
//!
//! Each watch is a *persistent recursive* one of ZooKeeper, kept by a task that tells its holder of what concerns it and
//! drops the rest. That mode serves all kinds because a server remembers one mode for each path of a connection: a
//! watch of another mode on the same path would silence the first. The price is that a watch on a busy node hears of all that
//! happens below it.
//!
//! ZooKeeper does not tell what a connection missed, and the client library forgets its persistent watches when it connects again. So the
//! task sets the watch again on each new connection, and then tells its holder to read.

use std::time::Duration;

use tokio::sync::watch;

use super::link::{Link, Phase, connected};
use super::{request, zk};
use crate::coordination::api::{Answer, Error, Watch};
use crate::coordination::tree::Path;
use crate::coordination::watch::Watched;

/// Between two attempts to set a watch again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct ZooKeeperWatch {
    told: watch::Receiver<()>,
}

impl ZooKeeperWatch {
    /// Watches from now on.
    pub(super) async fn begin(link: &Link, path: Path, watched: Watched) -> Result<ZooKeeperWatch, Error> {
        let begun = request::ask(link, |client| set(client, &path)).await?;
        let watcher = begun.map_err(|error| link.ensemble.unreachable(&error))?;
        let (teller, told) = watch::channel(());
        let task = Task { phase: link.phase.clone(), path, watched, teller };
        tokio::spawn(task.run(watcher));
        Ok(ZooKeeperWatch { told })
    }
}

impl Watch for ZooKeeperWatch {
    fn changed(&mut self) -> Answer<'_, ()> {
        // The task ends with the session.
        Box::pin(async { self.told.changed().await.map_err(|_| Error::SessionExpired) })
    }
}

fn set<'c>(client: &'c zk::Client, path: &Path) -> request::Asked<'c, zk::PersistentWatcher> {
    Box::pin(client.watch(path.as_str(), zk::AddWatchMode::PersistentRecursive))
}

struct Task {
    phase: watch::Receiver<Phase>,
    path: Path,
    watched: Watched,
    teller: watch::Sender<()>,
}

impl Task {
    async fn run(self, watcher: zk::PersistentWatcher) {
        tokio::select! {
            biased;
            () = self.teller.closed() => {}
            () = self.tell(watcher) => {}
        }
    }

    /// Tells until the session has ended.
    async fn tell(&self, mut watcher: zk::PersistentWatcher) {
        loop {
            let event = watcher.changed().await;
            if event.event_type == zk::EventType::Session {
                if event.session_state == zk::SessionState::Disconnected {
                    continue;
                }
                // Connected again, or by this client never more.
                let Some(again) = self.set_again().await else { return };
                watcher = again;
                self.teller.send_replace(());
            } else if concerns(self.watched, &self.path, &event) {
                self.teller.send_replace(());
            }
        }
    }

    /// `None` if the session has ended.
    async fn set_again(&self) -> Option<zk::PersistentWatcher> {
        loop {
            let client = connected(&self.phase).await?;
            match set(&client, &self.path).await {
                Ok(watcher) => return Some(watcher),
                Err(error) => log::debug!("the watch on {} is not set again yet: {error}", self.path),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// Whether an event at the watched path or below it is to be told.
fn concerns(watched: Watched, path: &Path, event: &zk::WatchedEvent) -> bool {
    let comes_or_goes = event.event_type != zk::EventType::NodeDataChanged;
    let is_here = event.path == path.as_str();
    let is_child = || {
        let above = event.path.rsplit_once('/').map(|(above, _)| if above.is_empty() { "/" } else { above });
        above == Some(path.as_str())
    };
    match watched {
        Watched::Node => is_here,
        Watched::Children => comes_or_goes && (is_here || is_child()),
        Watched::Subtree => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 4] = ["/a", "/a/b", "/a/b/c", "/a/b/c/d"];

    /// At which paths an event of a kind is told to who watches `/a/b`.
    fn told(watched: Watched, kind: zk::EventType) -> Vec<&'static str> {
        let path = "/a/b".parse().unwrap();
        // Those of other paths never come.
        let heard = PATHS.into_iter().skip(1);
        heard.filter(|at| concerns(watched, &path, &zk::WatchedEvent::new(kind, *at))).collect()
    }

    #[test]
    fn watches_are_told_what_they_watch() {
        use zk::EventType::{NodeCreated, NodeDataChanged, NodeDeleted};
        assert_eq!(told(Watched::Node, NodeDataChanged), ["/a/b"]);
        assert_eq!(told(Watched::Node, NodeCreated), ["/a/b"]);
        assert_eq!(told(Watched::Children, NodeDataChanged), [""; 0]);
        for kind in [NodeCreated, NodeDeleted] {
            assert_eq!(told(Watched::Children, kind), ["/a/b", "/a/b/c"]);
            assert_eq!(told(Watched::Subtree, kind), ["/a/b", "/a/b/c", "/a/b/c/d"]);
        }
    }

    #[test]
    fn the_root_has_children_too() {
        let event = zk::WatchedEvent::new(zk::EventType::NodeCreated, "/a");
        assert!(concerns(Watched::Children, &Path::root(), &event));
        assert!(!concerns(Watched::Node, &Path::root(), &event));
    }
}
