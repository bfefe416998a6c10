//! How quickly each replica answered lately: the basis of *nearest* and of *slower than usual*.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::id::StoreId;

/// Answers remembered per replica.
const WINDOW: usize = 128;
/// After so many new ones the quantiles are computed again.
const REFRESH: usize = 16;

#[derive(Default)]
struct Window {
    micros: Vec<u32>,
    next: usize,
    since_refresh: usize,
    p50: u32,
    p95: u32,
}

impl Window {
    fn record(&mut self, micros: u32) {
        if self.micros.len() < WINDOW {
            self.micros.push(micros);
        } else {
            self.micros[self.next] = micros;
        }
        self.next = (self.next + 1) % WINDOW;
        self.since_refresh += 1;
        if self.since_refresh >= REFRESH || self.micros.len() < REFRESH {
            self.refresh();
        }
    }

    fn refresh(&mut self) {
        self.since_refresh = 0;
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
        (self.p50, self.p95) = (at(50), at(95));
    }
}

/// Recent answer times of all replicas, as one coordinator sees them.
#[derive(Default)]
pub struct Latencies(BTreeMap<StoreId, Window>);

impl Latencies {
    /// One more answer.
    pub fn record(&mut self, store: StoreId, took: Duration) {
        self.0.entry(store).or_default().record(took.as_micros().min(u32::MAX as u128) as u32);
    }

    /// The median in microseconds; zero if there is none, so that a newcomer is tried.
    pub fn p50_us(&self, store: StoreId) -> u32 {
        self.0.get(&store).map_or(0, |w| w.p50)
    }

    /// The 95th percentile, if anything was measured.
    pub fn p95(&self, store: StoreId) -> Option<Duration> {
        self.0.get(&store).map(|w| Duration::from_micros(w.p95 as u64))
    }

    /// Store, median and 95th percentile in microseconds.
    pub fn report(&self) -> Vec<(StoreId, u64, u64)> {
        self.0.iter().map(|(store, w)| (*store, w.p50 as u64, w.p95 as u64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_answers_are_forgotten() {
        let (mut latencies, store) = (Latencies::default(), StoreId(1));
        assert_eq!(latencies.p95(store), None);
        (0..WINDOW).for_each(|_| latencies.record(store, Duration::from_millis(100)));
        (0..WINDOW).for_each(|_| latencies.record(store, Duration::from_millis(1)));
        assert_eq!(latencies.p95(store), Some(Duration::from_millis(1)));
        assert_eq!(latencies.p50_us(store), 1000);
    }
}
