//! What the tree holds of ring changes, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::ring::change::{Action, Direction, Marks, Moves, Origin, Standing};
use crate::core::ring::{Motion, Slice};

use super::super::records::Rest;

/// `/kv/plan`: what operators have staged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PlanRecord {
    /// In the order in which they are applied.
    pub actions: Vec<Action>,
    /// Of newer versions.
    #[serde(flatten)]
    pub rest: Rest,
}

/// `/kv/change`: the change that runs, or the last one that did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// One more than that of the change before; 1 is the first.
    pub number: u64,
    /// Who committed it.
    pub origin: Origin,
    /// The node through which an operator did, or that did by itself.
    pub through: NodeId,
    /// What it does.
    pub actions: Vec<Action>,
    /// Which way it goes.
    pub direction: Direction,
    /// When it was committed, in milliseconds since 1970 by the clock of that node.
    pub committed_ms: u64,
    /// When nothing was left to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// The members that it changes.
    pub members: Vec<MemberChange>,
    /// The stores that `moves` names.
    pub(super) stores: Vec<StoreId>,
    /// For each partition that it moves the owners before and after, by their numbers in `stores`, written like a slice that is
    /// pending: `0,1>0,2`.
    pub(super) moves: BTreeMap<Partition, Slice<u16>>,
    /// Of newer versions.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What a change makes of a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberChange {
    /// Its store.
    pub store: StoreId,
    /// How it was.
    pub before: Terms,
    /// How it is to be.
    pub after: Terms,
}

/// On what terms a store is in the ring.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// What it is to the ring.
    pub standing: Standing,
    /// Its share.
    pub weight: u32,
    /// Its zone.
    pub zone: String,
}

/// Moves as they are written.
struct Numbered {
    stores: Vec<StoreId>,
    moves: BTreeMap<Partition, Slice<u16>>,
}

impl ChangeRecord {
    /// A change that begins now.
    pub(super) fn begun(
        number: u64,
        (origin, through): (Origin, NodeId),
        actions: Vec<Action>,
        members: Vec<MemberChange>,
        moves: &Moves,
        now_ms: u64,
    ) -> ChangeRecord {
        let Numbered { stores, moves } = numbered(moves);
        ChangeRecord {
            number,
            origin,
            through,
            actions,
            direction: Direction::Forward,
            committed_ms: now_ms,
            ended_ms: None,
            members,
            stores,
            moves,
            rest: Rest::new(),
        }
    }

    /// Whether it is not at its end yet.
    pub fn is_running(&self) -> bool {
        self.ended_ms.is_none()
    }

    /// The partitions that it moves.
    pub fn moves(&self) -> Moves {
        let named = |slice: &Slice<u16>| slice.rename(|&number| self.stores.get(number as usize).copied());
        let both = self.moves.iter().filter_map(|(partition, slice)| {
            let Slice { owners, motion, .. } = named(slice)?;
            Some((*partition, (owners, motion?.others().to_vec())))
        });
        both.collect()
    }

    /// The same change with other moves.
    pub(super) fn with_moves(self, moves: &Moves) -> ChangeRecord {
        let Numbered { stores, moves } = numbered(moves);
        ChangeRecord { stores, moves, ..self }
    }

    /// On what terms a store is in the ring by this change, if it is one that it changes.
    pub fn terms(&self, store: StoreId) -> Option<&Terms> {
        let member = self.members.iter().find(|member| member.store == store)?;
        Some(match self.direction {
            Direction::Forward => &member.after,
            Direction::TurningBack => &member.before,
        })
    }
}

fn numbered(moves: &Moves) -> Numbered {
    let named = moves.values().flat_map(|(before, after)| before.iter().chain(after)).copied();
    let stores: Vec<StoreId> = named.collect::<BTreeSet<_>>().into_iter().collect();
    let number = |named: &[StoreId]| {
        let numbers = named.iter().filter_map(|store| stores.binary_search(store).ok());
        numbers.map(|number| number as u16).collect::<Vec<_>>()
    };
    let slice = |(before, after): &(Vec<StoreId>, Vec<StoreId>)| Slice {
        motion: Some(Motion::Pending(number(after))),
        ..Slice::at_rest(number(before))
    };
    let moves = moves.iter().map(|(partition, both)| (*partition, slice(both))).collect();
    Numbered { stores, moves }
}

/// `/kv/transfers/STORE`: how far a store is, as its node says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TransferRecord {
    /// Partitions at which it arrives and that it holds whole, as of their `since`.
    #[serde(default, with = "by_epoch")]
    pub arrived: Marks,
    /// Partitions that it drained and holds nothing of any more, as of their `since`.
    #[serde(default, with = "by_epoch")]
    pub drained: Marks,
    /// Partitions that it owns and may lack something of: it is no source for them until it has exchanged with all other owners.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needs_sync: BTreeSet<Partition>,
    /// Of newer versions.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Many partitions share an epoch, so that is what they are written under.
mod by_epoch {
    use super::*;
    use serde::de::Error;

    pub fn serialize<S: Serializer>(marks: &Marks, to: S) -> Result<S::Ok, S::Error> {
        let mut epochs: BTreeMap<String, Vec<Partition>> = BTreeMap::new();
        for (partition, epoch) in marks {
            epochs.entry(epoch.to_string()).or_default().push(*partition);
        }
        epochs.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Marks, D::Error> {
        let mut marks = Marks::new();
        for (epoch, partitions) in BTreeMap::<String, Vec<Partition>>::deserialize(from)? {
            let epoch: Epoch = epoch.parse().map_err(D::Error::custom)?;
            marks.extend(partitions.into_iter().map(|partition| (partition, epoch)));
        }
        Ok(marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_small_and_says_it_all() {
        let stores = |of: [u128; 3]| of.map(|i| StoreId(u128::MAX - i)).to_vec();
        let moves: Moves = (0..16_384).map(|p| (Partition(p), (stores([1, 2, 3]), stores([1, 4, 3])))).collect();
        let through = (Origin::Operator, NodeId(1));
        let change = ChangeRecord::begun(1, through, vec![], vec![], &moves, 5);
        let json = serde_json::to_vec(&change).unwrap();
        assert!(json.len() < 1 << 19, "{} bytes", json.len());
        let read: ChangeRecord = serde_json::from_slice(&json).unwrap();
        assert_eq!(read.moves(), moves);
        assert_eq!(read, change);
    }

    #[test]
    fn what_a_store_says_is_small() {
        let epoch = |p: u16| Epoch { generation: 1, counter: 1_000 + u64::from(p / 16) };
        let marks: Marks = (0..16_384).map(|p| (Partition(p), epoch(p))).collect();
        let record = TransferRecord { arrived: marks.clone(), drained: marks, ..TransferRecord::default() };
        let json = serde_json::to_vec(&record).unwrap();
        assert!(json.len() < 1 << 18, "{} bytes", json.len());
        assert_eq!(serde_json::from_slice::<TransferRecord>(&json).unwrap(), record);
    }
}
