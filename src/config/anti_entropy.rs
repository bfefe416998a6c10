//! How owners are kept equal, and how much of a node that may take.

use super::complaint::Complaint;
use super::problem::Problems;
use super::source::Source;
use super::table::Table;
use crate::core::repair::QuietHours;

/// Milliseconds of the longest interval: a year.
const INTERVAL_MS_MAX: i64 = 365 * 86_400_000;

/// When and how fast a node compares its partitions with their other owners (`[anti_entropy]`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AntiEntropyConfig {
    /// Whether it does so by itself. It answers others and does what an operator asks for all the same.
    pub enabled: bool,
    /// In what time it compares each partition that it leads with each other owner once, if nothing calls for it earlier.
    pub interval_ms: u64,
    /// In what time it reads everything once and looks whether it is what was written.
    pub verify_interval_ms: u64,
    /// Bytes a second that its exchanges move while the node is idle; down to a tenth while it is busy.
    pub bytes_per_s_max: u64,
    /// Keys a second whose versions its exchanges compare, likewise.
    pub keys_per_s_max: u64,
    /// Partitions that it compares at once. Each has one page under way.
    pub at_once_max: u16,
    /// The part of the day, by UTC, in which it makes no rounds. What may miss something is repaired even then, and what an operator asks
    /// for is done.
    pub quiet_hours: Option<QuietHours>,
}

impl Default for AntiEntropyConfig {
    fn default() -> Self {
        AntiEntropyConfig {
            enabled: true,
            interval_ms: 3_600_000,
            verify_interval_ms: 7 * 86_400_000,
            bytes_per_s_max: 8 << 20,
            keys_per_s_max: 100_000,
            at_once_max: 2,
            quiet_hours: None,
        }
    }
}

impl AntiEntropyConfig {
    pub(super) fn read(&mut self, table: &mut Table) {
        let interval = 1..=INTERVAL_MS_MAX;
        table.flag("enabled", &mut self.enabled);
        table.number("interval_ms", &mut self.interval_ms, interval.clone(), "a number of milliseconds");
        table.number("verify_interval_ms", &mut self.verify_interval_ms, interval, "a number of milliseconds");
        table.number("bytes_per_s_max", &mut self.bytes_per_s_max, 1..=1 << 40, "a number of bytes a second");
        table.number("keys_per_s_max", &mut self.keys_per_s_max, 1..=1 << 40, "a number of keys a second");
        table.number("at_once_max", &mut self.at_once_max, 1..=1024, "a number of partitions");
        table.value(
            "quiet_hours",
            &mut self.quiet_hours,
            "\"none\" or a part of the day, as in \"22:00-06:00\"",
            |value| match value.as_str()? {
                "none" => Some(None),
                hours => hours.parse().ok().map(Some),
            },
        );
    }

    pub(super) fn check(&self, source: &Source, problems: &mut Problems) {
        let (value, limit) = (self.interval_ms, self.verify_interval_ms);
        if value > limit {
            let bound = "anti_entropy.verify_interval_ms";
            problems.push(source.problem("anti_entropy.interval_ms", Complaint::Above { value, bound, limit }));
        }
    }
}
