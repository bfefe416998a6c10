//! What actions make of the members.

use std::collections::BTreeMap;

use crate::core::id::{NodeId, StoreId};
use crate::core::ring::Member;

use super::{Action, Refusal, Standing};

/// A member, as far as a change is concerned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Party {
    /// Its store.
    pub store: StoreId,
    /// The node that serves it, or served it.
    pub node: NodeId,
    /// Members of one zone fail together.
    pub zone: String,
    /// The share of the partitions that it has, or is to have as an owner.
    pub weight: u32,
    /// What it is to the ring.
    pub standing: Standing,
    /// Whether its node holds a session with this store.
    pub is_live: bool,
}

impl Party {
    /// The weight by which partitions are placed on it.
    pub fn share(&self) -> u32 {
        if self.standing.may_own() { self.weight } else { 0 }
    }

    pub(super) fn placed(&self) -> Member {
        let (store, node, zone) = (self.store, self.node, self.zone.clone());
        Member { store, node, address: String::new(), zone, weight: self.share() }
    }
}

/// The members as they should be.
pub(super) struct Applied {
    pub parties: Vec<Party>,
    /// Who takes whose places.
    pub swaps: BTreeMap<StoreId, StoreId>,
    pub refusals: Vec<Refusal>,
}

/// Applies actions one after the other. What is refused changes nothing, unless it can be forced.
pub(super) fn apply(parties: &[Party], actions: &[Action]) -> Applied {
    let mut applied = Applied { parties: parties.to_vec(), swaps: BTreeMap::new(), refusals: vec![] };
    for action in actions {
        if let Err(refusal) = applied.apply(action) {
            applied.refusals.push(refusal);
        }
    }
    for party in &applied.parties {
        let joins = |action: &Action| matches!(action, Action::Join { node } | Action::Replace { by: node, .. } if *node == party.node);
        if party.standing == Standing::Owner && party.weight == 0 && actions.iter().any(joins) {
            applied.refusals.push(Refusal::Weightless { node: party.node });
        }
    }
    applied
}

impl Applied {
    fn apply(&mut self, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::Join { node } => {
                let party = self.guest(*node)?;
                party.standing = Standing::Owner;
                if party.is_live { Ok(()) } else { Err(Refusal::Down { node: *node }) }
            }
            Action::Leave { node } => {
                let party = self.member(*node)?;
                party.standing = Standing::Leaving;
                if party.is_live { Ok(()) } else { Err(Refusal::Down { node: *node }) }
            }
            Action::Remove { node } => self.remove(*node),
            Action::Replace { node, by } => self.replace(*node, *by),
            Action::Set { node, weight, zone } => {
                let party = self.member(*node)?;
                party.weight = weight.unwrap_or(party.weight);
                party.zone = zone.clone().unwrap_or_else(|| party.zone.clone());
                Ok(())
            }
        }
    }

    fn remove(&mut self, node: NodeId) -> Result<(), Refusal> {
        let mut of_node = self.parties.iter_mut().filter(|party| party.node == node).peekable();
        if of_node.peek().is_none() {
            return Err(Refusal::Unknown { node });
        }
        let mut is_live = false;
        for party in of_node {
            party.standing = Standing::Removed;
            is_live |= party.is_live;
        }
        if is_live { Err(Refusal::Alive { node }) } else { Ok(()) }
    }

    fn replace(&mut self, node: NodeId, by: NodeId) -> Result<(), Refusal> {
        let Party { standing, store: old, is_live: old_lives, .. } = *self.member(node)?;
        if standing != Standing::Owner {
            return Err(Refusal::NothingToReplace { node });
        }
        let new = self.guest(by)?;
        new.standing = Standing::Owner;
        let (new, new_lives) = (new.store, new.is_live);
        self.member(node)?.standing = if old_lives { Standing::Leaving } else { Standing::Removed };
        self.swaps.insert(old, new);
        if new_lives { Ok(()) } else { Err(Refusal::Down { node: by }) }
    }

    /// The member that a node serves.
    fn member(&mut self, node: NodeId) -> Result<&mut Party, Refusal> {
        let served = |party: &&mut Party| party.node == node && party.standing != Standing::Replaced;
        self.parties.iter_mut().find(served).ok_or(Refusal::Unknown { node })
    }

    fn guest(&mut self, node: NodeId) -> Result<&mut Party, Refusal> {
        let member = self.member(node)?;
        if member.standing == Standing::Guest { Ok(member) } else { Err(Refusal::NotAGuest { node }) }
    }
}
