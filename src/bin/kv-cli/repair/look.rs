//! How far the nodes are.

use std::collections::BTreeMap;

use kv::client::Client;
use kv::core::id::NodeId;
use kv::wire::report::{Inspect, Inspection, RepairReport};
use serde_json::{Value, json};

use crate::status::trouble;
use crate::table::{bytes, uptime};

/// What each node says of what was asked of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Look {
    nodes: BTreeMap<NodeId, Told>,
}

/// What one node says.
#[derive(Clone, PartialEq, Debug)]
enum Told {
    /// Nothing yet.
    Nothing,
    /// This.
    Report(RepairReport),
    /// It does not answer.
    Trouble(String),
}

impl Look {
    /// These nodes have begun.
    pub fn begin(nodes: Vec<NodeId>) -> Look {
        Look { nodes: nodes.into_iter().map(|node| (node, Told::Nothing)).collect() }
    }

    /// Asks all that are not done.
    pub async fn refresh(&mut self, client: &Client) {
        for (node, told) in &mut self.nodes {
            if matches!(told, Told::Report(report) if report.is_over) {
                continue;
            }
            *told = match client.inspect(*node, Inspect::AntiEntropy).await {
                Ok(Inspection::AntiEntropy(report)) => {
                    report.run.map_or_else(|| Told::Trouble("it was restarted".into()), Told::Report)
                }
                other => Told::Trouble(trouble(&other)),
            };
        }
    }

    /// What the nodes say, in their order.
    pub fn reports(&self) -> impl Iterator<Item = (NodeId, &RepairReport)> {
        self.nodes.iter().filter_map(|(node, told)| match told {
            Told::Report(report) => Some((*node, report)),
            _ => None,
        })
    }

    fn sum(&self, of: impl Fn(&RepairReport) -> u64) -> u64 {
        self.reports().map(|(_, report)| of(report)).sum()
    }

    /// Whether nothing more will come of it soon.
    pub fn is_over(&self) -> bool {
        self.nodes.values().all(|told| match told {
            Told::Nothing => false,
            Told::Report(report) => report.is_over || report.done + report.unreachable >= report.pairs,
            Told::Trouble(_) => true,
        })
    }

    /// Whether everything was compared.
    pub fn is_complete(&self) -> bool {
        self.nodes.values().all(|told| matches!(told, Told::Report(report) if report.is_over))
    }

    /// What could not be compared, and why.
    pub fn reasons(&self) -> Vec<String> {
        let reason = |(node, told): (&NodeId, &Told)| match told {
            Told::Trouble(why) => Some(format!("node {node} does not say how far it is: {why}")),
            Told::Report(report) if report.unreachable > 0 => {
                let pairs = report.unreachable;
                Some(format!(
                    "{pairs} comparisons of node {node} wait for nodes that are down; it makes them when these are back"
                ))
            }
            _ => None,
        };
        let unreadable = self.sum(|report| report.unreadable);
        let damage = (unreadable > 0).then(|| format!("{unreadable} records can be read by neither owner"));
        self.nodes.iter().filter_map(reason).chain(damage).collect()
    }

    /// One line.
    pub fn line(&self) -> String {
        let (done, pairs) = (self.sum(|report| report.done), self.sum(|report| report.pairs));
        let (keys, moved) = (self.sum(|report| report.keys), self.sum(|r| r.received + r.sent));
        format!("{done} of {pairs} comparisons, {keys} keys compared, {moved} objects moved")
    }

    /// What came of it.
    pub fn summary(&self) -> String {
        let took_s = self.reports().map(|(_, report)| report.took_ms).max().unwrap_or(0) / 1000;
        let mended = self.sum(|report| report.mended);
        let mended = if mended > 0 { format!(", {mended} damaged records replaced") } else { String::new() };
        let moved = bytes(self.sum(|report| report.bytes));
        format!("{} ({moved}){mended}, in {}", self.line(), uptime(took_s))
    }

    /// For programs.
    pub fn as_json(&self) -> Value {
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .map(|(node, told)| match told {
                Told::Nothing => json!({ "node": node }),
                Told::Report(report) => json!({ "node": node, "repair": report }),
                Told::Trouble(why) => json!({ "node": node, "trouble": why }),
            })
            .collect();
        json!({
            "over": self.is_over(),
            "complete": self.is_complete(),
            "pairs": self.sum(|report| report.pairs),
            "done": self.sum(|report| report.done),
            "unreachable": self.sum(|report| report.unreachable),
            "keys": self.sum(|report| report.keys),
            "received": self.sum(|report| report.received),
            "sent": self.sum(|report| report.sent),
            "bytes": self.sum(|report| report.bytes),
            "mended": self.sum(|report| report.mended),
            "unreadable": self.sum(|report| report.unreadable),
            "nodes": nodes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(told: impl IntoIterator<Item = Told>) -> Look {
        Look { nodes: (1..).map(NodeId).zip(told).collect() }
    }

    fn report(done: u64, unreachable: u64) -> Told {
        Told::Report(RepairReport {
            pairs: 10,
            done,
            unreachable,
            keys: 100,
            received: 2,
            sent: 1,
            bytes: 2048,
            is_over: done == 10,
            ..RepairReport::default()
        })
    }

    #[test]
    fn it_is_over_when_nobody_can_go_on() {
        assert!(!look([Told::Nothing]).is_over());
        assert!(!look([report(10, 0), report(5, 4)]).is_over());
        let waiting = look([report(10, 0), report(5, 5)]);
        assert!(waiting.is_over() && !waiting.is_complete());
        let done = look([report(10, 0), report(10, 0)]);
        assert!(done.is_over() && done.is_complete());
        let dead = look([report(10, 0), Told::Trouble("refused".into())]);
        assert!(dead.is_over() && !dead.is_complete());
    }

    #[test]
    fn it_says_what_was_done_and_what_was_not() {
        let look = look([report(10, 0), report(5, 5)]);
        assert_eq!(look.summary(), "15 of 20 comparisons, 200 keys compared, 6 objects moved (4.0 KiB), in 0s");
        let waits = "5 comparisons of node 2 wait for nodes that are down; it makes them when these are back";
        assert_eq!(look.reasons(), [waits]);
        let document = look.as_json();
        assert_eq!((&document["done"], &document["complete"]), (&json!(15), &json!(false)));
        assert_eq!(document["nodes"][1]["repair"]["unreachable"], json!(5));
    }
}
