//! `kv-cli locate`.

use std::collections::BTreeSet;

use clap::Args;
use kv::client::ClientError;
use kv::core::key::Key;
use kv::wire::report::{HeldReport, Inspect, Inspection, LocateReport, Phase, ReplicaReport, Role};
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::Output;
use crate::table::{Table, bytes, list};

const AFTER_HELP: &str = "\
Owners come in the order of their places, then the fallbacks in the order in which they stand in. While the ring \
changes a node can also be arriving (it comes to own the key, takes its writes, and copies what was there), departing \
(an owner until that is done) or draining (it owns the key no more, and hands over and drops what it holds). Equal \
VERSIONs are equal objects. HINT FOR are the owners for which a node keeps the key until they are back. Exit code 1 \
means that no node holds anything.

Examples:
  kv-cli locate foo
  kv-cli locate cart --bucket carts --json";

/// Show who should hold a key, and who holds which version of it
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Locate {
    /// The key
    key: String,
    /// The key's bucket
    #[arg(long, default_value = "default")]
    bucket: String,
}

impl Locate {
    /// Asks any node, which asks the others.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let key = Key::new(self.bucket.into_bytes(), self.key.into_bytes());
        let shown = client.inspect_any(Inspect::Locate(key.clone())).await?;
        let Inspection::Located(report) = shown else {
            let reason = "it showed another report than the one that was asked for".into();
            return Err(ClientError::Protocol { address: "the node".into(), reason }.into());
        };
        let is_held = report.replicas.iter().any(|replica| matches!(replica.holds, Ok(Some(_))));
        if output.is_json() {
            let mut document = json!(report);
            document["epoch"] = json!(report.epoch.to_string());
            document["since"] = json!(report.since.to_string());
            output.json(&document);
        } else {
            print(&key, &report, output);
        }
        Ok(if is_held { Exit::Done } else { Exit::NotFound })
    }
}

fn print(key: &Key, report: &LocateReport, output: &mut Output) {
    let LocateReport { token, partition, epoch, since, phase, replicas } = report;
    let motion = match phase {
        Phase::AtRest => String::new(),
        Phase::Pending => {
            format!("\npending since epoch {since}: read from the old owners, written to old and new ones")
        }
        Phase::Switched => {
            format!("\nswitched since epoch {since}: read from the new owners, written to old and new ones")
        }
    };
    output.line(format_args!("{key}: token {token}, partition {partition}, ring epoch {epoch}{motion}\n"));
    let mut table = Table::new(["NODE", "ROLE", "HOLDS", "VERSION", "HINT FOR"]);
    for replica in replicas {
        let start = [replica.node.to_string(), role(replica.role).to_string()];
        table.row(start.into_iter().chain(held(replica)).chain([list(&replica.hints)]));
    }
    output.line(table);
    let of = |is: fn(Role) -> bool| -> BTreeSet<Option<&str>> {
        replicas.iter().filter(|replica| is(replica.role)).filter_map(version).collect()
    };
    let (read, arriving) = (of(is_read), of(|role| role == Role::Arriving));
    if read.len() > 1 {
        output.line("\nThe owners differ. A read of the key repairs those that it asks.");
    } else if !arriving.is_subset(&read) {
        output.line(
            "\nAn arriving node does not have what the owners have yet. `kv-cli cluster watch` shows how far it is.",
        );
    }
    if of(|role| role == Role::Draining).iter().any(Option::is_some) {
        output.line("\nA draining node still holds a copy. It drops it when all owners have it.");
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Arriving => "arriving",
        Role::Departing => "departing",
        Role::Draining => "draining",
        Role::Fallback => "fallback",
    }
}

/// Whether a node should hold the key as others do. A departing one should, also once it is not read from any more.
fn is_read(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Departing)
}

/// The version that a member holds, if it could be asked; `None` inside if it holds none.
fn version(replica: &ReplicaReport) -> Option<Option<&str>> {
    let held = replica.holds.as_ref().ok()?;
    Some(held.as_ref().map(|held| held.context.as_str()))
}

/// What a member holds, and which version.
fn held(replica: &ReplicaReport) -> [String; 2] {
    match &replica.holds {
        Err(why) => [format!("? {why}"), "?".into()],
        Ok(None) => ["-".into(), "-".into()],
        Ok(Some(HeldReport { context, siblings })) => {
            let sizes: Vec<_> =
                siblings.iter().map(|sibling| sibling.bytes.map_or("tombstone".into(), bytes)).collect();
            [list(&sizes), context.clone()]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::core::id::{Epoch, NodeId, Partition};

    fn replica(node: u32, role: Role, version: Option<&str>) -> ReplicaReport {
        let held = |context: &str| HeldReport { context: context.into(), siblings: vec![] };
        let owner = !matches!(role, Role::Draining | Role::Fallback);
        ReplicaReport { node: NodeId(node), owner, role, holds: Ok(version.map(held)), hints: vec![] }
    }

    fn shown(phase: Phase, replicas: Vec<ReplicaReport>) -> String {
        let epoch = |counter| Epoch { generation: 0, counter };
        let (token, partition) = ("00ff".into(), Partition(3));
        let report = LocateReport { token, partition, epoch: epoch(9), since: epoch(7), phase, replicas };
        let mut output = Output::new(false);
        print(&Key::bare("foo"), &report, &mut output);
        output.text()
    }

    #[test]
    fn a_partition_in_motion_says_who_comes_and_goes() {
        let replicas = vec![
            replica(1, Role::Owner, Some("a:1")),
            replica(2, Role::Departing, Some("a:1")),
            replica(4, Role::Arriving, None),
        ];
        let text = shown(Phase::Pending, replicas);
        let roles: Vec<_> = text.lines().skip(4).take(3).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(roles, ["owner", "departing", "arriving"], "{text}");
        assert!(text.contains("pending since epoch 0.7") && text.contains("An arriving node does not have"), "{text}");
        assert!(!text.contains("differ"), "{text}");
    }

    #[test]
    fn what_drains_is_told() {
        let drains = |version| vec![replica(1, Role::Owner, Some("a:1")), replica(2, Role::Draining, version)];
        assert!(shown(Phase::AtRest, drains(Some("a:1"))).ends_with("when all owners have it.\n"));
        let drained = shown(Phase::AtRest, drains(None));
        assert!(drained.contains("draining") && !drained.contains("still holds"), "{drained}");
    }
}
