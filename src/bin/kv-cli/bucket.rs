//! `kv-cli bucket`.

use clap::{Args, Subcommand};
use kv::client::{Client, ClientError};
use kv::coordination::registry::properties;
use kv::core::bucket::Bucket as Properties;
use kv::core::id::Epoch;
use kv::core::key::DEFAULT_BUCKET;
use kv::wire::tree::{BucketsReport, TreeAnswer, TreeRequest};
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::Output;
use crate::table::Table;

/// What can be done with buckets.
#[derive(Subcommand, Debug)]
pub enum Bucket {
    List(List),
    Get(Get),
    Set(Set),
}

impl Bucket {
    /// Does it.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Bucket::List(list) => list.run(at, output).await,
            Bucket::Get(get) => get.run(at, output).await,
            Bucket::Set(set) => set.run(at, output).await,
        }
    }
}

const LIST_HELP: &str = "\
A value in parentheses is the built-in default. Buckets that are not listed have the properties of the one named \
default.

Examples:
  kv-cli bucket list
  kv-cli bucket list --json";

/// Show the buckets that have properties of their own
#[derive(Args, Debug)]
#[command(after_help = LIST_HELP)]
pub struct List {}

impl List {
    async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let report = read(&client).await?;
        if output.is_json() {
            let buckets: serde_json::Map<_, _> =
                report.buckets.iter().map(|(name, bucket)| (name.clone(), json!(bucket))).collect();
            let epoch = report.epoch.to_string();
            output.json(&json!({ "epoch": epoch, "replication": report.replication, "buckets": buckets }));
            return Ok(Exit::Done);
        }
        output.line(format_args!("ring epoch {}, replication {}\n", report.epoch, report.replication));
        let names = properties(&Properties::default()).map(|(name, _)| name.to_uppercase().replace('_', " "));
        let mut table = Table::new(["BUCKET".to_string()].into_iter().chain(names));
        for (name, bucket) in &report.buckets {
            let cells = rows(bucket, report.replication).map(|row| match row.is_set {
                true => row.value,
                false => format!("({})", row.value),
            });
            table.row([name.clone()].into_iter().chain(cells));
        }
        output.line(table);
        Ok(Exit::Done)
    }
}

const GET_HELP: &str = "\
Examples:
  kv-cli bucket get carts
  kv-cli bucket get default     what holds for bare keys and for buckets without properties";

/// Show the properties of a bucket, and which of them are set
#[derive(Args, Debug)]
#[command(after_help = GET_HELP)]
pub struct Get {
    /// The bucket
    name: String,
}

impl Get {
    async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let report = read(&client).await?;
        let named = |wanted: &str| report.buckets.iter().find(|(name, _)| name == wanted).map(|(_, bucket)| bucket);
        let own = named(&self.name);
        let bucket = own.or_else(|| named(DEFAULT_BUCKET)).cloned().unwrap_or_default();
        if own.is_none() && !output.is_json() {
            output.line(format_args!("bucket {} has no properties of its own; those of default hold", self.name));
        }
        print(&self.name, own.is_some(), &bucket, report.replication, report.epoch, output);
        Ok(Exit::Done)
    }
}

const SET_HELP: &str = "\
Properties, with the words that they take:
  n            replicas of each key: a number, or default (the cluster's replication); it cannot be raised here
  r, w         how many must answer a read, hold a write: a number, one, quorum or all
  pr, pw       how many of those must be owners: likewise, 0 for none
  sloppy       whether fallbacks stand in for owners that are down: true or false
  conflict     siblings keeps concurrent values, lww keeps the newest by clock
  blind_write  what a write without a context does: supersede or sibling

All are set or none; what is not named stays. A bucket without properties of its own first takes those of default.

Examples:
  kv-cli bucket set carts r=one w=all
  kv-cli bucket set accounts pr=quorum pw=quorum sloppy=false
  kv-cli bucket set cache n=1 conflict=lww";

/// Set properties of a bucket
#[derive(Args, Debug)]
#[command(after_help = SET_HELP)]
pub struct Set {
    /// The bucket
    name: String,
    /// What to set
    #[arg(value_name = "PROPERTY=VALUE", required = true, value_parser = assignment)]
    properties: Vec<(String, String)>,
}

impl Set {
    async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let set = TreeRequest::SetBucket { bucket: self.name.clone(), properties: self.properties };
        let TreeAnswer::BucketSet { epoch, replication, bucket } = client.tree(set).await? else {
            return Err(strange());
        };
        print(&self.name, true, &bucket, replication, epoch, output);
        Ok(Exit::Done)
    }
}

/// Takes `property=value` apart.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((property, value)) if !property.is_empty() && !value.is_empty() => Ok((property.into(), value.into())),
        _ => Err("give property=value, such as r=quorum".into()),
    }
}

async fn read(client: &Client) -> Result<BucketsReport, CliError> {
    match client.tree(TreeRequest::Buckets).await? {
        TreeAnswer::Buckets(report) => Ok(report),
        _ => Err(strange()),
    }
}

fn strange() -> CliError {
    let reason = "it answered another question than the one about buckets".into();
    ClientError::Protocol { address: "the node".into(), reason }.into()
}

/// A property as it is shown.
struct Row {
    name: &'static str,
    value: String,
    /// Whether it differs from what is built in.
    is_set: bool,
}

fn rows(bucket: &Properties, replication: u8) -> impl Iterator<Item = Row> {
    let n = bucket.n.unwrap_or(replication).to_string();
    let both = properties(bucket).into_iter().zip(properties(&Properties::default()));
    both.map(move |((name, value), (_, built_in))| {
        let is_set = value != built_in;
        Row { name, value: if name == "n" { n.clone() } else { value }, is_set }
    })
}

fn print(name: &str, own: bool, bucket: &Properties, replication: u8, epoch: Epoch, output: &mut Output) {
    if output.is_json() {
        let set: Vec<_> = rows(bucket, replication).filter(|row| own && row.is_set).map(|row| row.name).collect();
        let epoch = epoch.to_string();
        output.json(&json!({ "bucket": name, "own": own, "epoch": epoch, "properties": bucket, "set": set }));
        return;
    }
    output.line(format_args!("bucket {name}, ring epoch {epoch}\n"));
    let mut table = Table::new(["PROPERTY", "VALUE", ""]);
    for row in rows(bucket, replication) {
        table.row([row.name.into(), row.value, if row.is_set { "set" } else { "default" }.into()]);
    }
    output.line(table);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_have_two_sides() {
        assert_eq!(assignment("r=quorum"), Ok(("r".into(), "quorum".into())));
        for wrong in ["r", "r=", "=3", ""] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }
}
