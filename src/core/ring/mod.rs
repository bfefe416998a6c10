//! Who owns what.
//!
//! The token space is cut into Q equal partitions (Dynamo's third strategy). The ring gives each partition an ordered
//! list of distinct owners, the *primaries*, in fixed *places*; all other members follow as *fallbacks* in
//! an order of the partition's own. A ring is an immutable value: a change makes a new one with a higher epoch.
//!
//! [`placement`] chooses the owners, [`preference`] the order in which a key's replicas are asked. Both follow one
//! order of all members that each partition has for itself, by weighted rendezvous hashing (`rendezvous`); how much
//! each member should own is worked out before (`share`).
//!
//! A ring remembers its owners: they are placed once, when the cluster is made, and from then on move partition by partition, in the
//! steps that [`mod@slice`] tells of. What a request goes by at each step is the partition's [`Route`].

pub mod assign;
pub mod change;
#[cfg(test)]
mod fixture;
pub mod placement;
pub mod preference;
mod rendezvous;
pub mod route;
mod share;
pub mod slice;

use serde::{Deserialize, Serialize};

use super::id::{Epoch, NodeId, Partition, StoreId};
use super::key::Key;

pub use assign::{AssignError, assign};
pub use preference::PreferenceList;
pub use route::Route;
pub use slice::{Motion, Slice};

/// Partitions of a new cluster.
pub const PARTITIONS_DEFAULT: u32 = 256;
/// The most partitions a cluster may have.
pub const PARTITIONS_MAX: u32 = 1 << 16;
/// Owners of each partition in a new cluster.
pub const REPLICATION_DEFAULT: u8 = 3;

/// A member of the cluster, as the ring knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Its data directory. What the ring names.
    pub store: StoreId,
    /// The node that serves this store.
    pub node: NodeId,
    /// Where others reach it: `host:port`, resolved again at each reconnect.
    pub address: String,
    /// Members of one zone fail together; owners are spread over zones.
    pub zone: String,
    /// Its share of the partitions, relative to the others'. Zero owns nothing.
    pub weight: u32,
}

/// Who owns what, at one epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ring {
    /// Its age.
    pub epoch: Epoch,
    /// Owners of each partition.
    pub replication: u8,
    /// All members, by store.
    members: Vec<Member>,
    /// For each partition who has it, as indices into `members`.
    slices: Vec<Slice<u16>>,
}

/// Why there can be no such ring.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RingError {
    /// Q must be a power of two, at most [`PARTITIONS_MAX`].
    #[error("{0} partitions: must be a power of two from 1 to {PARTITIONS_MAX}")]
    Partitions(u32),
    /// Replication must be at least one.
    #[error("replication is 0: must be at least 1")]
    Replication,
    /// A cluster has at least one member that may own something.
    #[error("no member has a weight above 0")]
    NoMembers,
    /// More members than the ring can index.
    #[error("{0} members: the ring holds at most 65535")]
    TooManyMembers(usize),
    /// Two members claim one store.
    #[error("two members have store {0}")]
    DuplicateStore(StoreId),
    /// A partition names a member that is not there, names one twice, or has no owner.
    #[error("partition {0} cannot have these owners")]
    Owners(Partition),
}

impl Ring {
    /// A ring over `members`, placed from nothing. A cluster smaller than `replication` has that many owners for each
    /// partition: the ring never names a store twice.
    pub fn new(epoch: Epoch, partitions: u32, replication: u8, members: Vec<Member>) -> Result<Ring, RingError> {
        if !partitions.is_power_of_two() || partitions > PARTITIONS_MAX {
            return Err(RingError::Partitions(partitions));
        }
        if members.iter().all(|m| m.weight == 0) {
            return Err(RingError::NoMembers);
        }
        let members = sorted(replication, members)?;
        let slices = placement::place(partitions, replication, &members).into_iter().map(Slice::at_rest).collect();
        Ok(Ring { epoch, replication, members, slices })
    }

    /// A ring with these owners; `slices` names members by their number in `members`.
    pub fn of(epoch: Epoch, replication: u8, members: Vec<Member>, slices: &[Slice<u16>]) -> Result<Ring, RingError> {
        let partitions = slices.len() as u32;
        if !partitions.is_power_of_two() || partitions > PARTITIONS_MAX {
            return Err(RingError::Partitions(partitions));
        }
        let stores: Vec<StoreId> = members.iter().map(|member| member.store).collect();
        let members = sorted(replication, members)?;
        let place = |store: &StoreId| members.binary_search_by_key(store, |m| m.store).ok().map(|i| i as u16);
        let renamed = slices.iter().enumerate().map(|(p, slice)| {
            let slice = slice.rename(|&number| stores.get(number as usize).and_then(place));
            let is_sound = |slice: &Slice<u16>| {
                !slice.owners.is_empty() && are_distinct(&slice.owners) && are_distinct(slice.others())
            };
            slice.filter(is_sound).ok_or(RingError::Owners(Partition(p as u16)))
        });
        let slices = renamed.collect::<Result<_, _>>()?;
        Ok(Ring { epoch, replication, members, slices })
    }

    /// Q.
    pub fn partitions(&self) -> u32 {
        self.slices.len() as u32
    }

    /// The partition of a key.
    pub fn partition_of(&self, key: &Key) -> Partition {
        key.token().partition(self.partitions())
    }

    /// The owners of a partition that are read from, in the order of their places.
    pub fn owners(&self, partition: Partition) -> impl ExactSizeIterator<Item = &Member> + Clone {
        self.members_of(&self.numbered(partition).owners)
    }

    /// While a partition changes hands, the other owners that a write must reach, in the order of their places.
    pub fn others(&self, partition: Partition) -> impl ExactSizeIterator<Item = &Member> + Clone {
        self.members_of(self.numbered(partition).others())
    }

    /// Whether `store` has a place among the first `n` of a partition, on either side if it changes hands.
    pub fn owns(&self, store: StoreId, partition: Partition, n: u8) -> bool {
        let mut places = self.owners(partition).take(n as usize).chain(self.others(partition).take(n as usize));
        places.any(|m| m.store == store)
    }

    /// Who has a partition.
    pub fn slice(&self, partition: Partition) -> Slice {
        let store = |&number: &u16| Some(self.members[number as usize].store);
        self.numbered(partition).rename(store).expect("the ring knows whom it names")
    }

    /// When the owners of a partition, or their motion, last changed.
    pub fn since(&self, partition: Partition) -> Epoch {
        self.numbered(partition).since
    }

    /// Every partition's slice, by the members' numbers in [`Ring::members`].
    pub fn slices(&self) -> &[Slice<u16>] {
        &self.slices
    }

    fn numbered(&self, partition: Partition) -> &Slice<u16> {
        &self.slices[partition.0 as usize]
    }

    fn members_of<'a>(&'a self, numbers: &'a [u16]) -> impl ExactSizeIterator<Item = &'a Member> + Clone {
        numbers.iter().map(|&number| &self.members[number as usize])
    }

    /// All members, by store.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member with this store.
    pub fn member(&self, store: StoreId) -> Option<&Member> {
        self.members.binary_search_by_key(&store, |m| m.store).ok().map(|i| &self.members[i])
    }

    /// The member that is this node.
    pub fn node(&self, node: NodeId) -> Option<&Member> {
        self.members.iter().find(|m| m.node == node)
    }

    /// The node that serves a store; node 0, which no configuration may name, for a store that is no member any more.
    pub fn node_of(&self, store: StoreId) -> NodeId {
        self.member(store).map_or(NodeId(0), |m| m.node)
    }
}

/// The members by store, if they can be a ring's.
fn sorted(replication: u8, mut members: Vec<Member>) -> Result<Vec<Member>, RingError> {
    if replication == 0 {
        return Err(RingError::Replication);
    }
    if members.len() > u16::MAX as usize {
        return Err(RingError::TooManyMembers(members.len()));
    }
    members.sort_by_key(|m| m.store);
    match members.windows(2).find(|pair| pair[0].store == pair[1].store) {
        Some(pair) => Err(RingError::DuplicateStore(pair[0].store)),
        None => Ok(members),
    }
}

fn are_distinct(numbers: &[u16]) -> bool {
    numbers.iter().enumerate().all(|(i, number)| !numbers[..i].contains(number))
}
