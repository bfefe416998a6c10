//! A session with the distant service.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kv::coordination::api::{self, Error, Read, Session, SessionState, Watch};
use kv::coordination::tree::{
    Change, Content, CreateMode, Listing, Outcome, Path, Refusal, Revision, SessionId, Stat, Tree,
};
use kv::coordination::watch::Watched;
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Lie, Shared, lost, unknown};
use crate::lock::lock;

/// After that a write that was given up should be long over.
const LATE: Duration = Duration::from_secs(2);

pub struct DistantSession {
    shared: Arc<Shared>,
    session: Arc<dyn Session>,
    /// What its reads have to contain.
    floor: Arc<Mutex<Revision>>,
}

impl DistantSession {
    pub fn new(shared: Arc<Shared>, session: Arc<dyn Session>) -> DistantSession {
        DistantSession { shared, session, floor: Arc::default() }
    }

    /// There and back, and what became of the call.
    async fn call<T>(&self, answer: api::Answer<'_, T>) -> Result<T, Error> {
        if !self.shared.travel().await {
            return Err(lost());
        }
        let answered = answer.await;
        see_all(&self.shared, &self.floor);
        if self.shared.travel().await { answered } else { Err(unknown()) }
    }

    async fn read<T>(&self, read: impl Fn(&Tree) -> Result<T, Refusal>) -> Result<Read<T>, Error> {
        if !self.shared.travel().await {
            return Err(lost());
        }
        // The one in this process knows whether the session lives.
        self.session.exists(&Path::root()).await?;
        let copy = lock(&self.shared.copy).clone();
        let state = match copy.tree().revision() >= *lock(&self.floor) || self.shared.lies(Lie::ReadBack) {
            true => copy,
            false => self.shared.local.state(),
        };
        let revision = state.tree().revision();
        raise(&self.floor, revision);
        let answered = read(state.tree()).map(|value| Read { value, revision });
        if self.shared.travel().await { Ok(answered?) } else { Err(lost()) }
    }

    async fn set_with_lies(&self, path: Path, data: Bytes, expected: Option<u64>) -> Result<Stat, Error> {
        if self.shared.lies(Lie::LoseWrite)
            && let Ok(Read { value: Content { stat, .. }, revision }) = self.session.get(&path).await
            && expected.is_none_or(|version| version == stat.version)
        {
            let modified = Revision(revision.0 + 1);
            return Ok(Stat { version: stat.version + 1, modified, data_bytes: data.len() as u64, ..stat });
        }
        if self.shared.lies(Lie::ApplyLate) {
            let session = self.session.clone();
            tokio::spawn(async move {
                sleep(LATE).await;
                // Nobody waits for it.
                let _ = session.set(&path, data, expected).await;
            });
            return Err(unknown());
        }
        let expected = expected.filter(|_| !self.shared.lies(Lie::IgnoreVersion));
        let stat = self.session.set(&path, data.clone(), expected).await?;
        if self.shared.lies(Lie::ApplyTwice) {
            self.session.set(&path, data, None).await?;
        }
        Ok(stat)
    }
}

impl Session for DistantSession {
    fn id(&self) -> SessionId {
        self.session.id()
    }

    fn timeout(&self) -> Duration {
        self.session.timeout()
    }

    fn state(&self) -> watch::Receiver<SessionState> {
        self.session.state()
    }

    fn renew(&self) -> api::Answer<'_, ()> {
        Box::pin(self.call(self.session.renew()))
    }

    fn close(&self) -> api::Answer<'_, ()> {
        Box::pin(self.call(self.session.close()))
    }

    fn create(&self, path: &Path, data: Bytes, mode: CreateMode) -> api::Answer<'_, (Path, Stat)> {
        Box::pin(self.call(self.session.create(path, data, mode)))
    }

    fn set(&self, path: &Path, data: Bytes, expected: Option<u64>) -> api::Answer<'_, Stat> {
        Box::pin(self.call(Box::pin(self.set_with_lies(path.clone(), data, expected))))
    }

    fn delete(&self, path: &Path, expected: Option<u64>) -> api::Answer<'_, ()> {
        Box::pin(self.call(self.session.delete(path, expected)))
    }

    fn multi(&self, changes: Vec<Change>) -> api::Answer<'_, Vec<Outcome>> {
        Box::pin(self.call(self.session.multi(changes)))
    }

    fn get(&self, path: &Path) -> api::Answer<'_, Read<Content>> {
        let path = path.clone();
        Box::pin(async move { self.read(|tree| tree.get(&path)).await })
    }

    fn exists(&self, path: &Path) -> api::Answer<'_, Read<Option<Stat>>> {
        let path = path.clone();
        Box::pin(async move { self.read(|tree| Ok(tree.stat(&path))).await })
    }

    fn children(&self, path: &Path) -> api::Answer<'_, Read<Listing>> {
        let path = path.clone();
        Box::pin(async move { self.read(|tree| tree.children(&path)).await })
    }

    fn sync(&self) -> api::Answer<'_, ()> {
        Box::pin(async {
            let lies = self.shared.lies(Lie::ReadOldAfterSync);
            let floor = *lock(&self.floor);
            self.call(self.session.sync()).await?;
            if lies {
                *lock(&self.floor) = floor;
            }
            Ok(())
        })
    }

    fn watch(&self, path: &Path, watched: Watched) -> api::Answer<'_, Box<dyn Watch>> {
        let path = path.clone();
        Box::pin(async move {
            let watch = self.call(self.session.watch(&path, watched)).await?;
            let (floor, shared) = (self.floor.clone(), self.shared.clone());
            Ok(Box::new(DistantWatch { watch, floor, shared }) as Box<dyn Watch>)
        })
    }
}

struct DistantWatch {
    watch: Box<dyn Watch>,
    floor: Arc<Mutex<Revision>>,
    shared: Arc<Shared>,
}

impl Watch for DistantWatch {
    fn changed(&mut self) -> api::Answer<'_, ()> {
        Box::pin(async {
            self.watch.changed().await?;
            if self.shared.lies(Lie::SkipWatch) {
                self.watch.changed().await?;
            }
            see_all(&self.shared, &self.floor);
            Ok(())
        })
    }
}

/// From now on reads contain everything.
fn see_all(shared: &Shared, floor: &Mutex<Revision>) {
    raise(floor, shared.local.state().tree().revision());
}

fn raise(floor: &Mutex<Revision>, to: Revision) {
    let mut floor = lock(floor);
    *floor = to.max(*floor);
}
