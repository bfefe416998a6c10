//! What operators see of reaping.

use super::Reaper;
use crate::core::id::StoreId;
use crate::core::reap::{Block, Stray};
use crate::core::ring::Ring;
use crate::wire::report::ReapReport;

impl Reaper {
    pub(super) fn report(&self) -> ReapReport {
        let view = self.parts.ring.load();
        let mut report = ReapReport { under_way: self.rounds.len() as u64, ..ReapReport::default() };
        for block in self.blocked.values() {
            *report.blocked.entry(self.describe(&view.ring, block)).or_default() += 1;
        }
        for (store, keys) in self.differing.values().flatten().filter(|(_, keys)| **keys > 0) {
            *report.differing.entry(view.ring.node_of(*store)).or_default() += keys;
        }
        report
    }

    fn describe(&self, ring: &Ring, block: &Block) -> String {
        let node = |store: &StoreId| format!("node {}", ring.node_of(*store));
        match block {
            Block::Absent(store) => {
                let presence = self.parts.presence.borrow();
                let absent = presence.as_ref().and_then(|presence| presence.absent().get(store).copied());
                let node = absent.map_or(format!("store {store}"), |node| format!("node {node}"));
                format!("{node} is out of the ring and cannot be asked")
            }
            Block::Unreachable(store) => format!("{} cannot be asked", node(store)),
            Block::OtherRing(store) => format!("{} works by another ring", node(store)),
            Block::Unable(store) => format!("{} cannot read, or takes no writes", node(store)),
            Block::Holds(store, Stray::Hint(target)) => format!("{} holds hints for {}", node(store), node(target)),
            Block::Holds(store, Stray::Copy) => format!("{} holds copies that it does not own", node(store)),
            Block::Holds(store, Stray::NeedsSync) => format!("{} needs to be synced with the others", node(store)),
            Block::Took(store) => format!("{} has taken copies for others lately", node(store)),
            Block::Restarted(store) => format!("{} has been started again lately", node(store)),
            Block::Unheard => "the coordination service has not been heard yet".into(),
            Block::InMotion => "the partition changes hands".into(),
            Block::RingChanged(_) => "the ring has changed lately".into(),
        }
    }
}
