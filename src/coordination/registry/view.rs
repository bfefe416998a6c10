//! All that the registry knows, at one moment.

use std::collections::BTreeMap;

use crate::coordination::Membership;
use crate::coordination::api::Session;
use crate::coordination::nookeeper::types::{Endpoint, Roster};
use crate::coordination::tree::{Revision, Stat};
use crate::core::bucket::{Bucket, Buckets};
use crate::core::id::{NodeId, Start, StoreId};

use super::access::{self, Attempts, Record};
use super::change::{self, ChangeRecord, PlanRecord, TransferRecord};
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
    /// What operators have staged.
    pub staged: Staged,
    /// The ring change that runs, or the last one that did.
    pub change: Option<ChangeRecord>,
    /// How far stores are in it.
    pub transfers: BTreeMap<StoreId, TransferRecord>,
    /// The newest revision that was read.
    pub revision: Revision,
}

/// What operators have staged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Staged {
    /// Rises with each change of it.
    pub version: u64,
    /// The actions.
    pub record: PlanRecord,
}

/// At which versions the nodes were that a view was read from, as far as ring changes are decided on them; `None` if they were not
/// there.
pub(super) struct Versions {
    pub cluster: Stat,
    pub ring: Stat,
    pub plan: Option<Stat>,
    pub change: Option<Stat>,
    pub stores: BTreeMap<StoreId, Stat>,
    pub transfers: BTreeMap<StoreId, Stat>,
}

/// Reads the registry. It may be old; who needs it current calls [`Session::sync`] before.
///
/// # Errors
/// [`Error::NotFounded`] before there is a cluster.
pub async fn read(session: &dyn Session) -> Result<View, Error> {
    Ok(read_with_versions(session).await?.0)
}

/// Reads the registry, with what a write needs that is decided on it.
pub(super) async fn read_with_versions(session: &dyn Session) -> Result<(View, Versions), Error> {
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
///
/// Who is live and what has been said is read after the ring. A reading never goes back, so it sees everybody who held a session
/// before that ring, with all acknowledgements of it that are old enough; who comes later loads that ring or a newer one.
async fn read_once(session: &dyn Session) -> Result<Option<(View, Versions)>, Error> {
    let (cluster_path, ring_path) = (paths::path(paths::CLUSTER)?, paths::path(paths::RING)?);
    let cluster = access::read(session, &cluster_path).await?.ok_or(Error::NotFounded)?;
    let ring = access::read::<RingRecord>(session, &ring_path).await?.ok_or(Error::NotFounded)?;
    let buckets = super::buckets::read_all(session).await?;
    let again: Record<RingRecord> = access::read(session, &ring_path).await?.ok_or(Error::NotFounded)?;
    if again.stat.version != ring.stat.version {
        return Ok(None);
    }
    let staged = access::read::<PlanRecord>(session, &paths::path(paths::PLAN)?).await?;
    let change = access::read::<ChangeRecord>(session, &paths::path(paths::CHANGE)?).await?;
    let stores: Records<_, StoreRecord> = below(session, paths::STORES, |name| name.parse().ok()).await?;
    let live: Records<_, Live> = below(session, paths::LIVE, |name| name.parse().ok().map(NodeId)).await?;
    let alarms: Records<_, Alarm> = below(session, paths::ALARMS, |name| name.parse().ok()).await?;
    let transfers: Records<_, TransferRecord> = below(session, paths::TRANSFERS, |name| name.parse().ok()).await?;
    let versions = Versions {
        cluster: cluster.stat,
        ring: again.stat,
        plan: staged.as_ref().map(|record| record.stat.clone()),
        change: change.as_ref().map(|record| record.stat.clone()),
        stores: stores.iter().map(|(store, record)| (*store, record.stat.clone())).collect(),
        transfers: transfers.iter().map(|(store, record)| (*store, record.stat.clone())).collect(),
    };
    let properties = |(name, record): (String, BucketRecord)| (name, record.properties);
    let view = View {
        cluster: cluster.value,
        ring: again.value,
        buckets: buckets.into_iter().map(properties).collect(),
        stores: values(stores),
        live: values(live),
        alarms: values(alarms),
        staged: Staged {
            version: change::staged_version(staged.as_ref()),
            record: staged.map(|record| record.value).unwrap_or_default(),
        },
        change: change.map(|record| record.value),
        transfers: values(transfers),
        revision: again.revision,
    };
    Ok(Some((view, versions)))
}

type Records<K, T> = BTreeMap<K, Record<T>>;

fn values<K: Ord, T>(records: Records<K, T>) -> BTreeMap<K, T> {
    records.into_iter().map(|(key, record)| (key, record.value)).collect()
}

/// All records below a node, by what their names say. A name that says nothing is somebody else's.
async fn below<K: Ord, T: serde::de::DeserializeOwned>(
    session: &dyn Session,
    folder: &str,
    key: impl Fn(&str) -> Option<K>,
) -> Result<Records<K, T>, Error> {
    let folder = paths::path(folder)?;
    let mut records = BTreeMap::new();
    for name in access::names(session, &folder).await? {
        let Some(key) = key(&name) else { continue };
        let path = paths::path(&format!("{folder}/{name}"))?;
        // It may have vanished since.
        if let Some(record) = access::read(session, &path).await? {
            records.insert(key, record);
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
    /// reserved, which nobody has, never counts in a majority. One that went out of the ring may return, and has to hear of things in
    /// order to say so.
    pub fn roster(&self) -> Roster {
        let has_come = |store| self.stores.get(&store).is_some_and(|record| record.state == StoreState::Member);
        let served = || self.ring.members.iter().filter(|member| member.is_present() && has_come(member.store));
        let endpoint = |member: &RingMember| Endpoint { node: member.node.0, address: member.address.clone() };
        let votes = |member: &&RingMember| self.cluster.voters.contains(&member.node);
        let absent = self.stores.iter().filter(|(_, record)| record.state.is_absent());
        let may_return = absent.filter_map(|(store, StoreRecord { node, was, .. })| {
            let (node, address) = (node.0, was.as_ref()?.address.clone());
            self.present(NodeId(node)).is_none().then_some((*store, Endpoint { node, address }))
        });
        Roster {
            members: served().map(|member| (member.store, endpoint(member))).chain(may_return).collect(),
            voters: served().filter(votes).map(|member| member.store).collect(),
        }
    }

    /// The store that a node serves, or is to serve.
    pub fn present(&self, node: NodeId) -> Option<&RingMember> {
        self.ring.members.iter().find(|member| member.node == node && member.is_present())
    }

    /// The ring change that runs.
    pub fn running(&self) -> Option<&ChangeRecord> {
        self.change.as_ref().filter(|change| change.is_running())
    }

    /// Whether a member's node holds a session with that store.
    pub fn is_live(&self, member: &RingMember) -> bool {
        self.live.get(&member.node).is_some_and(|live| live.store == member.store)
    }

    /// The latest start of a store that was registered.
    pub fn registered(&self, store: StoreId) -> Option<Start> {
        self.stores.get(&store).map(|record| Start { store, number: record.start, nonce: record.nonce })
    }
}
