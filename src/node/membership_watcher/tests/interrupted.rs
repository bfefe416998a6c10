//! A service that can be cut off: calls then wait, and sessions run out.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::coordination::api::{Answer, Read, Service, Session, SessionState, Watch};
use crate::coordination::local::Local;
use crate::coordination::tree::{Change, Content, CreateMode, Listing, Outcome, Path, SessionId, Stat};
use crate::coordination::watch::Watched;

/// The service.
#[derive(Clone)]
pub struct Interrupted {
    pub local: Local,
    reachable: watch::Sender<bool>,
}

impl Interrupted {
    pub fn new(local: Local) -> Interrupted {
        Interrupted { local, reachable: watch::channel(true).0 }
    }

    pub fn reach(&self, reachable: bool) {
        self.reachable.send_replace(reachable);
    }

    async fn reached(&self) {
        self.reachable.subscribe().wait_for(|reachable| *reachable).await.expect("the sender is here");
    }
}

impl Service for Interrupted {
    fn open(&self, timeout: Duration) -> Answer<'_, Box<dyn Session>> {
        Box::pin(async move {
            self.reached().await;
            let (session, seen) = (self.local.open(timeout).await?, watch::channel(SessionState::Connected).0);
            Ok(Box::new(Cut { service: self.clone(), session, seen }) as Box<dyn Session>)
        })
    }
}

/// A session; its holder learns that it ended only by asking.
struct Cut {
    service: Interrupted,
    session: Box<dyn Session>,
    seen: watch::Sender<SessionState>,
}

impl Cut {
    fn ask<'a, T: 'a>(&'a self, answer: Answer<'a, T>) -> Answer<'a, T> {
        Box::pin(async move {
            self.service.reached().await;
            let answer = answer.await;
            self.seen.send_replace(*self.session.state().borrow());
            answer
        })
    }
}

impl Session for Cut {
    fn id(&self) -> SessionId {
        self.session.id()
    }

    fn timeout(&self) -> Duration {
        self.session.timeout()
    }

    fn state(&self) -> watch::Receiver<SessionState> {
        self.seen.subscribe()
    }

    fn renew(&self) -> Answer<'_, ()> {
        self.ask(self.session.renew())
    }

    fn close(&self) -> Answer<'_, ()> {
        self.ask(self.session.close())
    }

    fn create(&self, path: &Path, data: Bytes, mode: CreateMode) -> Answer<'_, (Path, Stat)> {
        self.ask(self.session.create(path, data, mode))
    }

    fn set(&self, path: &Path, data: Bytes, expected: Option<u64>) -> Answer<'_, Stat> {
        self.ask(self.session.set(path, data, expected))
    }

    fn delete(&self, path: &Path, expected: Option<u64>) -> Answer<'_, ()> {
        self.ask(self.session.delete(path, expected))
    }

    fn multi(&self, changes: Vec<Change>) -> Answer<'_, Vec<Outcome>> {
        self.ask(self.session.multi(changes))
    }

    fn get(&self, path: &Path) -> Answer<'_, Read<Content>> {
        self.ask(self.session.get(path))
    }

    fn exists(&self, path: &Path) -> Answer<'_, Read<Option<Stat>>> {
        self.ask(self.session.exists(path))
    }

    fn children(&self, path: &Path) -> Answer<'_, Read<Listing>> {
        self.ask(self.session.children(path))
    }

    fn sync(&self) -> Answer<'_, ()> {
        self.ask(self.session.sync())
    }

    fn watch(&self, path: &Path, watched: Watched) -> Answer<'_, Box<dyn Watch>> {
        let path = path.clone();
        Box::pin(async move {
            let watch = self.ask(self.session.watch(&path, watched)).await?;
            Ok(Box::new(CutWatch { service: self.service.clone(), watch }) as Box<dyn Watch>)
        })
    }
}

struct CutWatch {
    service: Interrupted,
    watch: Box<dyn Watch>,
}

impl Watch for CutWatch {
    fn changed(&mut self) -> Answer<'_, ()> {
        Box::pin(async {
            let changed = self.watch.changed().await;
            self.service.reached().await;
            changed
        })
    }
}
