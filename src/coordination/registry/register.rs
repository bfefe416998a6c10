//! Registering a store and its start.
//!
//! Where the store belongs is decided by `place`, what that changes by `plan`, both without the service; here is the loop
//! around them: read, decide, write under conditions, and again until nothing is left to do.

use crate::coordination::api::Session;
use crate::core::id::{ClusterId, Epoch, NodeId, Start, StoreId};

use super::access::{self, Attempts};
use super::alarms;
use super::error::Error;
use super::paths;
use super::place::{Registered, place};
use super::plan::{Plan, Refused, plan};
use super::records::{Live, Standing};

/// A store that wants to take part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joiner {
    /// The cluster that it belongs to; `None` for a store that belongs to none yet, which may be given another id.
    pub cluster: Option<ClusterId>,
    /// The number of its node; `None` leaves it to the registry.
    pub node: Option<NodeId>,
    /// The store and this start of it.
    pub start: Start,
    /// Where others reach it.
    pub address: String,
    /// Its zone, if it is new.
    pub zone: Option<String>,
    /// The share that it is to have once it is an owner, if it is new.
    pub weight: Option<u32>,
}

/// A store that takes part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admitted {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// The number of the node.
    pub node: NodeId,
    /// The store's id. Not the one that it drew, if it adopted one that was reserved; it must be durable before the store holds
    /// anything.
    pub store: StoreId,
    /// What it is to the ring.
    pub standing: Standing,
    /// The ring that it was seen in.
    pub epoch: Epoch,
}

/// Registers this start of a store, and makes the live entry of its node, which lasts as long as the session. Does nothing if
/// both are there already.
///
/// # Errors
/// [`Error::Verdict`] if this store may not take part, which is for good: an [`Alarm`](super::Alarm) then names it. [`Error::NodeAlive`] while
/// another process holds the node's place.
pub async fn register(session: &dyn Session, joiner: &Joiner, now_ms: u64) -> Result<Admitted, Error> {
    let mut attempts = Attempts::at(paths::RING);
    loop {
        attempts.another()?;
        let registered = read(session, joiner).await?;
        let place = place(&registered, joiner)?;
        let live = access::read::<Live>(session, &paths::live(place.node())?).await?;
        match plan(&registered, &place, live.as_ref(), joiner, session.id(), now_ms) {
            Ok(Plan::Done(admitted)) => return Ok(admitted),
            Ok(Plan::Write(changes)) => {
                access::write(session, changes).await?;
            }
            Err(Refused { error, alarm }) => {
                if let Some((store, alarm)) = alarm {
                    alarms::raise(session, store, *alarm).await?;
                }
                return Err(error);
            }
        }
    }
}

/// Says in the node's live entry by which ring it works from now on. Answers whether that entry is this session's; if not, the
/// node has to [`register`] again.
///
/// # Errors
/// Those of the service.
pub async fn acknowledge(session: &dyn Session, node: NodeId, epoch: Epoch) -> Result<bool, Error> {
    let path = paths::live(node)?;
    let mut attempts = Attempts::at(paths::LIVE);
    loop {
        attempts.another()?;
        let Some(live) = access::read::<Live>(session, &path).await? else { return Ok(false) };
        if live.stat.owner != Some(session.id()) {
            return Ok(false);
        }
        if live.value.epoch == Some(epoch) {
            return Ok(true);
        }
        let acknowledged = Live { epoch: Some(epoch), ..live.value };
        access::write(session, vec![access::set(path.clone(), &acknowledged, &live.stat)?]).await?;
    }
}

/// What is there to decide on. Only a store that belongs to no cluster yet may be one of many.
async fn read(session: &dyn Session, joiner: &Joiner) -> Result<Registered, Error> {
    let cluster = access::read(session, &paths::path(paths::CLUSTER)?).await?.ok_or(Error::NotFounded)?;
    let ring = access::read(session, &paths::path(paths::RING)?).await?.ok_or(Error::NotFounded)?;
    let mut registered = Registered { cluster: cluster.value, ring, stores: Default::default() };
    let stores = match joiner.cluster {
        Some(_) => vec![joiner.start.store],
        None => {
            let names = access::names(session, &paths::path(paths::STORES)?).await?;
            names.iter().filter_map(|name| name.parse().ok()).collect()
        }
    };
    for store in stores {
        if let Some(record) = access::read(session, &paths::store(store)?).await? {
            registered.stores.insert(store, record);
        }
    }
    Ok(registered)
}
