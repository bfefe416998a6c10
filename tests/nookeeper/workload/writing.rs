//! Clients that change nodes in all ways, and read them back.

use kv::coordination::api::Error;
use kv::coordination::tree::{CreateMode, Path};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Client, Held, NAMES, WRITTEN, below, has_expired, patiently};

/// How many calls a session lives.
const CALLS_MAX: u32 = 200;

impl Client {
    /// Until the session ends, or is closed or left alone.
    pub(super) async fn write(&mut self, held: &mut Held) {
        for _ in 0..self.rng.random_range(1..CALLS_MAX) {
            if !self.has_time() || !self.keep(held).await || !self.act(held).await {
                return;
            }
            self.pause().await;
        }
        if self.rng.random_bool(0.5) {
            // It ends by its timeout otherwise.
            let _ = patiently(self.habits.patience, held.session.close()).await;
        }
    }

    /// One thing that a client does; false if the session has ended.
    async fn act(&mut self, held: &mut Held) -> bool {
        let (path, data) = (self.any(), self.data());
        let patience = self.patience();
        let session = &held.session;
        let expired = match self.rng.random_range(0..12) {
            0 | 1 => return self.increment(held, &path).await,
            2 => return self.overlap(held, &path).await,
            3 => {
                let modes = [CreateMode::Persistent, CreateMode::Persistent, CreateMode::Ephemeral];
                let mode = *modes.choose(&mut self.rng).expect("a mode");
                has_expired(&patiently(patience, session.create(&path, data, mode)).await)
            }
            4 => {
                let expected = self.rng.random_bool(0.5).then(|| self.rng.random_range(0..5));
                has_expired(&patiently(patience, session.delete(&path, expected)).await)
            }
            5 | 6 => has_expired(&patiently(patience, session.set(&path, data, None)).await),
            7 => has_expired(&patiently(patience, session.get(&path)).await),
            8 => has_expired(&patiently(patience, session.exists(&path)).await),
            9 | 10 => {
                let synced = patiently(patience, session.sync()).await;
                match synced {
                    Some(Ok(())) => has_expired(&patiently(patience, session.get(&path)).await),
                    _ => has_expired(&synced),
                }
            }
            _ => {
                let synced = patiently(patience, session.sync()).await;
                match synced {
                    Some(Ok(())) => has_expired(&patiently(patience, session.exists(&path)).await),
                    _ => has_expired(&synced),
                }
            }
        };
        !expired
    }

    /// Reads, perhaps something old, and sets if nobody else did.
    async fn increment(&mut self, held: &mut Held, path: &Path) -> bool {
        let patience = self.patience();
        let expected = match patiently(patience, held.session.get(path)).await {
            Some(Ok(read)) => read.value.stat.version,
            Some(Err(Error::SessionExpired)) => return false,
            _ => return true,
        };
        let set = held.session.set(path, self.data(), Some(expected));
        !has_expired(&patiently(patience, set).await)
    }

    /// Several writes at once.
    async fn overlap(&mut self, held: &mut Held, path: &Path) -> bool {
        let (other, patience, impatience) = (self.any(), self.patience(), self.patience());
        let (one, two) = (held.session.set(path, self.data(), None), held.session.set(&other, self.data(), None));
        let (one, two) = tokio::join!(biased; patiently(patience, one), patiently(impatience, two));
        !has_expired(&one) && !has_expired(&two)
    }

    fn any(&mut self) -> Path {
        below(WRITTEN, NAMES.choose(&mut self.rng).expect("a name"))
    }
}
