//! What the nodes of the tree hold, as JSON.
//!
//! A newer version may add fields. They are carried along (`rest`), so that an older one that changes a record does not lose
//! them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::bucket::Bucket;
use crate::core::id::{ClusterId, Epoch, NodeId, Start, StoreId};
use crate::core::ring::{Member, Ring, Slice};

pub use crate::core::ring::change::Standing;

/// Fields that this version does not know.
pub type Rest = serde_json::Map<String, serde_json::Value>;

/// `/kv/cluster`: what was decided when the cluster was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Drawn at random by the founder.
    pub id: ClusterId,
    /// Its name.
    pub name: String,
    /// Q.
    pub partitions: u32,
    /// Owners of each partition.
    pub replication: u8,
    /// How many forced recoveries the service has been through.
    pub generation: u32,
    /// The nodes whose stores vote in the embedded service.
    pub voters: Vec<NodeId>,
    /// After how many milliseconds a node that is down is taken to be gone; `None` leaves that to operators.
    #[serde(default)]
    pub auto_remove_after_ms: Option<u64>,
    /// When it was founded, in milliseconds since 1970 by the founder's clock.
    pub made_ms: u64,
    /// Of newer versions.
    #[serde(flatten)]
    pub rest: Rest,
}

/// `/kv/ring`: who is in the cluster. Every change of it, and of the buckets, raises the epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RingRecord {
    /// Its age.
    pub epoch: Epoch,
    /// The stores, in the order in which they came.
    pub members: Vec<RingMember>,
    /// Who has each partition, by the members' numbers in that list.
    #[serde(default)]
    pub slices: Vec<Slice<u16>>,
    /// Of newer versions.
    #[serde(flatten)]
    pub rest: Rest,
}

impl RingRecord {
    /// The slices of a ring by the members' numbers in `members`, which has them all.
    pub fn slices_of(ring: &Ring, members: &[RingMember]) -> Vec<Slice<u16>> {
        let number = |store: StoreId| members.iter().position(|member| member.store == store).map(|i| i as u16);
        let numbers: Vec<Option<u16>> = ring.members().iter().map(|member| number(member.store)).collect();
        ring.slices().iter().filter_map(|slice| slice.rename(|&i| numbers[i as usize])).collect()
    }

    /// Its slices by the stores; one that names nobody that is there is left out, as no writer leaves one.
    pub fn named_slices(&self) -> Vec<Slice> {
        let store = |&number: &u16| self.members.get(number as usize).map(|member| member.store);
        self.slices.iter().filter_map(|slice| slice.rename(store)).collect()
    }

    /// The same ring with other slices, which name no strangers.
    pub(super) fn with_slices(self, slices: &[Slice]) -> RingRecord {
        let stores = self.members.iter().enumerate().map(|(number, member)| (member.store, number as u16));
        let numbers: BTreeMap<StoreId, u16> = stores.collect();
        let slices = slices.iter().filter_map(|slice| slice.rename(|store| numbers.get(store).copied())).collect();
        RingRecord { slices, ..self }
    }

    /// Whether a partition names this store.
    pub fn names(&self, store: StoreId) -> bool {
        let number = self.members.iter().position(|member| member.store == store);
        number.is_some_and(|number| self.slices.iter().any(|slice| slice.named().any(|&i| i as usize == number)))
    }

    /// Takes out a member that no partition names; those behind it move up.
    pub fn remove(&mut self, store: StoreId) {
        let Some(gone) = self.members.iter().position(|member| member.store == store) else { return };
        self.members.remove(gone);
        let moved_up = |&number: &u16| Some(if number as usize > gone { number - 1 } else { number });
        self.slices = self.slices.iter().filter_map(|slice| slice.rename(moved_up)).collect();
    }
}

/// A store that the ring names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RingMember {
    /// The store.
    pub store: StoreId,
    /// The node that serves it, or served it.
    pub node: NodeId,
    /// Where others reach that node.
    pub address: String,
    /// Members of one zone fail together.
    pub zone: String,
    /// The share of the partitions that it has, or is to have once it is an owner.
    pub weight: u32,
    /// What it is to the ring.
    pub standing: Standing,
    /// Of newer versions.
    #[serde(flatten)]
    pub rest: Rest,
}

impl RingMember {
    /// Whether the node serves this store now.
    pub fn is_present(&self) -> bool {
        self.standing != Standing::Replaced
    }

    /// The member as placement sees it. Who may not own has no weight. A replaced store is served by no node, which is node 0, as
    /// everywhere; its address stays, since nobody else answers there for that store.
    pub fn placed(&self) -> Member {
        Member {
            store: self.store,
            node: if self.is_present() { self.node } else { NodeId(0) },
            address: self.address.clone(),
            zone: self.zone.clone(),
            weight: if matches!(self.standing, Standing::Owner | Standing::Replaced) { self.weight } else { 0 },
        }
    }
}

/// `/kv/stores/STORE`: a store that is or was in the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoreRecord {
    /// The node that serves it, or served it.
    pub node: NodeId,
    /// Its latest start that was registered; 0 before the first.
    pub start: u64,
    /// What was drawn for that start.
    pub nonce: u64,
    /// What has become of it.
    pub state: StoreState,
    /// Whoever adopted this id had drawn that one for itself; says so again if the answer never reached it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<StoreId>,
    /// The store that its node serves instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<StoreId>,
    /// Since when it is in this state, in milliseconds since 1970 by the clock of whoever changed it.
    pub since_ms: u64,
    /// Since when its node holds no session, as whoever drives noticed, in milliseconds since 1970 by that clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since_ms: Option<u64>,
    /// On what terms it was in the ring when it went out, should it return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Was>,
    /// Of newer versions.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What the ring said of a member that went out of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Was {
    /// Where others reached its node.
    pub address: String,
    /// Its zone.
    pub zone: String,
    /// Its weight.
    pub weight: u32,
}

/// What has become of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// Its id was drawn by the founder for a node that has not come yet.
    Reserved,
    /// A node serves it. One that the founder named may not have registered a start yet.
    Member,
    /// Its node came with another store.
    Replaced,
    /// It handed over what it had and went out of the ring. Started again it is a guest.
    Left,
    /// It was taken to be gone, and others have what it owned. If it returns it is a guest, delivers what it holds, and drops that.
    Removed,
    /// An operator declared its data destroyed: it is refused for ever.
    Forgotten,
}

impl StoreState {
    /// Whether a ring change waits for what it says.
    pub fn is_awaited(self) -> bool {
        matches!(self, StoreState::Reserved | StoreState::Member)
    }

    /// Whether what it held is gone for good, so that nobody waits for it.
    pub fn is_lost(self) -> bool {
        matches!(self, StoreState::Replaced | StoreState::Forgotten)
    }

    /// Whether it went out of the ring and may come back.
    pub fn is_absent(self) -> bool {
        matches!(self, StoreState::Left | StoreState::Removed)
    }
}

/// `/kv/live/NODE`, ephemeral: a node that holds a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Live {
    /// Its store.
    pub store: StoreId,
    /// Which start of it.
    pub start: u64,
    /// What was drawn for that start.
    pub nonce: u64,
    /// Where it says that it is reached.
    pub address: String,
    /// The ring that it works with; `None` until it has loaded one in this session.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// Of newer versions.
    #[serde(flatten)]
    pub rest: Rest,
}

impl Live {
    /// Which start of which store that is.
    pub fn start(&self) -> Start {
        Start { store: self.store, number: self.start, nonce: self.nonce }
    }
}

/// `/kv/buckets/NAME`: a bucket with properties of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BucketRecord {
    /// All of them; what is left out has its built-in default.
    pub properties: Bucket,
    /// The epoch of the ring that brought them.
    pub epoch: Epoch,
    /// Of newer versions.
    #[serde(flatten)]
    pub rest: Rest,
}

/// `/kv/alarms/STORE`: a copy of this store called, and was refused. The latest one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// What the copy is.
    pub kind: AlarmKind,
    /// The node whose store it is a copy of.
    pub node: NodeId,
    /// Where the copy said that it is reached.
    pub address: String,
    /// The start that it showed.
    pub start: u64,
    /// What was drawn for that start.
    pub nonce: u64,
    /// The latest start that was registered.
    pub registered: u64,
    /// When it first called so, in milliseconds since 1970 by its own clock.
    pub since_ms: u64,
    /// Of newer versions.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Why a copy was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// It shows a start that is long past.
    RolledBack,
    /// It runs beside the original.
    Cloned,
    /// Its node has come with another store since.
    Replaced,
}
