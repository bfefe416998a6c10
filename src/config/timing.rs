//! How long things take, and how long they are waited for.

use std::time::Duration;

use super::complaint::Complaint;
use super::problem::Problems;
use super::source::Source;
use super::table::Table;

/// A day: nothing here is sensibly longer, and no sum of such times overflows.
const MS_MAX: i64 = 86_400_000;

/// Times of a node. All in milliseconds, at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    /// How long a request is tried that brings no timeout of its own. Then it fails as *timeout*; a write's outcome may be unknown.
    pub request_timeout_ms: u64,
    /// How often a quiet link is pinged.
    pub ping_interval_ms: u64,
    /// A peer not heard for so long counts as down: its link is closed and fallbacks stand in.
    pub peer_timeout_ms: u64,
    /// How long dialling a peer may take, name resolution included, before it counts as failed.
    pub connect_timeout_ms: u64,
    /// The pause before the first attempt to reconnect. It doubles with each failure, and each is drawn at random from its upper half.
    pub reconnect_min_ms: u64,
    /// The pause stops growing here.
    pub reconnect_max_ms: u64,
    /// A read asks one more replica when one is slower than its recent 95th percentile, but never earlier than this.
    pub hedge_min_ms: u64,
    /// Nor later than this; also what is waited for a replica that has no history.
    pub hedge_max_ms: u64,
    /// Bytes a second that read repair may send from this node. Beyond it stale replicas are left to later reads.
    pub read_repair_bytes_per_s_max: u64,
    /// How often the hints for a peer that is up are looked through and delivered.
    pub handoff_interval_ms: u64,
    /// After SIGTERM no request is taken, and those in flight have so long to end before they are dropped.
    pub drain_timeout_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            request_timeout_ms: 5000,
            ping_interval_ms: 250,
            peer_timeout_ms: 1000,
            connect_timeout_ms: 1000,
            reconnect_min_ms: 50,
            reconnect_max_ms: 2000,
            hedge_min_ms: 5,
            hedge_max_ms: 200,
            read_repair_bytes_per_s_max: 16 << 20,
            handoff_interval_ms: 1000,
            drain_timeout_ms: 10_000,
        }
    }
}

impl Timing {
    /// How long the called end of a link hears nothing until it gives the link up. Its caller has given it up long before.
    pub fn link_silence(&self) -> Duration {
        Duration::from_millis(self.peer_timeout_ms * 3)
    }

    /// How long a request is tried that brings no timeout of its own.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(super) fn read(&mut self, table: &mut Table) {
        let mut ms = |key: &str, into: &mut u64| table.number(key, into, 1..=MS_MAX, "a number of milliseconds");
        ms("request_timeout_ms", &mut self.request_timeout_ms);
        ms("ping_interval_ms", &mut self.ping_interval_ms);
        ms("peer_timeout_ms", &mut self.peer_timeout_ms);
        ms("connect_timeout_ms", &mut self.connect_timeout_ms);
        ms("reconnect_min_ms", &mut self.reconnect_min_ms);
        ms("reconnect_max_ms", &mut self.reconnect_max_ms);
        ms("hedge_min_ms", &mut self.hedge_min_ms);
        ms("hedge_max_ms", &mut self.hedge_max_ms);
        ms("handoff_interval_ms", &mut self.handoff_interval_ms);
        ms("drain_timeout_ms", &mut self.drain_timeout_ms);
        let repair = &mut self.read_repair_bytes_per_s_max;
        table.number("read_repair_bytes_per_s_max", repair, 1..=1 << 40, "a number of bytes a second");
    }

    pub(super) fn check(&self, source: &Source, problems: &mut Problems) {
        for (key, value, bound, limit) in [
            ("timing.reconnect_min_ms", self.reconnect_min_ms, "timing.reconnect_max_ms", self.reconnect_max_ms),
            ("timing.hedge_min_ms", self.hedge_min_ms, "timing.hedge_max_ms", self.hedge_max_ms),
            ("timing.hedge_max_ms", self.hedge_max_ms, "timing.request_timeout_ms", self.request_timeout_ms),
        ] {
            if value > limit {
                problems.push(source.problem(key, Complaint::Above { value, bound, limit }));
            }
        }
        let (ping_ms, timeout_ms) = (self.ping_interval_ms, self.peer_timeout_ms);
        if ping_ms > timeout_ms / 2 {
            problems.push(source.problem("timing.ping_interval_ms", Complaint::PingTooRare { ping_ms, timeout_ms }));
        }
    }
}
