//! How things stand, for operators.

use super::Repairer;
use super::job::cause_in_words;
use crate::core::repair::Cause;
use crate::node::stats::{Counter, Gauge};
use crate::wire::report::{AntiEntropyReport, UnsyncedReport};

impl Repairer {
    pub(super) fn report(&self) -> AntiEntropyReport {
        let (clock, view, stats) = (self.clock(), self.parts.ring.load(), &self.parts.stats);
        let standing = self.schedule.standing(clock);
        let node = |store| view.ring.node_of(store);
        let needs_sync = self.parts.needs_sync.list();
        let unsynced = needs_sync.iter().map(|(partition, mark)| UnsyncedReport {
            partition: *partition,
            why: mark.why.to_string(),
            waits_for: self.schedule.missing(*partition).map(node).collect(),
        });
        AntiEntropyReport {
            node: self.parts.config.node.id,
            enabled: self.config().enabled,
            partitions: self.schedule.partitions().len() as u64,
            pairs: standing.led,
            compared: standing.compared,
            urgent: standing.urgent.into_iter().map(|(cause, pairs)| (cause_in_words(cause).into(), pairs)).collect(),
            last_ms: standing.last.map(|last| clock.saturating_sub(last).as_millis() as u64),
            next_ms: standing.next.map(|next| next.saturating_sub(clock).as_millis() as u64),
            exchanges: stats.counted(Counter::Exchanges),
            keys: stats.counted(Counter::ExchangeKeys),
            received: stats.counted(Counter::ExchangeReceived),
            sent: stats.counted(Counter::ExchangeSent),
            bytes: stats.counted(Counter::ExchangeBytes),
            damaged: stats.counted(Counter::DamagedRecords),
            mended: stats.counted(Counter::DamagedMended),
            trees: stats.gauge(Gauge::MerkleTrees),
            trees_building: stats.gauge(Gauge::MerkleTreesBuilding),
            needs_sync: unsynced.collect(),
            under_way: self.works.tasks.values().map(|task| task.report(node(task.id.peer))).collect(),
            run: self.run.as_ref().map(|run| run.report(&self.schedule, clock)),
            waiting: self.waits_for(),
        }
    }

    /// Why nothing goes on by itself.
    fn waits_for(&self) -> Option<String> {
        match self.at_least() {
            Cause::Asked => Some("anti_entropy.enabled is false".into()),
            Cause::Marked => self.config().quiet_hours.map(|hours| format!("quiet hours, {hours} UTC")),
            Cause::Started | Cause::Returned | Cause::Round => None,
        }
    }
}
