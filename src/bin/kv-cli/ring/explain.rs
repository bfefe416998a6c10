//! `kv-cli ring --explain`: why each node owns as much as it does.

use kv::core::id::NodeId;
use kv::core::ring::assign::{Explanation, Forced, NodeShare, ZoneShare};
use kv::wire::change::PlanReport;

use super::{explained, motion};
use crate::cluster::Where;
use crate::cluster_changes::{Changes, planned};
use crate::exit::{CliError, Exit};
use crate::output::Output;
use crate::table::{self, Table, list};

/// Explains the ring, or what it would be by the plan that is staged.
pub async fn run(at: Where, is_plan: bool, output: &mut Output) -> Result<Exit, CliError> {
    let changes = Changes::at(&at).await?;
    let ring = changes.client.ring().ring.clone();
    let (explanation, plan) = if is_plan {
        let planned = planned(&changes).await?;
        (planned.explanation, Some(planned.plan))
    } else {
        (explained::present(&ring), None)
    };
    let explanation = explanation.ok_or_else(|| CliError::Usage(unexplained(plan.as_ref())))?;
    if output.is_json() {
        output.json(&explanation);
        return Ok(Exit::Done);
    }
    match &plan {
        Some(plan) => output.line(format_args!("the ring as this would make it: {}", list(&plan.actions))),
        None => output.line(format_args!("ring epoch {}", ring.epoch)),
    }
    print(&explanation, output);
    if let Some(moving) = motion::in_brief(&ring).filter(|_| !is_plan) {
        output.line(format_args!(
            "\n{moving}; this is what is read from now. `kv-cli cluster watch` shows where it goes."
        ));
    }
    Ok(Exit::Done)
}

/// Why there is nothing to explain.
fn unexplained(plan: Option<&PlanReport>) -> String {
    match plan {
        Some(PlanReport { running: Some(number), .. }) => {
            format!("change {number} is under way; the plan can be explained when it has ended: `kv-cli cluster watch`")
        }
        Some(_) => "the ring changes while it is looked at, or nobody would be left to own anything; try again".into(),
        None => "no member may own anything".into(),
    }
}

fn print(explanation: &Explanation, output: &mut Output) {
    let Explanation { partitions, replication, replicas, zones_least, nodes, zones, moved, fewest, .. } = explanation;
    let short = if replicas < replication { format!(" ({replication} are wanted)") } else { String::new() };
    output.line(format_args!(
        "{partitions} partitions of {replicas} replicas each{short}; zones of the least spread partition: {zones_least}\n"
    ));
    output.line(by_node(nodes, *moved > 0));
    output.line("");
    output.line(by_zone(zones));
    output.line("");
    output.line(farthest(nodes));
    zones.iter().filter(|zone| zone.forced != Forced::No).for_each(|zone| output.line(forced(zone)));
    if *moved > 0 {
        output.line(format_args!(
            "{moved} replicas move; the fewest possible is {}: {}.",
            fewest.replicas, fewest.because
        ));
    }
}

fn by_node(nodes: &[NodeShare], moves: bool) -> Table {
    let moving: &[&str] = if moves { &["BEFORE", "ARRIVING", "LEAVING"] } else { &[] };
    let headings = ["NODE", "ZONE", "WEIGHT", "BY WEIGHT", "FAIR", "OWNS", "OFF BY"];
    let mut table = Table::new(headings.iter().chain(moving).copied());
    let mut nodes: Vec<&NodeShare> = nodes.iter().collect();
    nodes.sort_by_key(|node| (node.node.is_none(), node.node, node.store));
    for share in nodes {
        let node = share.node.map_or_else(|| format!("store {}", table::store(share.store)), |node| node.to_string());
        let zone = share.zone.clone().filter(|zone| !zone.is_empty()).unwrap_or("-".into());
        let off = share.load.after as f64 - share.fair;
        let start = [node, zone, share.weight.to_string(), decimal(share.by_weight), decimal(share.fair)];
        let row = start.into_iter().chain([share.load.after.to_string(), format!("{off:+.1}")]);
        let moving = [share.load.before, share.load.arriving, share.load.leaving].map(|count| count.to_string());
        table.row(row.chain(moving.into_iter().take(if moves { 3 } else { 0 })));
    }
    table
}

fn by_zone(zones: &[ZoneShare]) -> Table {
    let mut table = Table::new(["ZONE", "NODES", "WEIGHT", "BY WEIGHT", "FAIR", "OWNS", "OF EACH PARTITION"]);
    for zone in zones {
        let of_each =
            if zone.least == zone.most { zone.least.to_string() } else { format!("{} or {}", zone.least, zone.most) };
        let name = if zone.zone.is_empty() { "-" } else { &zone.zone };
        table.row([
            name.to_string(),
            zone.members.to_string(),
            zone.weight.to_string(),
            decimal(zone.by_weight),
            decimal(zone.fair),
            zone.load.after.to_string(),
            of_each,
        ]);
    }
    table
}

fn decimal(replicas: f64) -> String {
    format!("{replicas:.1}")
}

/// Who is farthest from what is fair.
fn farthest(nodes: &[NodeShare]) -> String {
    let off = |node: &NodeShare| (node.load.after as f64 - node.fair).abs();
    let Some(worst) = nodes.iter().max_by(|a, b| off(a).total_cmp(&off(b))) else {
        return "nobody owns anything".into();
    };
    if off(worst) == 0.0 {
        return "Every node owns exactly its fair share.".into();
    }
    let name = match worst.node {
        Some(node) if node != NodeId(0) => format!("node {node}"),
        _ => format!("store {}, which is to be emptied,", table::store(worst.store)),
    };
    format!("Farthest from its fair share is {name}, by {:.1} replicas; less than 1 is as even as can be.", off(worst))
}

fn forced(zone: &ZoneShare) -> String {
    let name = if zone.zone.is_empty() { "without a name" } else { &zone.zone };
    format!(
        "Zone {name} owns {}. By weight it would be {}, by the zone rule it is {}.",
        zone.forced,
        decimal(zone.by_weight),
        decimal(zone.fair)
    )
}

#[cfg(test)]
mod tests {
    use super::explained::tests::{plan_of, ring};
    use super::*;
    use kv::core::ring::change::Action;

    fn shown(explanation: &Explanation) -> String {
        let mut output = Output::new(false);
        print(explanation, &mut output);
        output.text()
    }

    #[test]
    fn shares_are_shown_by_node_and_zone() {
        let text = shown(&explained::present(&ring()).unwrap());
        assert!(
            text.starts_with("64 partitions of 3 replicas each; zones of the least spread partition: 1\n"),
            "{text}"
        );
        let row = |i: usize| text.lines().nth(i).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(row(3), ["1", "default", "100", "64.0", "64.0", "64", "+0.0"], "{text}");
        assert_eq!(row(6), ["4", "default", "0", "0.0", "0.0", "0", "+0.0"], "{text}");
        assert_eq!(row(9), ["default", "3", "300", "192.0", "192.0", "192", "3"], "{text}");
        assert!(text.ends_with("Every node owns exactly its fair share.\n"), "{text}");
    }

    #[test]
    fn a_plan_also_says_what_moves_and_that_no_less_would_do() {
        let plan = plan_of(&[Action::Join { node: NodeId(4) }]);
        let text = shown(&explained::planned(&plan, &ring()).unwrap());
        let row: Vec<_> = text.lines().nth(6).unwrap().split_whitespace().collect();
        assert_eq!(row, ["4", "default", "100", "48.0", "48.0", "48", "+0.0", "0", "48", "0"], "{text}");
        assert!(text.contains("48 replicas move; the fewest possible is 48: "), "{text}");
    }

    #[test]
    fn what_the_zone_rule_forces_is_told() {
        let zones = |node: u32| Action::Set {
            node: NodeId(node),
            weight: (node == 1).then_some(1_000),
            zone: Some(format!("zone-{node}")),
        };
        let plan = plan_of(&[zones(1), zones(2), zones(3)]);
        let text = shown(&explained::planned(&plan, &ring()).unwrap());
        assert!(text.contains("Zone zone-1 owns less than its weight asks"), "{text}");
        assert!(text.contains("By weight it would be 160.0, by the zone rule it is 64.0."), "{text}");
    }

    #[test]
    fn an_uneven_ring_names_the_farthest() {
        let mut explanation = explained::present(&ring()).unwrap();
        explanation.nodes[1].load.after = 60;
        assert!(farthest(&explanation.nodes).contains("node 2, by 4.0 replicas"));
    }
}
