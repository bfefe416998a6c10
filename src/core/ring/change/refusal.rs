//! What speaks against a plan.

use serde::{Deserialize, Serialize};

use crate::core::id::NodeId;

/// Why a plan should not, or cannot, be committed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Nothing would be different.
    #[error("nothing would change")]
    Nothing,
    /// The ring has no such member.
    #[error("node {node} is no member; it has to be started with an address to join by first")]
    Unknown {
        /// Which.
        node: NodeId,
    },
    /// Only a guest can join or replace another.
    #[error("node {node} is in the ring already")]
    NotAGuest {
        /// Which.
        node: NodeId,
    },
    /// A guest owns nothing in which it could be replaced.
    #[error("node {node} owns nothing: let the other one join instead")]
    NothingToReplace {
        /// Which.
        node: NodeId,
    },
    /// It is to own partitions in proportion to nothing.
    #[error("node {node} has weight 0, so it would own nothing; set its weight")]
    Weightless {
        /// Which.
        node: NodeId,
    },
    /// It lives and could leave, which loses nothing even if others fail meanwhile.
    #[error("node {node} is alive: let it leave, so that it hands over what it has itself")]
    Alive {
        /// Which.
        node: NodeId,
    },
    /// It cannot hand over, or take, what it should.
    #[error("node {node} is not alive: nothing could move to it, or be handed over by it")]
    Down {
        /// Which.
        node: NodeId,
    },
    /// Partitions would have fewer owners than they should, and than they have.
    #[error("each partition would have {after} owners; it has {before}, and should have {replication}")]
    FewerOwners {
        /// Owners of each partition now, at least.
        before: u8,
        /// Owners of each partition then.
        after: u8,
        /// Owners that each should have.
        replication: u8,
    },
    /// Partitions would lie in fewer zones than now, so that more would be lost with one.
    #[error("partitions would lie in {after} zones at least; now it is {before}")]
    FewerZones {
        /// Zones of each partition now, at least.
        before: u8,
        /// Zones of each partition then, at least.
        after: u8,
    },
    /// Nobody would be left to copy partitions from.
    #[error("{partitions} partitions have no owner that is alive or stays: there is nobody to copy them from")]
    NoSource {
        /// How many.
        partitions: u32,
    },
    /// Nobody would be left to own anything.
    #[error("no member would be left that may own anything")]
    NoOwners,
}

impl Refusal {
    /// Whether an operator may insist.
    pub fn can_be_forced(&self) -> bool {
        match self {
            Refusal::Alive { .. } | Refusal::Down { .. } | Refusal::FewerOwners { .. } | Refusal::FewerZones { .. } => {
                true
            }
            Refusal::Nothing
            | Refusal::Unknown { .. }
            | Refusal::NotAGuest { .. }
            | Refusal::NothingToReplace { .. }
            | Refusal::Weightless { .. }
            | Refusal::NoSource { .. }
            | Refusal::NoOwners => false,
        }
    }
}
