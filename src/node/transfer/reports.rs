//! Telling the others what is complete.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use super::agenda::Aged;
use crate::coordination::SharedSession;
use crate::coordination::registry::change::{report_arrived, report_drained, report_unsynced};
use crate::core::id::{Partition, StoreId};
use crate::core::ring::change::Marks;

/// Who writes it where the others see it. Called on an arbiter: must not wait. What could not be written is told again.
pub trait Reports: Send + Sync {
    /// Everything of these partitions that was there when they were set in motion is held durably here.
    fn arrived(&self, partitions: Vec<Aged>);

    /// Of these, nothing is left here that an owner could lack.
    fn drained(&self, partitions: Vec<Aged>);

    /// These are all partitions of which this store may miss something.
    fn unsynced(&self, partitions: BTreeSet<Partition>);
}

/// Writes it to the registry, as one write for all that gathered while the one before was under way.
#[derive(Clone)]
pub struct ToRegistry {
    session: SharedSession,
    store: StoreId,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    arrived: Marks,
    drained: Marks,
    /// `None`: as it was told.
    unsynced: Option<BTreeSet<Partition>>,
    is_writing: bool,
}

/// What is to be written at once.
type Gathered = (Marks, Marks, Option<BTreeSet<Partition>>);

impl ToRegistry {
    /// Writes for `store`, in whatever session there is then.
    pub fn new(session: SharedSession, store: StoreId) -> ToRegistry {
        ToRegistry { session, store, waiting: Arc::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no panic while reports gather")
    }

    fn add(&self, add: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.waiting();
        add(&mut waiting);
        if !std::mem::replace(&mut waiting.is_writing, true) {
            let writer = self.clone();
            actix_rt::spawn(async move { writer.write().await });
        }
    }

    fn take(&self) -> Option<Gathered> {
        let mut waiting = self.waiting();
        let Waiting { arrived, drained, unsynced, .. } = std::mem::take(&mut *waiting);
        let gathered = (arrived, drained, unsynced);
        waiting.is_writing = gathered != Gathered::default();
        waiting.is_writing.then_some(gathered)
    }

    async fn write(self) {
        while let Some((arrived, drained, unsynced)) = self.take() {
            let Some(session) = self.session.load_full() else { continue };
            for (marks, result) in [
                (&arrived, report_arrived(&**session, self.store, &arrived).await),
                (&drained, report_drained(&**session, self.store, &drained).await),
            ] {
                if let Err(error) = result {
                    log::info!("{} partitions will be reported again: {error}", marks.len());
                }
            }
            if let Some(partitions) = unsynced
                && let Err(error) = report_unsynced(&**session, self.store, &partitions).await
            {
                log::info!("that {} partitions need sync will be reported again: {error}", partitions.len());
            }
        }
    }
}

impl Reports for ToRegistry {
    fn arrived(&self, partitions: Vec<Aged>) {
        self.add(|waiting| waiting.arrived.extend(partitions));
    }

    fn drained(&self, partitions: Vec<Aged>) {
        self.add(|waiting| waiting.drained.extend(partitions));
    }

    fn unsynced(&self, partitions: BTreeSet<Partition>) {
        self.add(|waiting| waiting.unsynced = Some(partitions));
    }
}
