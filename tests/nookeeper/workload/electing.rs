//! Clients that compete for the lead: each makes a sequential ephemeral node, and the lowest leads.

use kv::coordination::tree::CreateMode;
use rand::Rng;

use super::{Client, ELECTION, Held, below, has_expired, path, patiently};

impl Client {
    /// Stands for election, looks who leads for a while, and resigns or vanishes.
    pub(super) async fn elect(&mut self, held: &mut Held) {
        let candidate = below(ELECTION, "candidate-");
        let patience = self.patience();
        let stood = held.session.create(&candidate, self.data(), CreateMode::EphemeralSequential);
        let mut expired = has_expired(&patiently(patience, stood).await);
        for _ in 0..self.rng.random_range(1..40) {
            if expired || !self.has_time() || !self.keep(held).await {
                return;
            }
            self.pause().await;
            let patience = self.patience();
            if self.rng.random_bool(0.5) {
                expired = has_expired(&patiently(patience, held.session.sync()).await);
            }
            if !expired {
                expired = has_expired(&patiently(patience, held.session.children(&path(ELECTION))).await);
            }
        }
        if self.rng.random_bool(0.5) {
            // It ends by its timeout otherwise.
            let _ = patiently(self.habits.patience, held.session.close()).await;
        }
    }
}
