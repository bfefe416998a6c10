//! `kv-cli locate`.

use std::collections::BTreeSet;

use clap::Args;
use kv::client::ClientError;
use kv::core::key::Key;
use kv::wire::report::{HeldReport, Inspect, Inspection, LocateReport, ReplicaReport};
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::Output;
use crate::table::{Table, bytes, list};

const AFTER_HELP: &str = "\
Owners come in the order of their places, then the fallbacks in the order in which they stand in. Equal \
VERSIONs are equal objects. HINT FOR are the owners for which a node keeps the key until they are back. Exit code 1 means that no node holds anything.

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
            output.json(&document);
        } else {
            print(&key, &report, output);
        }
        Ok(if is_held { Exit::Done } else { Exit::NotFound })
    }
}

fn print(key: &Key, report: &LocateReport, output: &mut Output) {
    let LocateReport { token, partition, epoch, replicas } = report;
    output.line(format_args!("{key}: token {token}, partition {partition}, ring epoch {epoch}\n"));
    let mut table = Table::new(["NODE", "ROLE", "HOLDS", "VERSION", "HINT FOR"]);
    for replica in replicas {
        let role = if replica.owner { "owner" } else { "fallback" };
        let start = [replica.node.to_string(), role.to_string()];
        table.row(start.into_iter().chain(held(replica)).chain([list(&replica.hints)]));
    }
    output.line(table);
    let versions: BTreeSet<Option<&str>> = replicas.iter().filter(|r| r.owner).filter_map(version).collect();
    if versions.len() > 1 {
        output.line("\nThe owners differ. A read of the key repairs those that it asks.");
    }
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
