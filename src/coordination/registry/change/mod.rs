//! Ring changes: staged, committed, driven, turned back.
//!
//! What a change does to a ring, and when it may take a step, is decided by [`core::ring::change`](crate::core::ring::change). Here is
//! what of it stands in the tree, and the writes between:
//!
//! | node | holds | changed by |
//! |---|---|---|
//! | `/kv/plan` | [`PlanRecord`]: the actions that are staged | [`stage`], [`clear`], [`commit`] |
//! | `/kv/change` | [`ChangeRecord`]: the change that runs, or the last one | [`commit`], [`turn_back`], [`advance_once`] |
//! | `/kv/transfers/STORE` | [`TransferRecord`]: how far a store is | the store's node: [`report_arrived`], [`report_drained`], [`report_unsynced`] |
//!
//! One change runs at a time. [`commit`] makes it from the staged actions under the version of them that the operator looked at, and
//! of the ring; so of two operators one wins, and the other is told who did. It writes no ring. All that becomes of the ring is written
//! by whoever drives: each call of [`advance_once`] makes the one write that is due ([`next`]), under the versions of all that it was
//! decided on, so that it does not matter who calls it, or if two do.
//!
//! That also begins changes without an operator: when a node came back with another store, which then takes the places of the one that
//! was lost, and when a node was down for so long that it is taken to be gone ([`ClusterRecord::auto_remove_after_ms`](super::ClusterRecord::auto_remove_after_ms)).
//!
//! A change whose arriving or draining node is lost for good would wait for ever. So one plan may be committed into a change that runs:
//! one that only removes nodes that are down. It changes the goal, and what turning back would mean, to do without them.

mod commit;
mod drive;
mod forget;
mod marks;
mod next;
mod records;
mod removal;
mod report;
mod situation;
mod staging;

pub use commit::{commit, turn_back};
pub use drive::{Driven, advance_once};
pub use forget::forget;
pub use marks::{report_arrived, report_drained, report_unsynced};
pub use next::{Next, Settings, next};
pub use records::{ChangeRecord, MemberChange, PlanRecord, Terms, TransferRecord};
pub use removal::set_auto_remove_after;
pub use report::{down_report, plan_report, progress};
pub use situation::{facts, plan, target};
pub(super) use staging::version as staged_version;
pub use staging::{clear, stage};
