//! When what was deleted may be forgotten.

use std::time::Duration;

use super::duration::parse_ms;
use super::table::Table;
use super::timing::Timing;
use crate::core::reap::Grace;

/// A year, as for everything that is written with a unit; less than a second leaves no time to be applied in to any message.
const GRACE_MS: std::ops::RangeInclusive<u64> = 1000..=365 * 86_400_000;

/// What keeps deleted keys from coming back, and how fast they are forgotten (`[reap]`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReapConfig {
    /// How long all owners hold a tombstone before it may be reaped, in milliseconds. If nodes differ in it the longest counts.
    pub grace_ms: u64,
    /// How often each partition is looked through for what is due.
    pub interval_ms: u64,
    /// Keys asked about at once.
    pub batch: u16,
    /// Keys a second that this node asks the owners about. Beyond it the next batch waits.
    pub keys_per_s_max: u32,
    /// A key's context is pruned when so many of its entries are of actors without a live value; fewer are not worth a write.
    pub context_entries_min: u16,
}

impl Default for ReapConfig {
    fn default() -> Self {
        ReapConfig {
            grace_ms: 24 * 3_600_000,
            interval_ms: 60_000,
            batch: 512,
            keys_per_s_max: 2000,
            context_entries_min: 8,
        }
    }
}

impl ReapConfig {
    pub(super) fn read(&mut self, table: &mut Table) {
        table.value("grace", &mut self.grace_ms, "a duration from 1s to 365d, as in \"24h\"", |value| {
            parse_ms(value.as_str()?).filter(|ms| GRACE_MS.contains(ms))
        });
        table.number("interval_ms", &mut self.interval_ms, 1..=86_400_000, "a number of milliseconds");
        table.number("batch", &mut self.batch, 1..=4096, "a number of keys");
        table.number("keys_per_s_max", &mut self.keys_per_s_max, 1..=1_000_000, "a number of keys a second");
        table.number("context_entries_min", &mut self.context_entries_min, 1..=10_000, "a number of entries");
    }

    /// The grace.
    pub fn grace(&self) -> Grace {
        Grace(Duration::from_millis(self.grace_ms))
    }

    /// How long a request, or any message that carries a version, may live that is asked to live `wanted_ms`: a version must not be
    /// applied later than a tenth of the grace after it was read.
    pub fn cut(&self, wanted: Duration) -> Duration {
        wanted.min(self.grace().version_age_max())
    }

    /// How long a version that was read here may be under way: until it is too old, and then for as long as a link may be silent until the
    /// other end gives it up.
    pub fn version_lasts(&self, timing: &Timing) -> Duration {
        self.grace().version_age_max() + timing.link_silence()
    }
}
