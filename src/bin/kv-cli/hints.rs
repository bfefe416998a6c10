//! `kv-cli hints`.

use clap::Args;
use kv::core::id::NodeId;
use kv::wire::report::{HintReport, HintsReport, Inspect, Inspection};
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};
use crate::status::{ask_all, trouble};
use crate::table::{Table, bytes, store, uptime};

const AFTER_HELP: &str = "\
While a node is down others take its writes and keep them for it. When it is back they deliver them, at [hints] bytes_per_s_max \
a second, and delete what it has acknowledged, and nothing else. When a budget is used up (target_bytes_max, bytes_max) new \
copies are refused: they do not count as replicas, and the node is told to exchange those partitions (MISSED) when it is back.

Examples:
  kv-cli hints
  kv-cli hints --json";

/// Show what nodes keep for others that are down, and how the delivery goes
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Hints {}

impl Hints {
    /// Asks all members.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let mut reports: Vec<(NodeId, HintsReport)> = vec![];
        for (member, told) in ask_all(&client, Inspect::Hints).await {
            match told {
                Ok(Inspection::Hints(report)) => reports.push((member.node, *report)),
                other => note(format_args!("note: node {} is missing: {}", member.node, trouble(&other))),
            }
        }
        if output.is_json() {
            let node = |(node, report): &(NodeId, HintsReport)| json!({ "node": node, "hints": report });
            output.json(&json!({ "nodes": reports.iter().map(node).collect::<Vec<_>>() }));
            return Ok(Exit::Done);
        }
        if reports.iter().all(|(_, report)| report.targets.is_empty()) {
            output.line("no hints: nobody keeps anything for others");
        } else {
            output.line(table(&reports));
        }
        for (node, report) in &reports {
            if let Some(usage) = usage(report) {
                output.line(format_args!("node {node} {usage}"));
            }
        }
        Ok(Exit::Done)
    }
}

fn table(reports: &[(NodeId, HintsReport)]) -> Table {
    let mut table = Table::new(["FOR", "KEPT BY", "KEYS", "BYTES", "OLDEST", "RATE", "MISSED", "WAITS"]);
    let mut rows: Vec<(NodeId, NodeId, &HintReport)> = vec![];
    for (node, report) in reports {
        rows.extend(report.targets.iter().map(|target| (target.node, *node, target)));
    }
    rows.sort_by_key(|(target, node, _)| (*target, *node));
    for (target, node, report) in rows {
        // Who is no member any more has no number.
        let target =
            if target == NodeId(0) { format!("store {}", store(report.store)) } else { format!("node {target}") };
        table.row([
            target,
            format!("node {node}"),
            report.keys.to_string(),
            bytes(report.bytes),
            if report.keys == 0 { "-".into() } else { uptime(report.oldest_s) },
            report.bytes_per_s.map_or("-".into(), |rate| format!("{}/s", bytes(rate))),
            report.missed_partitions.to_string(),
            report.waiting.clone().unwrap_or_else(|| "-".into()),
        ]);
    }
    table
}

/// What a node keeps of what it may, once that is worth a line.
fn usage(report: &HintsReport) -> Option<String> {
    let is_much = report.bytes > report.bytes_max / 2 || report.refused > 0;
    is_much.then(|| {
        format!(
            "keeps {} of {} ({} for one node) and has refused {} copies since its start",
            bytes(report.bytes),
            bytes(report.bytes_max),
            bytes(report.target_bytes_max),
            report.refused
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::core::id::StoreId;

    fn report(node: u32, waiting: Option<&str>) -> HintReport {
        HintReport {
            store: StoreId(7),
            node: NodeId(node),
            keys: 3,
            bytes: 2048,
            oldest_s: 61,
            missed_partitions: 2,
            bytes_per_s: waiting.is_none().then_some(1024),
            waiting: waiting.map(String::from),
        }
    }

    #[test]
    fn a_line_for_each_target_and_keeper() {
        let of = |targets: Vec<HintReport>| HintsReport { targets, ..HintsReport::default() };
        let reports =
            [(NodeId(1), of(vec![report(3, Some("node 3 is down")), report(2, None)])), (NodeId(2), of(vec![]))];
        assert_eq!(
            table(&reports).to_string(),
            "FOR     KEPT BY  KEYS  BYTES    OLDEST  RATE       MISSED  WAITS\n\
             node 2  node 1   3     2.0 KiB  1m 1s   1.0 KiB/s  2       -\n\
             node 3  node 1   3     2.0 KiB  1m 1s   -          2       node 3 is down"
        );
    }

    #[test]
    fn a_budget_is_told_when_it_matters() {
        let mut report = HintsReport { bytes_max: 4096, target_bytes_max: 4096, bytes: 1, ..HintsReport::default() };
        assert_eq!(usage(&report), None);
        (report.bytes, report.refused) = (3072, 5);
        let told = usage(&report).unwrap();
        assert_eq!(told, "keeps 3.0 KiB of 4.0 KiB (4.0 KiB for one node) and has refused 5 copies since its start");
    }
}
