//! What registering a store changes.

use crate::coordination::tree::{Change, CreateMode, SessionId};
use crate::core::id::{NodeId, Start, StoreId};

use crate::config::NodeEntry;

use super::access::{self, Record};
use super::error::{Error, Verdict};
use super::judge::judge;
use super::paths;
use super::place::{Place, Registered};
use super::records::{Alarm, AlarmKind, Live, Rest, RingMember, RingRecord, Standing, StoreRecord, StoreState, Was};
use super::register::{Admitted, Joiner};

/// What is to be done.
pub(super) enum Plan {
    /// Nothing more.
    Done(Admitted),
    /// All of this or nothing.
    Write(Vec<Change>),
}

/// Why nothing is done.
pub(super) struct Refused {
    pub error: Error,
    /// What operators are told of it, about which store.
    pub alarm: Option<(StoreId, Box<Alarm>)>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused { error, alarm: None }
    }
}

/// Decides what is still to be written so that the store takes part, in one write under conditions.
pub(super) fn plan(
    registered: &Registered,
    place: &Place,
    live: Option<&Record<Live>>,
    joiner: &Joiner,
    session: SessionId,
    now_ms: u64,
) -> Result<Plan, Refused> {
    let (store, node) = (place.store(), place.node());
    let start = Start { store, ..joiner.start };
    let record = registered.stores.get(&store);
    if let Some(record) = record {
        check_start(store, &record.value, live, start, joiner, now_ms)?;
    }
    check_live(live, start, node, joiner)?;

    let mut changes = vec![];
    let claimed_by = (store != joiner.start.store).then_some(joiner.start.store);
    let new = |before: Option<&StoreRecord>| StoreRecord {
        node,
        start: start.number,
        nonce: start.nonce,
        state: StoreState::Member,
        claimed_by: claimed_by.or(before.and_then(|record| record.claimed_by)),
        replaced_by: None,
        down_since_ms: None,
        was: None,
        since_ms: before.filter(|record| record.state == StoreState::Member).map_or(now_ms, |record| record.since_ms),
        rest: before.map(|record| record.rest.clone()).unwrap_or_default(),
    };
    let path = paths::store(store)?;
    match record {
        None => changes.push(access::create(path, &new(None), CreateMode::Persistent)?),
        Some(Record { value, stat, .. }) if new(Some(value)) != *value => {
            changes.push(access::set(path, &new(Some(value)), stat)?);
        }
        Some(_) => {}
    }
    if let Place::Takeover { old, .. } = place
        && let Some(Record { value, stat, .. }) = registered.stores.get(old)
    {
        let replaced =
            StoreRecord { state: StoreState::Replaced, replaced_by: Some(store), since_ms: now_ms, ..value.clone() };
        changes.push(access::set(paths::store(*old)?, &replaced, stat)?);
    }
    let was = record.and_then(|record| record.value.was.as_ref());
    let ring = ring_with(&registered.ring.value, place, was, joiner);
    if ring != registered.ring.value {
        changes.push(access::set(paths::path(paths::RING)?, &ring, &registered.ring.stat)?);
    }
    let is_ours = |live: &&Record<Live>| {
        live.stat.owner == Some(session) && live.value.start() == start && live.value.address == joiner.address
    };
    if live.filter(is_ours).is_none() {
        if let Some(record) = record.filter(|_| changes.is_empty()) {
            // Nothing else in this write says that the store is still what it was.
            changes.push(Change::Check { path: paths::store(store)?, expected: Some(record.stat.version) });
        }
        changes.extend(live_entry(node, start, joiner, live)?);
    }
    if !changes.is_empty() {
        return Ok(Plan::Write(changes));
    }
    let standing = ring.members.iter().find(|member| member.store == store).map_or(Standing::Guest, |m| m.standing);
    let (cluster, name) = (registered.cluster.id, registered.cluster.name.clone());
    Ok(Plan::Done(Admitted { cluster, name, node, store, standing, epoch: ring.epoch }))
}

/// Puts this start's live entry in the place of whatever is there.
fn live_entry(
    node: NodeId,
    start: Start,
    joiner: &Joiner,
    before: Option<&Record<Live>>,
) -> Result<Vec<Change>, Error> {
    let path = paths::live(node)?;
    let delete = before.map(|live| Change::Delete { path: path.clone(), expected: Some(live.stat.version) });
    let entry = Live {
        store: start.store,
        start: start.number,
        nonce: start.nonce,
        address: joiner.address.clone(),
        epoch: None,
        rest: Rest::new(),
    };
    let create = access::create(path, &entry, CreateMode::Ephemeral)?;
    Ok(delete.into_iter().chain([create]).collect())
}

/// Refuses a start that is older than the registered one, or a copy of it.
fn check_start(
    store: StoreId,
    record: &StoreRecord,
    live: Option<&Record<Live>>,
    start: Start,
    joiner: &Joiner,
    now_ms: u64,
) -> Result<(), Refused> {
    let alarm = |kind| Alarm {
        kind,
        node: record.node,
        address: joiner.address.clone(),
        start: start.number,
        nonce: start.nonce,
        registered: record.start,
        since_ms: now_ms,
        rest: Rest::new(),
    };
    // What runs under the same address is this process, or its past.
    let elsewhere = live.map(|live| &live.value).filter(|live| live.store == store && live.address != joiner.address);
    let (verdict, kind) = match (judge(Some(record), start), elsewhere) {
        (Ok(()), _) => return Ok(()),
        (Err(Verdict::RolledBack { .. }), Some(original)) => {
            (Verdict::Cloned { store, address: original.address.clone() }, AlarmKind::Cloned)
        }
        (Err(verdict @ (Verdict::Left { .. } | Verdict::Forgotten { .. })), _) => {
            return Err(Error::from(verdict).into());
        }
        (Err(verdict @ Verdict::Replaced { .. }), _) => (verdict, AlarmKind::Replaced),
        (Err(verdict), _) => (verdict, AlarmKind::RolledBack),
    };
    Err(Refused { error: verdict.into(), alarm: Some((store, alarm(kind).into())) })
}

/// Refuses to take the place of another process that may still run. Of its own store's earlier starts none runs any more if it
/// was reached at the same address: this one listens there now.
fn check_live(live: Option<&Record<Live>>, start: Start, node: NodeId, joiner: &Joiner) -> Result<(), Error> {
    let Some(Record { value: live, .. }) = live else { return Ok(()) };
    if live.start() == start || (live.store == start.store && live.address == joiner.address) {
        return Ok(());
    }
    Err(Error::NodeAlive { node, address: live.address.clone(), store: live.store })
}

/// The ring with this store in it.
fn ring_with(ring: &RingRecord, place: &Place, was: Option<&Was>, joiner: &Joiner) -> RingRecord {
    let mut new = ring.clone();
    match place {
        Place::Known { store, node } if !ring.members.iter().any(|member| member.store == *store) => {
            // It went out of the ring, and is back.
            let NodeEntry { zone, weight, .. } = NodeEntry::new(*node, "");
            let (zone, weight) = was.map_or((zone, weight), |was| (was.zone.clone(), was.weight));
            new.members.push(RingMember { store: *store, ..guest(joiner, *node, &zone, weight) });
        }
        Place::Known { store, .. } | Place::Reserved { store, .. } => {
            let own = new.members.iter_mut().filter(|member| member.store == *store);
            own.for_each(|member| member.address.clone_from(&joiner.address));
        }
        Place::Takeover { old, node, zone, weight, .. } => {
            if !new.names(*old) {
                new.remove(*old);
            }
            let owner = new.members.iter_mut().filter(|member| member.store == *old);
            owner.for_each(|member| member.standing = Standing::Replaced);
            new.members.push(guest(joiner, *node, zone, *weight));
        }
        Place::New { node, zone, weight, .. } => new.members.push(guest(joiner, *node, zone, *weight)),
    }
    if new != *ring {
        new.epoch.counter += 1;
    }
    new
}

fn guest(joiner: &Joiner, node: NodeId, zone: &str, weight: u32) -> RingMember {
    RingMember {
        store: joiner.start.store,
        node,
        address: joiner.address.clone(),
        zone: joiner.zone.clone().unwrap_or_else(|| zone.into()),
        weight: joiner.weight.unwrap_or(weight),
        standing: Standing::Guest,
        rest: Rest::new(),
    }
}
