//! Clients that wait to be told, and then read.

use kv::coordination::api::{Error, Watch};
use kv::coordination::tree::{Path, Refusal};
use kv::coordination::watch::Watched;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Client, ELECTION, Held, NAMES, WRITTEN, below, path, patiently};

impl Client {
    /// Until the session ends, or a read has no answer: what was told is then gone, and a new watch begins.
    pub(super) async fn watch(&mut self, held: &mut Held) {
        let (path, watched) = match self.rng.random_bool(0.3) {
            true => (path(ELECTION), Watched::Children),
            false => (below(WRITTEN, NAMES.choose(&mut self.rng).expect("a name")), Watched::Node),
        };
        let watch = patiently(self.habits.patience, held.session.watch(&path, watched)).await;
        let Some(Ok(mut watch)) = watch else { return };
        while self.look(held, &path, watched).await && self.told(held, watch.as_mut()).await {}
    }

    async fn look(&self, held: &Held, path: &Path, watched: Watched) -> bool {
        loop {
            let answered = match watched {
                Watched::Children => {
                    patiently(self.habits.patience, held.session.children(path)).await.map(|it| it.map(drop))
                }
                _ => patiently(self.habits.patience, held.session.exists(path)).await.map(|it| it.map(drop)),
            };
            match answered {
                Some(Ok(()) | Err(Error::Refused(Refusal::NoNode { .. }))) => return true,
                Some(Err(Error::SessionExpired)) => return false,
                _ => tokio::time::sleep(self.habits.pause_max).await,
            }
        }
    }

    /// Renews the session while there is nothing to tell; false if it has ended.
    async fn told(&self, held: &mut Held, watch: &mut dyn Watch) -> bool {
        let mut changed = watch.changed();
        loop {
            tokio::select! {
                biased;
                told = &mut changed => return told.is_ok(),
                () = tokio::time::sleep(held.session.timeout() / 3) => {}
            }
            if !self.keep(held).await {
                return false;
            }
        }
    }
}
