//! `kv-cli tombstones`.

use std::collections::BTreeMap;

use clap::Args;
use kv::client::ClientError;
use kv::core::id::NodeId;
use kv::core::ring::Member;
use kv::wire::report::{Inspect, Inspection, TombstonesReport};
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};
use crate::status::{ask_all, trouble};
use crate::table::{Table, millis};

const AFTER_HELP: &str = "\
A deleted key leaves a tombstone on each of its owners, so that no old copy brings it back. It is forgotten \
(reaped) when all owners have held it for the grace ([reap] grace) and then every node, in the ring or out of it \
for a while, has answered that it holds no copy. A node that cannot be asked keeps tombstones from being \
reaped: start it again, or say that its data is destroyed with `kv-cli cluster forget`. EXPIRED values are \
treated alike, from their expiry on.

Each key counts on each node that holds it. DUE: the grace is over on that node.

Examples:
  kv-cli tombstones
  kv-cli tombstones --bucket sessions
  kv-cli tombstones --node 2 --json";

/// Show what is deleted and not forgotten yet, and what keeps it
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Tombstones {
    /// Count the keys of this bucket alone
    #[arg(long)]
    bucket: Option<String>,
    /// Show this node alone
    #[arg(long, value_name = "NODE")]
    node: Option<u32>,
}

impl Tombstones {
    /// Asks all members, or one.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let what = Inspect::Tombstones(self.bucket);
        let told = match self.node.map(NodeId) {
            Some(node) => {
                let member = client.ring().ring.node(node).cloned();
                let told = client.inspect(node, what).await;
                match member {
                    Some(member) => vec![(member, told)],
                    None => return told.map(|_| Exit::Done).map_err(CliError::from),
                }
            }
            None => ask_all(&client, what).await,
        };
        let reports = reports(&told);
        if output.is_json() {
            output.json(&json!({ "nodes": reports }));
            return Ok(Exit::Done);
        }
        output.line(table(&reports));
        for line in reasons(&reports) {
            output.line(line);
        }
        Ok(Exit::Done)
    }
}

fn reports(told: &[(Member, Result<Inspection, ClientError>)]) -> Vec<&TombstonesReport> {
    let mut reports = vec![];
    for (member, told) in told {
        match told {
            Ok(Inspection::Tombstones(report)) => reports.push(&**report),
            other => note(format_args!("note: node {} is missing: {}", member.node, trouble(other))),
        }
    }
    reports
}

fn table(reports: &[&TombstonesReport]) -> Table {
    let headings = ["NODE", "TOMBSTONES", "EXPIRED", "EXPIRING", "OLDEST", "GRACE", "DUE", "REAPED", "PRUNED"];
    let mut table = Table::new(headings);
    for report in reports {
        table.row([
            report.node.map_or("?".into(), |node| node.to_string()),
            report.tombstones.to_string(),
            report.expired.to_string(),
            report.expiring.to_string(),
            report.oldest_ms.map_or("-".into(), millis),
            millis(report.grace_ms),
            report.due.to_string(),
            report.reaped.to_string(),
            report.pruned.to_string(),
        ]);
    }
    table
}

/// What keeps what is due, the most frequent first: each reason once, however many nodes name it.
fn reasons(reports: &[&TombstonesReport]) -> Vec<String> {
    let (mut blocked, mut differing) = (BTreeMap::<&str, u64>::new(), BTreeMap::<NodeId, u64>::new());
    for report in reports {
        for (reason, partitions) in &report.reaping.blocked {
            *blocked.entry(reason).or_default() += partitions;
        }
        for (node, keys) in &report.reaping.differing {
            *differing.entry(*node).or_default() += keys;
        }
    }
    let mut blocked: Vec<_> = blocked.into_iter().collect();
    blocked.sort_by_key(|(reason, partitions)| (std::cmp::Reverse(*partitions), *reason));
    let blocks = blocked.into_iter().map(|(reason, partitions)| {
        let ending = if partitions == 1 { "" } else { "s" };
        format!("nothing is reaped in {partitions} partition{ending}: {reason}")
    });
    let differs = differing.into_iter().map(|(node, keys)| {
        let ending = if keys == 1 { "" } else { "s" };
        format!("node {node} holds {keys} key{ending} in another version: repair comes first")
    });
    blocks.chain(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::wire::report::ReapReport;

    #[test]
    fn reasons_are_told_once_and_the_most_frequent_first() {
        let report = |blocked: &[(&str, u64)], differing: &[(u32, u64)]| TombstonesReport {
            reaping: ReapReport {
                blocked: blocked.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
                differing: differing.iter().map(|(node, keys)| (NodeId(*node), *keys)).collect(),
                under_way: 0,
            },
            ..TombstonesReport::default()
        };
        let (one, two) = (report(&[("a", 1), ("b", 1)], &[(2, 3)]), report(&[("b", 1)], &[(2, 1), (3, 1)]));
        assert_eq!(
            reasons(&[&one, &two]),
            [
                "nothing is reaped in 2 partitions: b",
                "nothing is reaped in 1 partition: a",
                "node 2 holds 4 keys in another version: repair comes first",
                "node 3 holds 1 key in another version: repair comes first",
            ]
        );
    }
}
