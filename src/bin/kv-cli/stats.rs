//! `kv-cli stats`.

use clap::Args;
use kv::wire::report::{Inspect, Inspection, StatsReport};
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};
use crate::status::{ask_all, trouble};
use crate::table::{Table, micros};

const AFTER_HELP: &str = "\
All numbers count since the node's start. Latencies are p50 / p95 / p99 / longest.

Examples:
  kv-cli stats
  kv-cli stats --json";

/// Show the counters and latencies of every node side by side
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Stats {}

impl Stats {
    /// Asks all members.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let mut columns: Vec<(String, StatsReport)> = Vec::new();
        for (member, told) in ask_all(&client, Inspect::Stats).await {
            match told {
                Ok(Inspection::Stats(stats)) => columns.push((format!("node {}", member.node), stats)),
                other => note(format_args!("note: node {} is missing: {}", member.node, trouble(&other))),
            }
        }
        if output.is_json() {
            output.json(&json!({ "nodes": columns.iter().map(|(_, stats)| stats).collect::<Vec<_>>() }));
            return Ok(Exit::Done);
        }
        output.line(side_by_side("COUNTER", &columns, |stats| &stats.counters, u64::to_string));
        output.line("");
        output.line(side_by_side(
            "LATENCY",
            &columns,
            |stats| &stats.latencies,
            |latency| {
                let times = [latency.p50_us, latency.p95_us, latency.p99_us, latency.max_us].map(micros);
                if latency.count == 0 { "-".into() } else { times.join(" / ") }
            },
        ));
        Ok(Exit::Done)
    }
}

/// A row for each name that any node reports, a column for each node.
fn side_by_side<T>(
    heading: &str,
    columns: &[(String, StatsReport)],
    named: impl Fn(&StatsReport) -> &Vec<(String, T)>,
    shown: impl Fn(&T) -> String,
) -> Table {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in columns.iter().flat_map(|(_, stats)| named(stats)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut table = Table::new([heading].into_iter().chain(columns.iter().map(|(node, _)| node.as_str())));
    for name in names {
        let cell = |(_, stats): &(String, StatsReport)| {
            named(stats).iter().find(|(n, _)| n == name).map_or("-".into(), |(_, value)| shown(value))
        };
        table.row([name.clone()].into_iter().chain(columns.iter().map(cell)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_lack_a_counter_show_a_dash() {
        let stats = |counters: &[(&str, u64)]| StatsReport {
            counters: counters.iter().map(|(name, n)| (name.to_string(), *n)).collect(),
            ..StatsReport::default()
        };
        let columns = [("a".to_string(), stats(&[("x", 1)])), ("b".to_string(), stats(&[("x", 2), ("y", 30)]))];
        let table = side_by_side("COUNTER", &columns, |stats| &stats.counters, u64::to_string);
        assert_eq!(table.to_string(), "COUNTER  a  b\nx        1  2\ny        -  30");
    }
}
