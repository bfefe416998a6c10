//! `kv-cli cluster plan`.

use clap::Args;
use kv::wire::change::{NodePlanReport, PlanReport};
use serde_json::{Value, json};

use super::ask::Changes;
use super::brief;
use super::planned::{Planned, planned};
use super::remedies;
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::Output;
use crate::table::{Table, bytes};

const AFTER_HELP: &str = "\
For each node what it is, its zone, weight and partitions, now and then; how many partitions it gets and gives up; and about how \
many bytes are copied to it. Nothing is changed. Exit code 2 means that the plan is refused: it says why, and what to do.

Examples:
  kv-cli cluster plan
  kv-cli cluster plan --json
  kv-cli ring --explain --plan      why it would be so";

/// Show what the staged changes would move
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Plan {}

impl Plan {
    /// Shows it.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let changes = Changes::at(&at).await?;
        let planned = planned(&changes).await?;
        if output.is_json() {
            output.json(&as_json(&planned));
        } else {
            print(&planned, &changes.cluster, output);
        }
        Ok(if planned.plan.refusals.is_empty() { Exit::Done } else { Exit::Usage })
    }
}

/// What would move, and what speaks against it.
pub fn print(planned: &Planned, cluster: &str, output: &mut Output) {
    let PlanReport { version, epoch, actions, nodes, refusals, running, .. } = &planned.plan;
    if !actions.is_empty() {
        output.line(format_args!("staged (version {version}), on ring epoch {epoch}:"));
        actions.iter().for_each(|action| output.line(format_args!("  {action}")));
        output.line("");
        output.line(table(nodes, planned));
        output.line("");
        output.line(totals(planned));
    }
    if let Some(number) = running {
        output.line(format_args!(
            "\nChange {number} is under way; this is reckoned from its end. Only the removal of nodes that are down can be \
             committed before."
        ));
    }
    for refusal in refusals {
        let kind = if refusal.can_be_forced { "Refused" } else { "Impossible" };
        output.line(format_args!("\n* {kind}: {}.", refusal.refusal));
        output.line(format_args!("  {}", remedies::for_refusal(&refusal.refusal, cluster)));
    }
    if refusals.is_empty() && running.is_none() {
        output.line(format_args!("`kv-cli{cluster} cluster commit` begins it."));
    }
}

fn table(nodes: &[NodePlanReport], planned: &Planned) -> Table {
    let mut table = Table::new(["NODE", "IS", "ZONE", "WEIGHT", "PARTITIONS", "ARRIVING", "LEAVING", "COPIED"]);
    for node in nodes {
        let count = |partitions: usize| if partitions == 0 { "-".into() } else { partitions.to_string() };
        let copied = node.arriving_bytes.or_else(|| planned.bytes(node.arriving.len()));
        let copied =
            copied.filter(|_| !node.arriving.is_empty()).map_or("-".into(), |copied| format!("~{}", bytes(copied)));
        let live = if node.is_live { "" } else { ", down" };
        table.row([
            node.node.to_string(),
            format!("{}{live}", then(brief::standing(node.standing.0), brief::standing(node.standing.1))),
            then(named(&node.zone.0), named(&node.zone.1)),
            then(node.weight.0, node.weight.1),
            then(node.owned.0, node.owned.1),
            count(node.arriving.len()),
            count(node.leaving.len()),
            copied,
        ]);
    }
    table
}

fn named(zone: &str) -> &str {
    if zone.is_empty() { "-" } else { zone }
}

/// Now and then; once, if it stays so.
fn then<T: PartialEq + std::fmt::Display>(now: T, then: T) -> String {
    if now == then { now.to_string() } else { format!("{now} -> {then}") }
}

fn totals(planned: &Planned) -> String {
    let PlanReport { partitions, moved, replicas, .. } = planned.plan;
    if moved == 0 {
        return "No partition gets another owner.".into();
    }
    let copied = planned.bytes(replicas as usize).map_or(String::new(), |copied| format!(", about {}", bytes(copied)));
    let few = planned.explanation.as_ref().map_or(String::new(), |explanation| {
        let (fewest, off) = (explanation.fewest, explanation.unfairness);
        let even = match format!("{off:.1}").as_str() {
            "0.0" => "Every node then owns its fair share.".to_string(),
            off => format!("Then no node is more than {off} replicas off its fair share."),
        };
        format!("\nThe fewest possible is {}: {}.\n{even}", fewest.replicas, fewest.because)
    });
    format!("{moved} of {partitions} partitions get other owners; {replicas} replicas are copied{copied}.{few}")
}

/// The same for programs.
pub fn as_json(planned: &Planned) -> Value {
    let mut document = json!(planned.plan);
    document["epoch"] = json!(planned.plan.epoch.to_string());
    document["fewest"] = json!(planned.explanation.as_ref().map(|explanation| explanation.fewest));
    document["unfairness"] = json!(planned.explanation.as_ref().map(|explanation| explanation.unfairness));
    document["bytes"] = json!(planned.bytes(planned.plan.replicas as usize));
    for (shown, node) in document["nodes"].as_array_mut().into_iter().flatten().zip(&planned.plan.nodes) {
        shown["arriving_bytes"] = json!(node.arriving_bytes.or_else(|| planned.bytes(node.arriving.len())));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::explained;
    use crate::ring::explained::tests::{plan_of, ring};
    use kv::core::id::NodeId;
    use kv::core::ring::change::Action;

    fn planned(actions: &[Action]) -> Planned {
        let plan = plan_of(actions);
        let explanation = explained::planned(&plan, &ring());
        Planned { plan, explanation, partition_bytes: Some(1 << 20) }
    }

    fn shown(planned: &Planned) -> String {
        let mut output = Output::new(false);
        print(planned, " -x", &mut output);
        output.text()
    }

    #[test]
    fn a_join_is_shown_node_by_node_and_in_sum() {
        let text = shown(&planned(&[Action::Join { node: NodeId(4) }]));
        let row = |node: &str| {
            let row = text.lines().find(|line| line.starts_with(node)).unwrap();
            row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(row("1"), ["1", "owner", "default", "100", "64 -> 48", "-", "16", "-"], "{text}");
        let joins = ["4", "guest -> owner", "default", "0 -> 100", "0 -> 48", "48", "-", "~48.0 MiB"];
        assert_eq!(row("4"), joins, "{text}");
        assert!(text.starts_with("staged (version 1), on ring epoch 0.5:\n  node 4 joins\n\n"), "{text}");
        assert!(text.contains("48 replicas are copied, about 48.0 MiB.\nThe fewest possible is 48: "), "{text}");
        assert!(text.ends_with("`kv-cli -x cluster commit` begins it.\n"), "{text}");
    }

    #[test]
    fn what_is_refused_says_what_to_do_and_offers_no_commit() {
        let text = shown(&planned(&[Action::Leave { node: NodeId(3) }]));
        assert!(text.contains("* Refused: each partition would have 2 owners"), "{text}");
        assert!(text.contains("\n  Let another node join in the same plan (`kv-cli -x cluster join`)"), "{text}");
        assert!(!text.contains("begins it"), "{text}");
        let text = shown(&planned(&[]));
        assert!(text.starts_with("\n* Impossible: nothing would change.\n  Stage something first"), "{text}");
    }

    #[test]
    fn a_change_that_runs_is_named() {
        let mut planned = planned(&[Action::Join { node: NodeId(4) }]);
        (planned.plan.running, planned.explanation) = (Some(7), None);
        let text = shown(&planned);
        assert!(text.contains("Change 7 is under way") && !text.contains("begins it"), "{text}");
        assert!(!text.contains("fewest"), "{text}");
    }

    #[test]
    fn programs_get_the_same() {
        let document = as_json(&planned(&[Action::Join { node: NodeId(4) }]));
        assert_eq!((&document["replicas"], &document["bytes"]), (&json!(48), &json!(48 << 20)));
        assert_eq!((&document["epoch"], &document["fewest"]["replicas"]), (&json!("0.5"), &json!(48)));
        assert_eq!(document["nodes"][3]["arriving_bytes"], json!(48 << 20));
    }
}
