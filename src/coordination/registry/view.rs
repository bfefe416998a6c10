//! All that the registry knows, at one moment.

use std::collections::BTreeMap;

use crate::coordination::Membership;
use crate::coordination::api::Session;
use crate::coordination::nookeeper::types::{Endpoint, Roster};
use crate::coordination::tree::Revision;
use crate::core::bucket::{Bucket, Buckets};
use crate::core::id::{NodeId, Start, StoreId};

use super::access::{self, Attempts, Record};
use super::error::Error;
use super::paths;
use super::records::{Alarm, BucketRecord, ClusterRecord, Live, RingMember, RingRecord, StoreRecord, StoreState};

/// The registry as it was read.
///
/// Ring and buckets belong together: they are of one epoch. The rest may be older or newer by a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// The cluster as it was founded.
    pub cluster: ClusterRecord,
    /// Who is in it.
    pub ring: RingRecord,
    /// The buckets with properties of their own; `default` holds for all others.
    pub buckets: BTreeMap<String, Bucket>,
    /// Every store that is or was in it.
    pub stores: BTreeMap<StoreId, StoreRecord>,
    /// The nodes that hold a session.
    pub live: BTreeMap<NodeId, Live>,
    /// Stores whose copies called and were refused.
    pub alarms: BTreeMap<StoreId, Alarm>,
    /// The newest revision that was read.
    pub revision: Revision,
}

/// Reads the registry. It may be old; who needs it current calls [`Session::sync`] before.
///
/// # Errors
/// [`Error::NotFounded`] before there is a cluster.
pub async fn read(session: &dyn Session) -> Result<View, Error> {
    let mut attempts = Attempts::at(paths::RING);
    loop {
        attempts.another()?;
        if let Some(view) = read_once(session).await? {
            return Ok(view);
        }
    }
}

/// Reads everything; `None` if the ring changed meanwhile.
///
/// Whoever changes a bucket raises the epoch in the same write. So buckets that were read between two readings of
/// the same ring are that ring's.
async fn read_once(session: &dyn Session) -> Result<Option<View>, Error> {
    let (cluster_path, ring_path) = (paths::path(paths::CLUSTER)?, paths::path(paths::RING)?);
    let cluster = access::read(session, &cluster_path).await?.ok_or(Error::NotFounded)?;
    let ring = access::read::<RingRecord>(session, &ring_path).await?.ok_or(Error::NotFounded)?;
    let buckets = super::buckets::read_all(session).await?;
    let again: Record<RingRecord> = access::read(session, &ring_path).await?.ok_or(Error::NotFounded)?;
    if again.stat.version != ring.stat.version {
        return Ok(None);
    }
    let stores = below(session, paths::STORES, |name| name.parse().ok()).await?;
    let live = below(session, paths::LIVE, |name| name.parse().ok().map(NodeId)).await?;
    let alarms = below(session, paths::ALARMS, |name| name.parse().ok()).await?;
    let properties = |(name, record): (String, BucketRecord)| (name, record.properties);
    Ok(Some(View {
        cluster: cluster.value,
        ring: again.value,
        buckets: buckets.into_iter().map(properties).collect(),
        stores,
        live,
        alarms,
        revision: again.revision,
    }))
}

/// All records below a node, by what their names say. A name that says nothing is somebody else's.
async fn below<K: Ord, T: serde::de::DeserializeOwned>(
    session: &dyn Session,
    folder: &str,
    key: impl Fn(&str) -> Option<K>,
) -> Result<BTreeMap<K, T>, Error> {
    let folder = paths::path(folder)?;
    let mut records = BTreeMap::new();
    for name in access::names(session, &folder).await? {
        let Some(key) = key(&name) else { continue };
        let path = paths::path(&format!("{folder}/{name}"))?;
        // It may have vanished since.
        if let Some(record) = access::read(session, &path).await? {
            records.insert(key, record.value);
        }
    }
    Ok(records)
}

impl View {
    /// What the node makes its ring of.
    pub fn membership(&self) -> Membership {
        Membership {
            epoch: self.ring.epoch,
            partitions: self.cluster.partitions,
            replication: self.cluster.replication,
            members: self.ring.members.iter().map(RingMember::placed).collect(),
            slices: self.ring.slices.clone(),
            buckets: Buckets::new(&self.buckets),
        }
    }

    /// Who should take part in the embedded service: all stores that are served, and as voters those of the voting
    /// nodes. So a voter that lost its store votes on under its new one, once that is registered; and a store that is merely
    /// reserved, which nobody has, never counts in a majority.
    pub fn roster(&self) -> Roster {
        let has_come = |store| self.stores.get(&store).is_some_and(|record| record.state == StoreState::Member);
        let served = || self.ring.members.iter().filter(|member| member.is_present() && has_come(member.store));
        let endpoint = |member: &RingMember| Endpoint { node: member.node.0, address: member.address.clone() };
        let votes = |member: &&RingMember| self.cluster.voters.contains(&member.node);
        Roster {
            members: served().map(|member| (member.store, endpoint(member))).collect(),
            voters: served().filter(votes).map(|member| member.store).collect(),
        }
    }

    /// The store that a node serves, or is to serve.
    pub fn present(&self, node: NodeId) -> Option<&RingMember> {
        self.ring.members.iter().find(|member| member.node == node && member.is_present())
    }

    /// The latest start of a store that was registered.
    pub fn registered(&self, store: StoreId) -> Option<Start> {
        self.stores.get(&store).map(|record| Start { store, number: record.start, nonce: record.nonce })
    }
}
