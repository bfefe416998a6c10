//! A run in numbers.

use std::fmt;
use std::time::Duration;

use crate::nemesis::Nemesis;
use crate::recorder::Tally;

/// What happened so far.
pub struct Figures<'n> {
    /// What was struck.
    pub nemesis: &'n Nemesis,
    /// What clients did.
    pub tally: Tally,
    /// How long the cluster took to become whole, after each round.
    pub convergence: Vec<Duration>,
}

impl Figures<'_> {
    /// The most important ones, in a line.
    pub fn line(&self) -> String {
        let failed: u64 = self.tally.failures.values().sum();
        let faults: u64 = self.nemesis.counts.values().sum();
        let converged = self.convergence.last().map_or(0.0, Duration::as_secs_f64);
        format!("{} requests, {failed} failed, {faults} faults, whole again in {converged:.1} s", self.tally.requests)
    }
}

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let counts = |counts: &mut dyn Iterator<Item = (&&'static str, &u64)>| {
            let texts: Vec<String> = counts.map(|(name, count)| format!("{count} {name}")).collect();
            if texts.is_empty() { "none".into() } else { texts.join(", ") }
        };
        let seconds = |time: &Duration| format!("{:.1}", time.as_secs_f64());
        writeln!(f, "{} requests", self.tally.requests)?;
        writeln!(f, "  failures: {}", counts(&mut self.tally.failures.iter()))?;
        writeln!(f, "  faults: {}", counts(&mut self.nemesis.counts.iter()))?;
        writeln!(f, "  longest time without a sloppy write: {} s", seconds(&self.tally.longest_without_write))?;
        let convergence: Vec<String> = self.convergence.iter().map(seconds).collect();
        writeln!(f, "  whole again after each round, in seconds: {}", convergence.join(" "))?;
        writeln!(f, "  logs: {} KiB", self.nemesis.log_bytes() >> 10)?;
        write!(f, "  memory of the largest process: {} MiB", self.nemesis.resident_kb_max >> 10)
    }
}
