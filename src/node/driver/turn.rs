//! Whose turn it is.

use std::time::Duration;

use crate::coordination::registry::View;
use crate::core::id::{Epoch, NodeId};
use crate::node::env::Moment;

/// How much longer each node waits than the live one before it: so long may a write take that is on its way.
const PATIENCE: Duration = Duration::from_secs(1);

/// For how long something must have been due before a node sees to it: nothing for the live one with the lowest number.
pub(super) fn delay(view: &View, node: NodeId) -> Duration {
    let before = view.live.keys().filter(|live| **live < node).count();
    PATIENCE.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX))
}

/// How long something has been due without anything being done.
#[derive(Default)]
pub(super) struct Turn(Option<(Progress, Moment)>);

/// What changes when somebody drives, beside the records of single stores.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Progress {
    ring: Epoch,
    change: Option<(u64, bool)>,
}

impl Turn {
    /// Nothing is due, or it was just done.
    pub fn nothing_is_due(&mut self) {
        self.0 = None;
    }

    /// Something is due by this view; answers whether it has been for so long.
    pub fn has_come(&mut self, view: &View, delay: Duration, now: Moment) -> bool {
        let change = view.change.as_ref().map(|change| (change.number, change.is_running()));
        let progress = Progress { ring: view.ring.epoch, change };
        match self.0 {
            Some((seen, since)) if seen == progress => now.duration_since(since) >= delay,
            _ => {
                self.0 = Some((progress, now));
                delay.is_zero()
            }
        }
    }
}
