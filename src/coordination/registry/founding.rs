//! Making a cluster, once.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::config::NodeEntry;
use crate::coordination::api::Session;
use crate::coordination::tree::{Change, CreateMode};
use crate::core::bucket::Bucket;
use crate::core::id::{ClusterId, Epoch, NodeId, StoreId};
use crate::core::key::DEFAULT_BUCKET;
use crate::core::ring::{Ring, Slice};

use super::access::{self, Attempts, Written};
use super::error::Error;
use super::paths;
use super::records::{BucketRecord, ClusterRecord, Rest, RingMember, RingRecord, Standing, StoreRecord, StoreState};

/// The epoch of a cluster's first ring.
const FIRST: Epoch = Epoch { generation: 0, counter: 1 };

/// What the founder of a cluster decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Founding {
    /// Drawn at random, by the founder alone. Founding again with the same id changes nothing.
    pub id: ClusterId,
    /// The cluster's name.
    pub name: String,
    /// Q.
    pub partitions: u32,
    /// Owners of each partition.
    pub replication: u8,
    /// The first members, with the stores of those that are known: these are members from the beginning. The others' ids are drawn
    /// now, and reserved.
    pub nodes: Vec<(NodeEntry, Option<StoreId>)>,
    /// The nodes whose stores vote in the embedded service.
    pub voters: Vec<NodeId>,
    /// After how many milliseconds a node that is down is taken to be gone; `None` leaves that to operators.
    pub auto_remove_after_ms: Option<u64>,
    /// Buckets with properties of their own; `default` is added if it is left out.
    pub buckets: BTreeMap<String, Bucket>,
}

/// Founds the cluster: all of it in one write, or nothing. `now_ms` is the time since 1970; `draw` gives random ids.
///
/// # Errors
/// [`Error::OtherCluster`] if the service keeps one already that has another id, [`Error::Invalid`] if it could not work.
pub async fn found(
    session: &dyn Session,
    founding: &Founding,
    now_ms: u64,
    draw: &mut (dyn FnMut() -> StoreId + Send),
) -> Result<ClusterRecord, Error> {
    let records = records(founding, now_ms, draw)?;
    let cluster = paths::path(paths::CLUSTER)?;
    let mut attempts = Attempts::at(paths::CLUSTER);
    loop {
        attempts.another()?;
        if let Some(kept) = access::read::<ClusterRecord>(session, &cluster).await? {
            return match kept.value {
                ours if ours.id == founding.id => Ok(ours),
                ClusterRecord { id, name, .. } => Err(Error::OtherCluster { id, name }),
            };
        }
        let mut changes = vec![];
        for folder in paths::FOLDERS {
            let path = paths::path(folder)?;
            if session.exists(&path).await.map_err(Error::from)?.value.is_none() {
                changes.push(Change::Create { path, data: Bytes::new(), mode: CreateMode::Persistent });
            }
        }
        changes.extend(records.iter().cloned());
        if access::write(session, changes).await? == Written::Yes {
            log::info!("founded cluster '{}' with id {}", founding.name, founding.id);
        }
    }
}

/// Raises the generation of ring and cluster after the embedded service was recovered by force, so that nothing decided before it
/// passes for newer. One that is not higher changes nothing.
///
/// # Errors
/// [`Error::NotFounded`] before there is a cluster.
pub async fn recovered(session: &dyn Session, generation: u32) -> Result<(), Error> {
    let (cluster_path, ring_path) = (paths::path(paths::CLUSTER)?, paths::path(paths::RING)?);
    let mut attempts = Attempts::at(paths::CLUSTER);
    loop {
        attempts.another()?;
        let cluster = access::read::<ClusterRecord>(session, &cluster_path).await?.ok_or(Error::NotFounded)?;
        let ring = access::read::<RingRecord>(session, &ring_path).await?.ok_or(Error::NotFounded)?;
        if cluster.value.generation >= generation {
            return Ok(());
        }
        let epoch = Epoch { generation, counter: ring.value.epoch.counter + 1 };
        let changes = vec![
            access::set(cluster_path.clone(), &ClusterRecord { generation, ..cluster.value }, &cluster.stat)?,
            access::set(ring_path.clone(), &RingRecord { epoch, ..ring.value }, &ring.stat)?,
        ];
        if access::write(session, changes).await? == Written::Yes {
            return Ok(());
        }
    }
}

/// All records of a new cluster, as one write would create them.
fn records(founding: &Founding, now_ms: u64, draw: &mut (dyn FnMut() -> StoreId + Send)) -> Result<Vec<Change>, Error> {
    let cluster = ClusterRecord {
        id: founding.id,
        name: founding.name.clone(),
        partitions: founding.partitions,
        replication: founding.replication,
        generation: FIRST.generation,
        voters: founding.voters.clone(),
        auto_remove_after_ms: founding.auto_remove_after_ms,
        made_ms: now_ms,
        rest: Rest::new(),
    };
    let members: Vec<RingMember> = founding.nodes.iter().map(|(entry, store)| member(entry, *store, draw)).collect();
    let slices = placed(founding, &members)?;
    let persistent = CreateMode::Persistent;
    let ring = RingRecord { epoch: FIRST, members, slices, rest: Rest::new() };
    let mut changes = vec![access::create(paths::path(paths::CLUSTER)?, &cluster, persistent)?];
    for (RingMember { store, node, .. }, (_, known)) in ring.members.iter().zip(&founding.nodes) {
        let record = StoreRecord {
            node: *node,
            start: 0,
            nonce: 0,
            state: if known.is_some() { StoreState::Member } else { StoreState::Reserved },
            claimed_by: None,
            replaced_by: None,
            since_ms: now_ms,
            down_since_ms: None,
            was: None,
            rest: Rest::new(),
        };
        changes.push(access::create(paths::store(*store)?, &record, persistent)?);
    }
    let mut buckets = founding.buckets.clone();
    buckets.entry(DEFAULT_BUCKET.into()).or_default();
    for (name, properties) in buckets {
        super::buckets::check(&name, &properties, founding.replication)?;
        let record = BucketRecord { properties, epoch: FIRST, rest: Rest::new() };
        changes.push(access::create(paths::bucket(&name)?, &record, persistent)?);
    }
    changes.push(access::create(paths::path(paths::RING)?, &ring, persistent)?);
    Ok(changes)
}

fn member(entry: &NodeEntry, store: Option<StoreId>, draw: &mut (dyn FnMut() -> StoreId + Send)) -> RingMember {
    let standing = if entry.weight > 0 { Standing::Owner } else { Standing::Guest };
    RingMember {
        store: store.unwrap_or_else(draw),
        node: entry.id,
        address: entry.address.clone(),
        zone: entry.zone.clone(),
        weight: entry.weight,
        standing,
        rest: Rest::new(),
    }
}

/// Who has each partition in the beginning.
///
/// # Errors
/// [`Error::Invalid`] for what could never work.
fn placed(founding: &Founding, members: &[RingMember]) -> Result<Vec<Slice<u16>>, Error> {
    let refuse = |reason: String| Err(Error::Invalid { reason });
    let nodes: BTreeSet<NodeId> = members.iter().map(|member| member.node).collect();
    if nodes.len() < members.len() || nodes.contains(&NodeId(0)) {
        return refuse("the nodes must have different numbers, from 1".into());
    }
    if let Some(stranger) = founding.voters.iter().find(|voter| !nodes.contains(voter)) {
        return refuse(format!("node {stranger} is to vote but is not among the nodes"));
    }
    let owners = members.iter().map(RingMember::placed).collect();
    match Ring::new(FIRST, founding.partitions, founding.replication, owners) {
        Ok(ring) => Ok(RingRecord::slices_of(&ring, members)),
        Err(error) => refuse(error.to_string()),
    }
}
