//! How much a node keeps for others that are down, and how fast it gives it back.

use super::complaint::Complaint;
use super::problem::Problems;
use super::source::Source;
use super::table::Table;

/// Limits of hinted handoff (`[hints]`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HintsConfig {
    /// Bytes of keys and records kept for one target. Beyond it a new copy for it is refused, and does not count as a replica.
    pub target_bytes_max: u64,
    /// The same for all targets together.
    pub bytes_max: u64,
    /// Bytes a second that this node delivers to targets that are back.
    pub bytes_per_s_max: u64,
    /// A target that does not take what it is sent is tried again after a second, then after two, and so on up to this.
    pub retry_max_ms: u64,
}

impl Default for HintsConfig {
    fn default() -> Self {
        HintsConfig { target_bytes_max: 4 << 30, bytes_max: 16 << 30, bytes_per_s_max: 16 << 20, retry_max_ms: 60_000 }
    }
}

impl HintsConfig {
    pub(super) fn read(&mut self, table: &mut Table) {
        table.number("target_bytes_max", &mut self.target_bytes_max, 0..=1 << 50, "a number of bytes");
        table.number("bytes_max", &mut self.bytes_max, 0..=1 << 50, "a number of bytes");
        table.number("bytes_per_s_max", &mut self.bytes_per_s_max, 1..=1 << 40, "a number of bytes a second");
        table.number("retry_max_ms", &mut self.retry_max_ms, 1..=86_400_000, "a number of milliseconds");
    }

    pub(super) fn check(&self, source: &Source, problems: &mut Problems) {
        let (value, limit) = (self.target_bytes_max, self.bytes_max);
        if value > limit {
            let (key, bound) = ("hints.target_bytes_max", "hints.bytes_max");
            problems.push(source.problem(key, Complaint::Above { value, bound, limit }));
        }
    }
}
