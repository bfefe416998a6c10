//! What one loop measured.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart, in microseconds; a longer one counts as this.
const LATENCY_US_MAX: u64 = 600_000_000;

/// The shape of a closed loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// Connections.
    pub clients: usize,
    /// Requests that each keeps outstanding.
    pub in_flight: usize,
    /// Not measured, before.
    pub warmup: Duration,
    /// Measured.
    pub measured: Duration,
}

/// Latencies in microseconds, to three digits.
pub fn latencies_us() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_US_MAX, 3).expect("constant bounds are in range")
}

/// Collects a closed loop's answers. Only those that come inside the window are measured, wherever they were sent.
#[derive(Debug)]
pub struct Recorder {
    from: Instant,
    until: Instant,
    latencies_us: Histogram<u64>,
    errors: BTreeMap<String, u64>,
}

impl Recorder {
    /// A window that opens after `load.warmup` from now.
    pub fn new(load: &Load) -> Recorder {
        let from = Instant::now() + load.warmup;
        Recorder { from, until: from + load.measured, latencies_us: latencies_us(), errors: BTreeMap::new() }
    }

    /// Whether requests are still to be sent at `now`.
    pub fn open(&self, now: Instant) -> bool {
        now < self.until
    }

    /// When the window closes.
    pub fn closes_at(&self) -> Instant {
        self.until
    }

    /// A request that was met.
    pub fn met(&mut self, sent: Instant, now: Instant) {
        if self.from <= now && now < self.until {
            self.latencies_us.saturating_record((now - sent).as_micros() as u64);
        }
    }

    /// `count` requests that were not, at any time: an error during warm-up makes a run no less doubtful.
    pub fn failed(&mut self, kind: &str, count: u64) {
        *self.errors.entry(kind.into()).or_default() += count;
    }

    /// Only what failed, for a loop that is not measured.
    pub fn into_errors(self) -> BTreeMap<String, u64> {
        self.errors
    }

    /// What came of it.
    pub fn measured(self) -> Measured {
        Measured::of(&self.latencies_us, self.until - self.from, self.errors)
    }
}

/// Throughput and latencies of one loop.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Measured {
    /// Requests met inside the window.
    pub ops: u64,
    /// The same by second.
    pub ops_per_s: f64,
    /// Median latency in microseconds.
    pub p50_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// Requests not met, by kind, warm-up included.
    pub errors: BTreeMap<String, u64>,
}

impl Measured {
    /// Of a loop that met these requests, and no others but those that failed, in this time.
    pub fn of(latencies_us: &Histogram<u64>, time: Duration, errors: BTreeMap<String, u64>) -> Measured {
        let at = |quantile| latencies_us.value_at_quantile(quantile);
        Measured {
            ops: latencies_us.len(),
            ops_per_s: latencies_us.len() as f64 / time.as_secs_f64(),
            p50_us: at(0.50),
            p95_us: at(0.95),
            p99_us: at(0.99),
            max_us: latencies_us.max(),
            errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_is_measured() {
        let load =
            Load { clients: 1, in_flight: 1, warmup: Duration::from_secs(10), measured: Duration::from_secs(10) };
        let mut recorder = Recorder::new(&load);
        let opens = recorder.from;
        for (sent_s, answered_s) in [(-2i64, -1i64), (-1, 1), (2, 5), (9, 11)] {
            let at = |s: i64| {
                if s < 0 { opens - Duration::from_secs(-s as u64) } else { opens + Duration::from_secs(s as u64) }
            };
            recorder.met(at(sent_s), at(answered_s));
        }
        recorder.failed("timeout", 2);
        recorder.failed("timeout", 1);
        let measured = recorder.measured();
        assert_eq!((measured.ops, measured.ops_per_s), (2, 0.2));
        assert!(measured.max_us.abs_diff(3_000_000) < 3_000);
        assert_eq!(measured.errors["timeout"], 3);
    }
}
