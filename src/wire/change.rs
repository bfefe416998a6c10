//! What operators ask of the ring's membership through a node, and what they are told of changes.
//!
//! Actions are staged, looked at as a plan and committed under the version that was looked at. Nodes are named by their numbers in
//! requests; in reports [`NodePlanReport`] and [`StoreProgress`] say which store is which node's.

use serde::{Deserialize, Serialize};

use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::ring::change::{Action, Direction, Hold, Origin, Refusal, Standing, Waits};

/// Waiting partitions that a report names; it counts the others.
pub const WAITING_SHOWN_MAX: usize = 256;

/// What a node is asked to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ChangeRequest {
    /// Stage an action. Answered by [`ChangeAnswer::Staged`].
    Stage(Action),
    /// Forget what is staged. Answered by [`ChangeAnswer::Staged`].
    Clear,
    /// Work out what the staged actions would move. Answered by [`ChangeAnswer::Plan`].
    Plan,
    /// Begin to move. Answered by [`ChangeAnswer::Committed`].
    Commit {
        /// The [`PlanReport::version`] that the operator looked at.
        version: u64,
        /// Insist on what is refused but can be forced.
        force: bool,
    },
    /// Turn the running change back. Answered by [`ChangeAnswer::Change`].
    TurnBack {
        /// Its number.
        number: u64,
    },
    /// How the running change is, or the last one was. Answered by [`ChangeAnswer::Change`].
    Progress,
    /// Declare a store's data destroyed: it is refused for ever, and nobody waits for what only it has. Answered by
    /// [`ChangeAnswer::Forgotten`].
    Forget {
        /// Which.
        store: StoreId,
    },
    /// Set when a node that is down is taken to be gone. Answered by [`ChangeAnswer::AutoRemove`].
    AutoRemove {
        /// After so many milliseconds; `None` leaves it to operators.
        after_ms: Option<u64>,
    },
}

impl ChangeRequest {
    /// Whether it changes anything, so that it must not be sent twice.
    pub fn is_write(&self) -> bool {
        !matches!(self, ChangeRequest::Plan | ChangeRequest::Progress)
    }
}

/// What it answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ChangeAnswer {
    /// What is staged now.
    Staged(StagedReport),
    /// What would move.
    Plan(PlanReport),
    /// It begins.
    Committed {
        /// The change's number.
        number: u64,
        /// Replicas that move.
        replicas: u32,
    },
    /// How the change is; `None` if there never was one.
    Change(Option<Box<ChangeReport>>),
    /// The store is forgotten.
    Forgotten {
        /// Which.
        store: StoreId,
        /// Its node.
        node: NodeId,
    },
    /// It is set.
    AutoRemove {
        /// After so many milliseconds; `None` leaves it to operators.
        after_ms: Option<u64>,
    },
}

impl ChangeAnswer {
    /// Things that it lists: roughly in proportion to what it takes on the wire.
    pub fn items(&self) -> usize {
        match self {
            ChangeAnswer::Staged(staged) => staged.actions.len() + staged.superseded.len(),
            ChangeAnswer::Plan(plan) => {
                let partitions = plan.nodes.iter().map(|node| 1 + (node.arriving.len() + node.leaving.len()) / 16);
                plan.actions.len() + partitions.sum::<usize>()
            }
            ChangeAnswer::Change(Some(change)) => change.actions.len() + change.waiting.len() + change.stores.len(),
            ChangeAnswer::Change(None)
            | ChangeAnswer::Committed { .. }
            | ChangeAnswer::Forgotten { .. }
            | ChangeAnswer::AutoRemove { .. } => 0,
        }
    }
}

/// What is staged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StagedReport {
    /// Rises with each change of the list.
    pub version: u64,
    /// In the order in which they are applied.
    pub actions: Vec<Action>,
    /// Those whose place the last one took.
    pub superseded: Vec<Action>,
}

/// What the staged actions would move.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanReport {
    /// Of what is staged: to be named when it is committed.
    pub version: u64,
    /// The ring that it was worked out on.
    pub epoch: Epoch,
    /// Q.
    pub partitions: u32,
    /// What is staged.
    pub actions: Vec<Action>,
    /// What it is for each member, by node.
    pub nodes: Vec<NodePlanReport>,
    /// Partitions that get other owners.
    pub moved: u32,
    /// Replicas that are copied.
    pub replicas: u32,
    /// What speaks against it.
    pub refusals: Vec<RefusalReport>,
    /// The change that is under way, which has to end first.
    pub running: Option<u64>,
}

/// What speaks against a plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusalReport {
    /// What.
    pub refusal: Refusal,
    /// Whether an operator may insist.
    pub can_be_forced: bool,
}

/// What a plan is for one member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodePlanReport {
    /// The node.
    pub node: NodeId,
    /// Its store.
    pub store: StoreId,
    /// Whether it is alive.
    pub is_live: bool,
    /// Now and then.
    pub standing: (Standing, Standing),
    /// Now and then.
    pub zone: (String, String),
    /// Now and then, by which partitions are placed.
    pub weight: (u32, u32),
    /// Partitions that it owns, now and then.
    pub owned: (u32, u32),
    /// Partitions that it would come to own.
    pub arriving: Vec<Partition>,
    /// Partitions that it would own no more.
    pub leaving: Vec<Partition>,
    /// Bytes that would be copied to it, where they can be estimated.
    pub arriving_bytes: Option<u64>,
}

/// How a change is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangeReport {
    /// Its number.
    pub number: u64,
    /// Who committed it.
    pub origin: Origin,
    /// The node through which an operator did, or that did by itself.
    pub through: NodeId,
    /// What it does.
    pub actions: Vec<Action>,
    /// Which way it goes.
    pub direction: Direction,
    /// When it was committed, in milliseconds since 1970.
    pub committed_ms: u64,
    /// When it ended, if it has.
    pub ended_ms: Option<u64>,
    /// The ring that this was seen in.
    pub epoch: Epoch,
    /// How far the partitions are.
    pub phases: Phases,
    /// What partitions wait for that have begun to move or cannot, at most [`WAITING_SHOWN_MAX`] of them.
    pub waiting: Vec<WaitingReport>,
    /// How many more there are.
    pub waiting_left_off: u32,
    /// How far the stores are that take part.
    pub stores: Vec<StoreProgress>,
}

/// How many partitions of a change are how far. Their sum is what it moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Phases {
    /// Have not begun.
    pub to_do: u32,
    /// Are being copied.
    pub pending: u32,
    /// Are read from their new owners; not everybody knows yet.
    pub switched: u32,
    /// Are where they should be; old owners drain.
    pub draining: u32,
    /// Nothing is left to do.
    pub done: u32,
}

/// A partition that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WaitingReport {
    /// Which.
    pub partition: Partition,
    /// Since which ring it is in this phase.
    pub since: Epoch,
    /// For what.
    pub waits: Waits,
}

/// How far a store is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoreProgress {
    /// The store.
    pub store: StoreId,
    /// Its node.
    pub node: NodeId,
    /// Whether that is alive.
    pub is_live: bool,
    /// Partitions that come to it: how many are there, and how many in all.
    pub arrived: (u32, u32),
    /// Partitions that go from it: how many it holds nothing of any more, and how many in all.
    pub drained: (u32, u32),
}

/// A member that is down, and what becomes of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DownReport {
    /// Its node.
    pub node: NodeId,
    /// Its store.
    pub store: StoreId,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Why it is not removed yet; `None` if it is about to be. With `auto_remove_after = "never"` [`DownReport::is_automatic`] is false.
    pub hold: Option<Hold>,
    /// Whether it is removed by itself at all.
    pub is_automatic: bool,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum ChangeFailure {
    /// One change at a time.
    #[error("change {number} is under way, committed {}; wait for it, or turn it back", by(.origin, .through))]
    Running {
        /// Which.
        number: u64,
        /// Who committed it.
        origin: Origin,
        /// Through which node.
        through: NodeId,
    },
    /// What is staged is not what the operator looked at.
    #[error(
        "what is staged has changed since it was looked at (version {expected}, now {found}); look at the plan again"
    )]
    PlanChanged {
        /// What was looked at.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The plan should not, or cannot, be committed.
    #[error("{}", reasons(.0))]
    Refused(Vec<Refusal>),
    /// There is no such change under way.
    #[error("no change {number} is under way")]
    NoChange {
        /// Which.
        number: u64,
    },
}

fn by(origin: &Origin, through: &NodeId) -> String {
    match origin {
        Origin::Operator => format!("by an operator through node {through}"),
        Origin::Automatic => format!("by node {through} itself"),
    }
}

fn reasons(refusals: &[Refusal]) -> String {
    refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; ")
}
