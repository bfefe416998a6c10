//! `kv-cli cluster status`.

use clap::Args;
use kv::client::ClientError;
use kv::core::id::NodeId;
use kv::wire::report::{ClusterReport, Inspect, Inspection, Liveness, MemberReport, ServiceReport};
use serde_json::json;

use crate::advice::advise;
use crate::cluster::Where;
use crate::cluster_changes::brief;
use crate::coord::session;
use crate::exit::{CliError, Exit};
use crate::output::Output;
use crate::table::{self, Table, list, millis};

const AFTER_HELP: &str = "\
All is as the asked node sees it: LINK is its own link to a member, SESSION what the coordination service says. \
--node asks a certain one. `kv-cli status` asks every node how it is itself.

Examples:
  kv-cli cluster status
  kv-cli cluster status --node 3
  kv-cli cluster status --json";

/// Show members, leader, what is under-replicated, and what to do about it
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Status {
    /// The node to ask; otherwise any
    #[arg(long, value_name = "ID")]
    node: Option<u32>,
}

impl Status {
    /// Asks one node.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let shown = match self.node {
            Some(node) => client.inspect(NodeId(node), Inspect::Cluster).await?,
            None => client.inspect_any(Inspect::Cluster).await?,
        };
        let Inspection::Cluster(report) = shown else {
            let reason = "it showed another report than the one that was asked for".into();
            return Err(ClientError::Protocol { address: "the node".into(), reason }.into());
        };
        if output.is_json() {
            let mut document = json!(report);
            document["epoch"] = json!(report.epoch.to_string());
            output.json(&document);
        } else {
            print(&report, &at.as_arguments(None), output);
        }
        Ok(Exit::Done)
    }
}

fn print(report: &ClusterReport, cluster: &str, output: &mut Output) {
    let ClusterReport { asked, epoch, partitions, replication, .. } = report;
    output.line(format_args!(
        "cluster {}, ring epoch {epoch}, {partitions} partitions, replication {replication}, as node {asked} sees it",
        report.cluster
    ));
    output.line(service(report));
    output.line(own_session(report));
    if let Some(change) = &report.change {
        output.line(format_args!("{}; `kv-cli{cluster} cluster watch`", brief::told(change)));
    }
    output.line("");
    output.line(members(report));
    output.line("");
    output.line(under_replicated(report));
    for finding in &report.findings {
        let advice = advise(finding, report, cluster);
        output.line(format_args!("\n* {}", advice.what));
        advice.then.iter().for_each(|then| output.line(format_args!("  {then}")));
        advice.type_next.iter().for_each(|command| output.line(format_args!("      {command}")));
    }
}

fn service(report: &ClusterReport) -> String {
    match &report.service {
        None => "coordination: a service that the program around the node brought; it tells nothing of itself".into(),
        Some(ServiceReport::Nookeeper(service)) => {
            let leader = service.leader.map_or("no leader".into(), |leader| format!("leader node {leader}"));
            let mut voters: Vec<_> = service.voters.iter().map(|voter| voter.node).collect();
            voters.sort();
            format!(
                "coordination: {leader}, term {}, voters {}, revision {}",
                service.term,
                list(&voters),
                service.revision
            )
        }
        Some(ServiceReport::ZooKeeper(service)) => {
            format!("coordination: ZooKeeper at {}, {}", list(&service.servers), service.state)
        }
    }
}

fn own_session(report: &ClusterReport) -> String {
    let own = match report.session {
        Some(own) => {
            let state = if own.connected { "connected" } else { "no answer from the service" };
            format!("session {} of {}, {state}", session(own.session), millis(own.timeout_ms))
        }
        None => "no session".into(),
    };
    let lease = match report.lease.left_ms {
        0 => "lease over: strict requests are refused".into(),
        left_ms => format!("lease held for {} more", millis(left_ms)),
    };
    format!("node {}: {own}; {lease}", report.asked)
}

fn members(report: &ClusterReport) -> Table {
    let mut table =
        Table::new(["NODE", "ADDRESS", "IS", "ZONE", "WEIGHT", "PARTITIONS", "LINK", "SESSION", "HEARD", "STORE"]);
    for member in &report.members {
        let MemberReport { node, address, zone, weight, standing, partitions, up, store, .. } = member;
        let node = if *node == NodeId(0) { "-".into() } else { node.to_string() };
        let zone = if zone.is_empty() { "-".into() } else { zone.clone() };
        let link = if *up { "up" } else { "down" }.into();
        let [session, heard] = liveness(member.liveness);
        let store = table::store(*store);
        let numbers = [weight.to_string(), partitions.to_string()];
        let start = [node, address.clone(), brief::standing(*standing).into(), zone];
        table.row(start.into_iter().chain(numbers).chain([link, session, heard, store]));
    }
    table
}

fn liveness(liveness: Liveness) -> [String; 2] {
    match liveness {
        Liveness::Unknown => ["?".into(), "?".into()],
        Liveness::Gone => ["none".into(), "-".into()],
        Liveness::Live { session: number, silent_ms, .. } => {
            [session(number), silent_ms.map_or("?".into(), |silent_ms| format!("{} ago", millis(silent_ms)))]
        }
    }
}

fn under_replicated(report: &ClusterReport) -> String {
    let lacking = &report.under_replicated;
    if lacking.partitions == 0 {
        return format!("Every partition has all its {} owners.", report.replication);
    }
    let gaps: Vec<_> = lacking
        .gaps
        .iter()
        .map(|gap| match gap.node {
            NodeId(0) => format!("{} for store {:?}, which was replaced", gap.partitions, gap.store),
            node => format!("{} for node {node}", gap.partitions),
        })
        .collect();
    format!(
        "Under-replicated: {} of {} partitions lack an owner: {}.",
        lacking.partitions,
        report.partitions,
        list(&gaps)
    )
}
