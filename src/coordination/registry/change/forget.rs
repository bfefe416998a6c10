//! Declaring data destroyed.

use crate::coordination::api::Session;
use crate::coordination::tree::Change;
use crate::core::id::{NodeId, StoreId};

use super::super::access::{self, Attempts};
use super::super::error::Error;
use super::super::paths;
use super::super::records::{Live, RingRecord, Standing, StoreRecord, StoreState};

/// Declares a store's data destroyed: it is refused for ever, and nobody waits for what only it has. Answers its node. A store that owns
/// partitions has to be removed first, or be about to be.
///
/// # Errors
/// [`Error::Invalid`] if it is not known, alive, or an owner.
pub async fn forget(session: &dyn Session, store: StoreId, now_ms: u64) -> Result<NodeId, Error> {
    let (path, ring_path) = (paths::store(store)?, paths::path(paths::RING)?);
    let mut attempts = Attempts::at(paths::STORES);
    session.sync().await?;
    loop {
        attempts.another()?;
        let refuse = |reason: String| Err(Error::Invalid { reason });
        let Some(record) = access::read::<StoreRecord>(session, &path).await? else {
            return refuse(format!("store {store} is not known to this cluster"));
        };
        let node = record.value.node;
        if record.value.state == StoreState::Forgotten {
            return Ok(node);
        }
        let ring = access::read::<RingRecord>(session, &ring_path).await?.ok_or(Error::NotFounded)?;
        if let Some(live) = access::read::<Live>(session, &paths::live(node)?).await?
            && live.value.store == store
        {
            return refuse(format!("store {store} is alive on node {node}: what it has is not destroyed"));
        }
        let member = ring.value.members.iter().find(|member| member.store == store);
        if let Some(member) = member.filter(|member| matches!(member.standing, Standing::Owner | Standing::Replaced)) {
            return refuse(match member.standing {
                Standing::Replaced => {
                    format!("store {store} still has places in the ring, which node {node} is to fill")
                }
                _ => format!("store {store} owns partitions: remove node {node} first"),
            });
        }
        let goes_at_once = member.is_some_and(|member| member.standing == Standing::Guest) && !ring.value.names(store);
        let ring_change = if goes_at_once {
            let mut without = ring.value.clone();
            without.remove(store);
            without.epoch.counter += 1;
            access::set(ring_path.clone(), &without, &ring.stat)?
        } else {
            Change::Check { path: ring_path.clone(), expected: Some(ring.stat.version) }
        };
        let forgotten = StoreRecord { state: StoreState::Forgotten, since_ms: now_ms, ..record.value };
        access::write(session, vec![access::set(path.clone(), &forgotten, &record.stat)?, ring_change]).await?;
    }
}
