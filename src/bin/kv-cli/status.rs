//! `kv-cli status`.

use clap::Args;
use kv::client::{Client, ClientError};
use kv::core::ring::Member;
use kv::wire::report::{Inspect, Inspection, PeerReport, StatusReport};
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::Output;
use crate::table::{Table, bytes, list, uptime};

const AFTER_HELP: &str = "\
STATE is as seen from here; CANNOT REACH are the nodes that this node has no link to. HINTS are writes that \
it keeps for owners that are down.

Examples:
  kv-cli status
  kv-cli status --json --timeout 1s";

/// Show how every node is
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Status {}

impl Status {
    /// Asks all members.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let ring = client.ring();
        let reports = ask_all(&client, Inspect::Status).await;
        if output.is_json() {
            let nodes: Vec<_> = reports.iter().map(|(member, told)| as_json(member, told)).collect();
            output.json(&json!({ "cluster": ring.cluster, "epoch": ring.ring.epoch.to_string(), "nodes": nodes }));
            return Ok(Exit::Done);
        }
        output.line(format_args!("cluster {}, ring epoch {}\n", ring.cluster, ring.ring.epoch));
        let headings = [
            "NODE",
            "ADDRESS",
            "STATE",
            "UPTIME",
            "VERSION",
            "EPOCH",
            "ENGINE",
            "SYNC",
            "DATA",
            "FREE",
            "HINTS",
            "CANNOT REACH",
        ];
        let mut table = Table::new(headings);
        for (member, told) in &reports {
            let start = [member.node.to_string(), member.address.clone()];
            match told {
                Ok(Inspection::Status(status)) => table.row(start.into_iter().chain(cells(status))),
                other => table.row(start.into_iter().chain([format!("down: {}", trouble(other))])),
            }
        }
        output.line(table);
        Ok(Exit::Done)
    }
}

/// Asks every member at once; answers come in the order of the nodes.
pub async fn ask_all(client: &Client, what: Inspect) -> Vec<(Member, Result<Inspection, ClientError>)> {
    let mut members: Vec<Member> = client.ring().ring.members().to_vec();
    members.sort_by_key(|member| member.node);
    let asking: Vec<_> = members
        .into_iter()
        .map(|member| {
            let (client, what) = (client.clone(), what.clone());
            let node = member.node;
            (member, tokio::spawn(async move { client.inspect(node, what).await }))
        })
        .collect();
    let mut answers = Vec::new();
    for (member, answer) in asking {
        // The task neither panics nor is it aborted.
        if let Ok(told) = answer.await {
            answers.push((member, told));
        }
    }
    answers
}

/// Why there is no report.
pub fn trouble(told: &Result<Inspection, ClientError>) -> String {
    match told {
        Err(ClientError::Connect { tried }) if !tried.is_empty() => tried[0].1.clone(),
        Err(error) => error.to_string(),
        Ok(_) => "it showed another report".into(),
    }
}

fn cells(status: &StatusReport) -> [String; 10] {
    let unreachable: Vec<_> = status.peers.iter().filter(|peer| !peer.up).map(described).collect();
    let hints: Vec<_> = status.hints.iter().map(|(node, count)| format!("{count} for {node}")).collect();
    [
        status.read_only.as_ref().map_or("up".into(), |why| format!("read-only: {why}")),
        uptime(status.uptime_s),
        status.version.clone(),
        status.epoch.to_string(),
        status.engine.clone(),
        status.sync.clone(),
        bytes(status.disk_bytes),
        status.disk_free_bytes.map_or("?".into(), bytes),
        list(&hints),
        list(&unreachable),
    ]
}

fn described(peer: &PeerReport) -> String {
    peer.trouble.as_ref().map_or_else(|| peer.node.to_string(), |why| format!("{} ({why})", peer.node))
}

fn as_json(member: &Member, told: &Result<Inspection, ClientError>) -> serde_json::Value {
    match told {
        Ok(Inspection::Status(status)) => {
            let mut shown = json!(status);
            shown["epoch"] = json!(status.epoch.to_string());
            json!({ "node": member.node, "address": member.address, "up": true, "status": shown })
        }
        other => json!({ "node": member.node, "address": member.address, "up": false, "trouble": trouble(other) }),
    }
}
