//! `kv-cli coord status`.

use clap::Args;
use kv::client::ClientError;
use kv::core::id::NodeId;
use kv::core::ring::Member;
use kv::wire::report::{
    Inspect, Inspection, KeeperRole, NookeeperReport, ParticipantReport, ServiceReport, SessionReport, ZooKeeperReport,
};
use serde_json::json;

use super::{session, strange};
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};
use crate::status::{ask_all, trouble};
use crate::table::{Table, list, millis};

const AFTER_HELP: &str = "\
The node that is asked tells what it sees; one that is cut off sees an old leader. APPLIED of LOG are entries of the \
log that have reached the node's copy of the tree. A session ENDS when nothing more is heard of it.

Examples:
  kv-cli coord status
  kv-cli coord status --all     what every node sees, side by side";

/// Show who leads the coordination service, who votes, and which sessions are open
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Status {
    /// Ask every node
    #[arg(long)]
    all: bool,
}

impl Status {
    /// Asks any node, or all.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        if self.all {
            let told = ask_all(&client, Inspect::Service).await;
            if output.is_json() {
                output.json(&json!({ "nodes": told.iter().map(|(m, t)| member_json(m, t)).collect::<Vec<_>>() }));
            } else {
                output.line(side_by_side(&told));
            }
            return Ok(Exit::Done);
        }
        let Inspection::Service { node, service } = client.inspect_any(Inspect::Service).await? else {
            return Err(strange());
        };
        if output.is_json() {
            output.json(&json!({ "node": node, "service": service }));
            return Ok(Exit::Done);
        }
        match service.as_deref() {
            None => output.line(format_args!(
                "node {node} uses no coordination service: the members are the list of its configuration"
            )),
            Some(ServiceReport::Nookeeper(report)) => print_nookeeper(node, report, output),
            Some(ServiceReport::ZooKeeper(report)) => print_zookeeper(node, report, output),
        }
        Ok(Exit::Done)
    }
}

fn print_nookeeper(node: NodeId, report: &NookeeperReport, output: &mut Output) {
    let NookeeperReport { role, leader, leader_heard_ms, term, generation, revision, applied, last_log, .. } = report;
    output.line(format_args!("node {node} is {}", role_name(*role)));
    output.line(match leader {
        Some(leader) => {
            let heard = leader_heard_ms.map(|ms| format!(", heard {} ago", millis(ms))).unwrap_or_default();
            format!("leader    node {leader}, in term {term} of generation {generation}{heard}")
        }
        None => format!("leader    none, in term {term} of generation {generation}: nothing can be changed"),
    });
    output.line(format_args!("revision  {revision}"));
    output.line(format_args!("log       {applied} of {last_log} applied\n"));
    let mut table = Table::new(["NODE", "ADDRESS", "", "STORE"]);
    let mut add = |participants: &[ParticipantReport], what: &str| {
        for ParticipantReport { store, node, address } in participants {
            table.row([node.to_string(), address.clone(), what.into(), store.to_string()]);
        }
    };
    add(&report.voters, "votes");
    add(&report.learners, "learns");
    output.line(table);
    if report.changing {
        output.line("voters are changing: until that is done a majority of those before is needed as well\n");
    }
    print_sessions(&report.sessions, report.sessions_open, output);
    if let Some(trouble) = &report.trouble {
        output.line(format_args!("\ntrouble: {trouble}"));
    }
}

fn print_zookeeper(node: NodeId, report: &ZooKeeperReport, output: &mut Output) {
    output.line(format_args!("node {node} uses ZooKeeper at {}", list(&report.servers)));
    output.line(format_args!("state     {}", report.state));
    print_sessions(report.session.as_slice(), report.session.iter().len() as u64, output);
}

fn print_sessions(sessions: &[SessionReport], open: u64, output: &mut Output) {
    if sessions.is_empty() {
        return;
    }
    let ms = |known: Option<u64>| known.map_or("?".into(), millis);
    let mut table = Table::new(["SESSION", "TIMEOUT", "HEARD", "ENDS IN"]);
    for report in sessions {
        let heard = report.silent_ms.map_or("?".into(), |silent_ms| format!("{} ago", millis(silent_ms)));
        table.row([session(report.session), millis(report.timeout_ms), heard, ms(report.left_ms())]);
    }
    output.line(format_args!("\n{table}"));
    if open > sessions.len() as u64 {
        note(format_args!("note: {open} sessions are open; {} are shown", sessions.len()));
    }
}

fn side_by_side(told: &[(Member, Result<Inspection, ClientError>)]) -> Table {
    let headings = ["NODE", "ADDRESS", "ROLE", "LEADER", "TERM", "REVISION", "APPLIED", "LOG", "SESSIONS", "TROUBLE"];
    let mut table = Table::new(headings);
    for (member, told) in told {
        let cells = match told {
            Ok(Inspection::Service { service: Some(service), .. }) => cells(service),
            Ok(Inspection::Service { service: None, .. }) => vec!["uses no coordination service".into()],
            other => vec![format!("down: {}", trouble(other))],
        };
        table.row([member.node.to_string(), member.address.clone()].into_iter().chain(cells));
    }
    table
}

fn cells(service: &ServiceReport) -> Vec<String> {
    let dash = || "-".to_string();
    match service {
        ServiceReport::Nookeeper(report) => vec![
            role_name(report.role).into(),
            report.leader.map_or_else(|| "none".into(), |leader| leader.to_string()),
            report.term.to_string(),
            report.revision.to_string(),
            report.applied.to_string(),
            report.last_log.to_string(),
            report.sessions_open.to_string(),
            report.trouble.clone().unwrap_or_else(dash),
        ],
        ServiceReport::ZooKeeper(report) => vec![
            format!("ZooKeeper: {}", report.state),
            dash(),
            dash(),
            dash(),
            dash(),
            dash(),
            report.session.as_ref().map_or_else(dash, |own| session(own.session)),
            dash(),
        ],
    }
}

/// What a node is in the service.
fn role_name(role: KeeperRole) -> &'static str {
    match role {
        KeeperRole::Leader => "leader",
        KeeperRole::Follower => "follower",
        KeeperRole::Candidate => "candidate",
        KeeperRole::Learner => "learner",
        KeeperRole::Stopped => "stopped",
    }
}

fn member_json(member: &Member, told: &Result<Inspection, ClientError>) -> serde_json::Value {
    match told {
        Ok(Inspection::Service { service, .. }) => {
            json!({ "node": member.node, "address": member.address, "up": true, "service": service })
        }
        other => json!({ "node": member.node, "address": member.address, "up": false, "trouble": trouble(other) }),
    }
}
