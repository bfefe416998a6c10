//! When a node that is down may be removed without an operator.
//!
//! Liveness moves no data, membership does. So a node is removed by itself only if that is plainly right: it was away for long, it is
//! the only one that matters for its partitions, and nothing else is under way.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::core::id::{NodeId, Partition, StoreId};

use super::{Action, Party, Plan, Refusal, Situation, Standing, plan};

/// A member that is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suspect {
    /// Its node.
    pub node: NodeId,
    /// For how many milliseconds.
    pub down_ms: u64,
}

/// Why a node that is down stays in the ring for now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// It may come back any time.
    #[error("it is removed when it has been down for {left_ms} ms more")]
    NotYet {
        /// Milliseconds.
        left_ms: u64,
    },
    /// One change at a time.
    #[error("change {number} is under way")]
    ChangeRuns {
        /// Which.
        number: u64,
    },
    /// Other owners of its partitions are down as well, so that what only they hold cannot be copied.
    #[error("other owners of its partitions are down: nodes {}", list(.nodes))]
    OthersDown {
        /// Which.
        nodes: Vec<NodeId>,
    },
    /// Other owners of its partitions may lack something that only it holds.
    #[error("other owners of its partitions are not in sync: nodes {}", list(.nodes))]
    NotInSync {
        /// Which.
        nodes: Vec<NodeId>,
    },
    /// Too few nodes would stay.
    #[error("{0}")]
    Refused(Refusal),
    /// It owns nothing.
    #[error("it owns nothing and does no harm")]
    Idle,
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
}

/// What removing `suspect` would move, if it may be removed after `after_ms` milliseconds. `unsynced` are partitions that a store has
/// marked as in need of sync, and `running` is the change that is under way.
///
/// # Errors
/// Why not.
pub fn may_remove(
    situation: &Situation,
    suspect: Suspect,
    unsynced: &BTreeSet<(StoreId, Partition)>,
    running: Option<u64>,
    after_ms: u64,
) -> Result<Plan, Hold> {
    let of_node = || situation.parties.iter().filter(|party| party.node == suspect.node);
    let stores: BTreeSet<StoreId> = of_node().map(|party| party.store).collect();
    let of_it = || {
        let owned = situation.owners.iter().enumerate().map(|(p, owners)| (Partition(p as u16), owners));
        owned.filter(|(_, owners)| owners.iter().any(|store| stores.contains(store)))
    };
    // Whoever goes out of the ring by the change that runs owns nothing where that ends, but is not idle before.
    let goes = || of_node().any(|party| matches!(party.standing, Standing::Leaving | Standing::Removed));
    match running {
        Some(number) if goes() => return Err(Hold::ChangeRuns { number }),
        _ if of_it().next().is_none() => return Err(Hold::Idle),
        Some(number) => return Err(Hold::ChangeRuns { number }),
        None => {}
    }
    if suspect.down_ms < after_ms {
        return Err(Hold::NotYet { left_ms: after_ms - suspect.down_ms });
    }
    let others = |holds: &dyn Fn(Partition, &Party) -> bool| {
        let mut nodes = BTreeSet::new();
        for (partition, owners) in of_it() {
            let owning = situation.parties.iter().filter(|p| owners.contains(&p.store) && !stores.contains(&p.store));
            nodes.extend(owning.filter(|party| holds(partition, party)).map(|party| party.node));
        }
        nodes.into_iter().collect::<Vec<_>>()
    };
    let down = others(&|_, party| !party.is_live || party.standing == Standing::Replaced);
    if !down.is_empty() {
        return Err(Hold::OthersDown { nodes: down });
    }
    let lacking = others(&|partition, party| unsynced.contains(&(party.store, partition)));
    if !lacking.is_empty() {
        return Err(Hold::NotInSync { nodes: lacking });
    }
    let stay = situation.parties.iter().filter(|party| party.share() > 0 && !stores.contains(&party.store)).count();
    let owners = situation.owners.iter().map(Vec::len).min().unwrap_or(0);
    if stay < owners.min(situation.replication.into()) {
        // Known without a plan, which is the dear part of this.
        let (before, after, replication) = (owners as u8, stay as u8, situation.replication);
        return Err(Hold::Refused(Refusal::FewerOwners { before, after, replication }));
    }
    let plan = plan(situation, &[Action::Remove { node: suspect.node }]);
    match plan.refusals.first() {
        Some(refusal) => Err(Hold::Refused(refusal.clone())),
        None => Ok(plan),
    }
}
