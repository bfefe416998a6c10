//! A session with ZooKeeper, as its holder sees it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::link::Link;
use super::renewal::{Life, Moment, Touch};
use super::watch::ZooKeeperWatch;
use super::{convert, request, zk};
use crate::coordination::api::{Answer, Error, Read, Session, SessionState, Watch};
use crate::coordination::clock;
use crate::coordination::tree::{Change, Content, Listing, Outcome, Path, Refusal, Revision, SessionId, Stat};
use crate::coordination::watch::Watched;

pub(super) struct ZooKeeperSession {
    link: Link,
    life: Life,
    /// The newest revision that an answer told of, and so one that every later read contains.
    seen: AtomicU64,
}

impl ZooKeeperSession {
    /// The session that was opened by a call at this moment.
    pub(super) fn new(link: Link, opened: Moment) -> ZooKeeperSession {
        let life = Life::new(link.timeout, opened);
        ZooKeeperSession { link, life, seen: AtomicU64::new(0) }
    }

    async fn write(&self, changes: &[Change]) -> Result<Vec<Outcome>, Error> {
        let (outcomes, newest) = request::write(&self.link, changes).await?;
        self.has_seen(newest);
        Ok(outcomes)
    }

    /// Reads something that has a stat, or is not there.
    async fn read<T>(
        &self,
        path: &Path,
        ask: impl for<'c> Fn(&'c zk::Client) -> request::Asked<'c, (T, zk::Stat)>,
    ) -> Result<Read<Option<(T, Stat)>>, Error> {
        let before = Revision(self.seen.load(Ordering::Relaxed));
        match request::ask(&self.link, ask).await? {
            Ok((value, stat)) => {
                let revision = before.max(convert::newest(&stat));
                self.has_seen(revision);
                Ok(Read { value: Some((value, convert::stat(&stat))), revision })
            }
            Err(zk::Error::NoNode) => Ok(Read { value: None, revision: before }),
            Err(error) => Err(self.link.ensemble.unreachable(&format!("{error}, when {path} was read"))),
        }
    }

    fn has_seen(&self, revision: Revision) {
        self.seen.fetch_max(revision.0, Ordering::Relaxed);
    }

    async fn commit_nothing(&self) -> Result<(), Error> {
        let committed = request::ask(&self.link, |client| Box::pin(request::commit_nothing(client))).await?;
        committed.map_err(|error| self.link.ensemble.unreachable(&error))
    }
}

/// What was read of a node that must be there.
fn present<T, U>(read: Read<Option<(T, Stat)>>, path: &Path, of: impl FnOnce(T, Stat) -> U) -> Result<Read<U>, Error> {
    let (value, stat) = read.value.ok_or_else(|| Refusal::NoNode { path: path.clone() })?;
    Ok(Read { value: of(value, stat), revision: read.revision })
}

impl Session for ZooKeeperSession {
    fn id(&self) -> SessionId {
        convert::session_id(self.link.id)
    }

    fn timeout(&self) -> Duration {
        self.link.timeout
    }

    fn state(&self) -> watch::Receiver<SessionState> {
        self.link.state.clone()
    }

    fn renew(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let called = clock::since_boot();
            self.commit_nothing().await?;
            let touch = Touch { called, answered: clock::since_boot() };
            while let Some(unproven) = self.life.to_prove(touch) {
                let comes = unproven.has_come(self.link.timeout);
                tokio::time::sleep(comes.saturating_sub(clock::since_boot())).await;
                self.commit_nothing().await?;
                self.life.proven(unproven);
            }
            Ok(())
        })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let (reply, closed) = oneshot::channel();
            // A keeper that is gone has seen the session end.
            self.link.closing.send(reply).await.map_err(|_| Error::SessionExpired)?;
            closed.await.unwrap_or(Err(Error::SessionExpired))
        })
    }

    fn multi(&self, changes: Vec<Change>) -> Answer<'_, Vec<Outcome>> {
        Box::pin(async move { self.write(&changes).await })
    }

    fn get(&self, path: &Path) -> Answer<'_, Read<Content>> {
        let path = path.clone();
        Box::pin(async move {
            let read = self.read(&path, |client| Box::pin(client.get_data(path.as_str()))).await?;
            present(read, &path, |data, stat| Content { data: data.into(), stat })
        })
    }

    fn exists(&self, path: &Path) -> Answer<'_, Read<Option<Stat>>> {
        let path = path.clone();
        Box::pin(async move {
            let read = self.read(&path, |client| {
                let stat = client.check_stat(path.as_str());
                Box::pin(async move { Ok(((), stat.await?.ok_or(zk::Error::NoNode)?)) })
            });
            let read = read.await?;
            Ok(Read { value: read.value.map(|((), stat)| stat), revision: read.revision })
        })
    }

    fn children(&self, path: &Path) -> Answer<'_, Read<Listing>> {
        let path = path.clone();
        Box::pin(async move {
            let read = self.read(&path, |client| Box::pin(client.get_children(path.as_str()))).await?;
            present(read, &path, |mut names: Vec<String>, stat| {
                // ZooKeeper lists them as they come.
                names.sort_unstable();
                Listing { names, stat }
            })
        })
    }

    fn sync(&self) -> Answer<'_, ()> {
        Box::pin(self.commit_nothing())
    }

    fn watch(&self, path: &Path, watched: Watched) -> Answer<'_, Box<dyn Watch>> {
        let path = path.clone();
        Box::pin(async move {
            let watch = ZooKeeperWatch::begin(&self.link, path, watched).await?;
            Ok(Box::new(watch) as Box<dyn Watch>)
        })
    }
}
