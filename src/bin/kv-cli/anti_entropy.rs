//! `kv-cli anti-entropy status`.

use clap::{Args, Subcommand};
use kv::wire::report::{AntiEntropyReport, Inspect, Inspection};
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};
use crate::status::{ask_all, trouble};
use crate::table::{Table, bytes, uptime};

const AFTER_HELP: &str = "\
PAIRS are the comparisons that a node leads, each with one other owner of a partition, and how many of them were made within the last \
round. Counts are since the node's start. TREES are the Merkle trees that it keeps, and those that it is making. What needs sync \
counts in no pr and pw until it was compared with all other owners.

Examples:
  kv-cli anti-entropy status
  kv-cli anti-entropy status --json";

/// Looks at how owners are kept equal.
#[derive(Subcommand, Debug)]
pub enum AntiEntropy {
    Status(Status),
}

/// Show what every node compares with others, and what it waits for
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Status {}

impl AntiEntropy {
    /// Asks all members.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let AntiEntropy::Status(Status {}) = self;
        let client = at.connect(None).await?;
        let mut reports: Vec<AntiEntropyReport> = vec![];
        for (member, told) in ask_all(&client, Inspect::AntiEntropy).await {
            match told {
                Ok(Inspection::AntiEntropy(report)) => reports.push(*report),
                other => note(format_args!("note: node {} is missing: {}", member.node, trouble(&other))),
            }
        }
        if output.is_json() {
            output.json(&json!({ "nodes": reports }));
            return Ok(Exit::Done);
        }
        output.line(table(&reports));
        let details: Vec<String> = reports.iter().flat_map(details).collect();
        if !details.is_empty() {
            output.line("");
        }
        details.iter().for_each(|line| output.line(line));
        Ok(Exit::Done)
    }
}

fn table(reports: &[AntiEntropyReport]) -> Table {
    let headings =
        ["NODE", "PAIRS", "LAST", "NEXT", "COMPARED", "IN", "OUT", "MOVED", "TREES", "NEEDS SYNC", "WAITS FOR"];
    let mut table = Table::new(headings);
    let time = |ms: Option<u64>| ms.map_or("-".into(), |ms| uptime(ms / 1000));
    for report in reports {
        let building = if report.trees_building > 0 { format!(" +{}", report.trees_building) } else { String::new() };
        table.row([
            report.node.to_string(),
            format!("{}/{}", report.compared, report.pairs),
            report.last_ms.map_or("-".into(), |ms| format!("{} ago", uptime(ms / 1000))),
            time(report.next_ms),
            format!("{} keys", report.keys),
            report.received.to_string(),
            report.sent.to_string(),
            bytes(report.bytes),
            format!("{}{building}", report.trees),
            report.needs_sync.len().to_string(),
            report.waiting.clone().unwrap_or("-".into()),
        ]);
    }
    table
}

/// What is urgent, under way and marked on a node.
fn details(report: &AntiEntropyReport) -> Vec<String> {
    let node = report.node;
    let urgent = report.urgent.iter().map(|(cause, pairs)| format!("node {node}: {pairs} pairs at once, {cause}"));
    let under_way = report.under_way.iter().map(|shown| {
        let waits = shown.waiting.as_ref().map_or(String::new(), |reason| format!(", waits: {reason}"));
        format!("node {node}: compares partition {} with node {} ({}){waits}", shown.partition, shown.with, shown.cause)
    });
    let marked = report.needs_sync.iter().map(|mark| {
        let others: Vec<String> = mark.waits_for.iter().map(|other| format!("node {other}")).collect();
        let others = if others.is_empty() { "nobody".into() } else { others.join(", ") };
        format!("node {node}: partition {} needs sync ({}), to be compared with {others}", mark.partition, mark.why)
    });
    let damage = (report.damaged > report.mended).then(|| {
        let (damaged, mended) = (report.damaged, report.mended);
        format!("node {node}: {damaged} records were found to be damaged, {mended} of them were replaced by what others hold")
    });
    urgent.chain(under_way).chain(marked).chain(damage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::core::id::{NodeId, Partition};
    use kv::wire::report::UnsyncedReport;

    #[test]
    fn what_needs_sync_says_why_and_what_for() {
        let mark =
            UnsyncedReport { partition: Partition(7), why: "damage".into(), waits_for: vec![NodeId(2), NodeId(3)] };
        let report = AntiEntropyReport {
            node: NodeId(1),
            pairs: 4,
            compared: 3,
            last_ms: Some(61_000),
            trees: 8,
            trees_building: 1,
            damaged: 1,
            needs_sync: vec![mark],
            ..AntiEntropyReport::default()
        };
        let shown = table(std::slice::from_ref(&report)).to_string();
        assert!(shown.contains("1m 1s ago") && shown.contains("3/4") && shown.contains("8 +1"), "{shown}");
        assert_eq!(
            details(&report),
            [
                "node 1: partition 7 needs sync (damage), to be compared with node 2, node 3",
                "node 1: 1 records were found to be damaged, 0 of them were replaced by what others hold",
            ]
        );
    }
}
