//! A session whose calls take turns with others', and whose writes sometimes end without an answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::SmallRng;
use tokio::sync::watch;

use crate::coordination::api::{Answer, Error, Read, Session, SessionState, Watch};
use crate::coordination::tree::{Change, Content, CreateMode, Listing, Outcome, Path, SessionId, Stat};
use crate::coordination::watch::Watched;

/// The session.
pub struct Unsure {
    pub session: Box<dyn Session>,
    pub rng: Arc<Mutex<SmallRng>>,
}

impl Unsure {
    fn draw(&self, most: u32) -> u32 {
        self.rng.lock().unwrap().random_range(0..=most)
    }

    async fn wait(&self) {
        for _ in 0..self.draw(3) {
            tokio::task::yield_now().await;
        }
    }
}

impl Session for Unsure {
    fn id(&self) -> SessionId {
        self.session.id()
    }

    fn timeout(&self) -> Duration {
        self.session.timeout()
    }

    fn state(&self) -> watch::Receiver<SessionState> {
        self.session.state()
    }

    fn renew(&self) -> Answer<'_, ()> {
        self.session.renew()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.session.close()
    }

    fn create(&self, path: &Path, data: Bytes, mode: CreateMode) -> Answer<'_, (Path, Stat)> {
        self.session.create(path, data, mode)
    }

    fn set(&self, path: &Path, data: Bytes, expected: Option<u64>) -> Answer<'_, Stat> {
        self.session.set(path, data, expected)
    }

    fn delete(&self, path: &Path, expected: Option<u64>) -> Answer<'_, ()> {
        self.session.delete(path, expected)
    }

    fn multi(&self, changes: Vec<Change>) -> Answer<'_, Vec<Outcome>> {
        Box::pin(async move {
            self.wait().await;
            let lost = || Err(Error::OutcomeUnknown { cause: "planned".into() });
            match self.draw(4) {
                0 => lost(),
                1 => self.session.multi(changes).await.and_then(|_| lost()),
                _ => self.session.multi(changes).await,
            }
        })
    }

    fn get(&self, path: &Path) -> Answer<'_, Read<Content>> {
        let path = path.clone();
        Box::pin(async move {
            self.wait().await;
            self.session.get(&path).await
        })
    }

    fn exists(&self, path: &Path) -> Answer<'_, Read<Option<Stat>>> {
        self.session.exists(path)
    }

    fn children(&self, path: &Path) -> Answer<'_, Read<Listing>> {
        self.session.children(path)
    }

    fn sync(&self) -> Answer<'_, ()> {
        self.session.sync()
    }

    fn watch(&self, path: &Path, watched: Watched) -> Answer<'_, Box<dyn Watch>> {
        self.session.watch(path, watched)
    }
}
