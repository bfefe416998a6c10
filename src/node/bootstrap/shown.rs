//! Showing oneself to the others before serving anything.
//!
//! A store that was a member before may serve by the ring it remembers, without anybody's answer. But if it is an old copy of
//! itself, or runs beside its original, what it acknowledges is lost. So it first calls whoever it knows, and is judged at
//! the greeting. Nobody's silence keeps it from serving.

use std::collections::BTreeSet;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::ending::COPY_FOR_SURE;
use super::{Bootstrap, BootstrapError, Ending, SharedHome, lock};
use crate::coordination::registry;
use crate::storage::StorageError;
use crate::wire::dial::DialError;
use crate::wire::handshake::Refusal;

impl Bootstrap {
    /// Calls everybody once, and again for as long as somebody takes this store for a copy. If it is one, this start of it
    /// does not count.
    ///
    /// # Errors
    /// [`BootstrapError::Ended`] if one of them refuses it for good.
    pub(super) async fn show_oneself(&mut self) -> Result<(), BootstrapError> {
        let others = self.known_others();
        let (began, mut counts) = (Instant::now(), true);
        loop {
            let refusals = self.call(&others).await;
            if refusals.iter().any(|refusal| matches!(refusal, Refusal::RolledBack { .. })) {
                // Nothing changes that any more. Were it killed while it waits, its next start would have a number that nobody
                // has seen, and pass.
                discount(&self.home, &mut counts)?;
            }
            let cloned = refusals.iter().find(|refusal| matches!(refusal, Refusal::Cloned { .. }));
            let Some(cloned) = cloned else {
                return refusals.iter().find_map(Ending::of_refusal).map_or(Ok(()), |ending| Err(ending.into()));
            };
            if began.elapsed() >= COPY_FOR_SURE {
                discount(&self.home, &mut counts)?;
                return Err(Ending::copy(cloned).into());
            }
            self.reception.wait_for(format!("it waits for the others to take it for no copy ({cloned})"));
            self.pause().await;
            sleep(super::embedded::PAUSE).await;
        }
    }

    /// Where other nodes are by the last known ring; without one, by the configuration. Whoever is to be joined is asked in any
    /// case: it may be of another cluster, and an operator who says so is told.
    fn known_others(&self) -> BTreeSet<String> {
        let config = &self.config;
        let ring = lock(&self.home).load_ring().and_then(|content| registry::decode_membership(&content).ok());
        let known: Vec<String> = match ring {
            Some(ring) => ring.members.into_iter().map(|member| member.address).collect(),
            None => config.cluster.nodes.iter().map(|node| node.address.clone()).collect(),
        };
        let own = &config.node.advertise;
        known.into_iter().chain(config.node.join.iter().cloned()).filter(|address| address != own).collect()
    }

    /// What those who answer have against this store.
    async fn call(&self, others: &BTreeSet<String>) -> Vec<Refusal> {
        let mut calls = JoinSet::new();
        for address in others {
            let (newcomer, address) = (self.newcomer(), address.clone());
            calls.spawn(async move { newcomer.probe(&address).await });
        }
        let mut refusals = vec![];
        while let Some(called) = calls.join_next().await {
            if let Ok(Err(DialError::Refused(refusal))) = called {
                refusals.push(refusal);
            }
        }
        refusals
    }
}

/// This start counts no more, if it did: the next one will have its number.
fn discount(home: &SharedHome, counts: &mut bool) -> Result<(), StorageError> {
    if std::mem::take(counts) { lock(home).withdraw_start() } else { Ok(()) }
}
