//! What came of it: three rows, their ratio, and the copying.

use std::time::Duration;

use serde::Serialize;

use crate::measure::Measured;

const MB: f64 = 1e6;

/// What the node got.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Copied {
    /// Partitions of which it got a replica, and replicas that were copied in all.
    partitions: u32,
    replicas: u32,
    keys: u64,
    /// Of their objects.
    bytes: u64,
    /// From the commit until nothing was left to do.
    seconds: f64,
    keys_per_s: f64,
    mb_per_s: f64,
}

impl Copied {
    /// In this time.
    pub fn new(partitions: u32, replicas: u32, keys: u64, bytes: u64, took: Duration) -> Copied {
        let seconds = took.as_secs_f64();
        let (keys_per_s, mb_per_s) = (keys as f64 / seconds, bytes as f64 / MB / seconds);
        Copied { partitions, replicas, keys, bytes, seconds, keys_per_s, mb_per_s }
    }
}

/// All that is shown.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Outcome {
    quiet: Measured,
    joining: Measured,
    after: Measured,
    copied: Copied,
    /// The 99th percentile while the node joins, by that of before.
    p99_ratio: f64,
}

impl Outcome {
    /// Of the three stretches of one load.
    pub fn new(quiet: Measured, joining: Measured, after: Measured, copied: Copied) -> Outcome {
        let p99_ratio = joining.p99_us as f64 / quiet.p99_us.max(1) as f64;
        Outcome { quiet, joining, after, copied, p99_ratio }
    }

    /// Prints it on standard output.
    pub fn print(&self, json: bool) {
        if json {
            println!("{}", serde_json::to_string_pretty(self).expect("plain numbers"));
        } else {
            print!("{}", self.text());
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{:<15} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7}\n",
            "", "answers/s", "p50 µs", "p95 µs", "p99 µs", "max µs", "errors"
        );
        for (what, m) in [("quiet", &self.quiet), ("a node joins", &self.joining), ("afterwards", &self.after)] {
            let errors: u64 = m.errors.values().sum();
            text += &format!(
                "{what:<15} {:>10.0} {:>9} {:>9} {:>9} {:>9} {errors:>7}\n",
                m.ops_per_s, m.p50_us, m.p95_us, m.p99_us, m.max_us
            );
            m.errors.iter().for_each(|(kind, count)| text += &format!("  {count} × {kind}\n"));
        }
        let Copied { partitions, replicas, keys, bytes, seconds, keys_per_s, mb_per_s } = &self.copied;
        let mb = *bytes as f64 / MB;
        text += &format!("p99 while it joins: {:.2} of the quiet cluster's\n", self.p99_ratio);
        text += &format!(
            "copied: {replicas} replicas of {partitions} partitions, {keys} keys, {mb:.1} MB in {seconds:.1} s: \
             {mb_per_s:.1} MB/s, {keys_per_s:.0} keys/s\n"
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn measured(p99_us: u64) -> Measured {
        let errors = BTreeMap::from([("timeout".into(), 2)]);
        Measured { ops: 500, ops_per_s: 100.0, p50_us: 10, p95_us: 20, p99_us, max_us: 40, errors }
    }

    #[test]
    fn it_tells_ratio_speed_and_errors() {
        let copied = Copied::new(64, 64, 1_000, 5_000_000, Duration::from_secs(2));
        let text = Outcome::new(measured(200), measured(300), measured(100), copied).text();
        assert!(text.contains("p99 while it joins: 1.50 of"), "{text}");
        assert!(text.contains("5.0 MB in 2.0 s: 2.5 MB/s, 500 keys/s"), "{text}");
        assert_eq!(text.matches("2 × timeout").count(), 3, "{text}");
    }
}
