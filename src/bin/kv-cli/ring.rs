//! `kv-cli ring`.

mod explain;
pub mod explained;
mod motion;

use std::collections::BTreeMap;

use clap::Args;
use kv::core::bucket::Bucket;
use kv::core::id::{NodeId, Partition};
use kv::core::ring::Ring as Owners;
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::Output;
use crate::table::Table;

const AFTER_HELP: &str = "\
PARTITIONS are those that a node owns, FIRST those in which it has the first place. In the list of partitions the owners \
come in the order of their places; while the ring changes, \
`1, 2 -> 1, 4 pending` is read from 1 and 2 and written to both sides, `1, 4 <- 1, 2 switched` is read from 1 and 4.

--explain shows for each node and zone what its weight asks, what is fair (as near to that as zones allow) and what it owns; \
with --plan as the staged changes would make it, and that no fewer replicas could move.

Examples:
  kv-cli ring
  kv-cli ring --partitions
  kv-cli ring --explain
  kv-cli ring --explain --plan";

/// Show who owns what
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Ring {
    /// List the owners of each partition
    #[arg(long)]
    partitions: bool,
    /// Explain why each node owns as much as it does
    #[arg(long, conflicts_with = "partitions")]
    explain: bool,
    /// Explain what the staged changes would make of it
    #[arg(long, requires = "explain")]
    plan: bool,
}

impl Ring {
    /// Shows the ring that the client has learnt.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        if self.explain {
            return explain::run(at, self.plan, output).await;
        }
        let report = at.connect(None).await?.ring();
        let ring = &report.ring;
        if output.is_json() {
            let buckets: BTreeMap<_, _> = report.buckets.iter().map(|(name, bucket)| (name, bucket)).collect();
            output.json(&json!({
                "cluster": report.cluster,
                "epoch": ring.epoch.to_string(),
                "replication": ring.replication,
                "members": members_json(ring),
                "owners": all_partitions(ring).map(|p| owners(ring, p)).collect::<Vec<_>>(),
                "motion": motion::as_json(ring),
                "buckets": buckets,
            }));
            return Ok(Exit::Done);
        }
        output.line(format_args!(
            "cluster {}, ring epoch {}, {} partitions, replication {}\n",
            report.cluster,
            ring.epoch,
            ring.partitions(),
            ring.replication
        ));
        output.line(members(ring));
        if let Some(moving) = motion::in_brief(ring) {
            output.line(format_args!("\n{moving}; `kv-cli cluster watch` shows how far they are"));
        }
        if !report.buckets.is_empty() {
            output.line(format_args!("\n{}", buckets(&report.buckets, ring.replication)));
        }
        if self.partitions {
            let mut table = Table::new(["PARTITION", "OWNERS"]);
            all_partitions(ring).for_each(|p| table.row([p.to_string(), motion::owners(ring, p)]));
            output.line(format_args!("\n{table}"));
        }
        Ok(Exit::Done)
    }
}

fn all_partitions(ring: &Owners) -> impl Iterator<Item = Partition> {
    (0..ring.partitions()).map(|p| Partition(p as u16))
}

fn owners(ring: &Owners, partition: Partition) -> Vec<NodeId> {
    ring.owners(partition).map(|member| member.node).collect()
}

/// How many partitions each node owns, and in how many it has the first place.
pub fn shares(ring: &Owners) -> BTreeMap<NodeId, (u32, u32)> {
    let mut shares = BTreeMap::<NodeId, (u32, u32)>::new();
    for partition in all_partitions(ring) {
        for (place, owner) in ring.owners(partition).enumerate() {
            let share = shares.entry(owner.node).or_default();
            share.0 += 1;
            share.1 += u32::from(place == 0);
        }
    }
    shares
}

fn members(ring: &Owners) -> Table {
    let shares = shares(ring);
    let mut table = Table::new(["NODE", "ADDRESS", "ZONE", "WEIGHT", "PARTITIONS", "FIRST", "STORE"]);
    let mut members: Vec<_> = ring.members().iter().collect();
    members.sort_by_key(|member| member.node);
    for member in members {
        let (owned, first) = shares.get(&member.node).copied().unwrap_or_default();
        let zone = if member.zone.is_empty() { "-".into() } else { member.zone.clone() };
        let numbers = [member.weight, owned, first].map(|n| n.to_string());
        let start = [member.node.to_string(), member.address.clone(), zone];
        table.row(start.into_iter().chain(numbers).chain([member.store.to_string()]));
    }
    table
}

fn members_json(ring: &Owners) -> Vec<serde_json::Value> {
    let shares = shares(ring);
    let shown = ring.members().iter().map(|member| {
        let (owned, first) = shares.get(&member.node).copied().unwrap_or_default();
        json!({
            "node": member.node,
            "address": member.address,
            "zone": member.zone,
            "weight": member.weight,
            "store": member.store.to_string(),
            "partitions": owned,
            "first": first,
        })
    });
    shown.collect()
}

fn buckets(buckets: &[(String, Bucket)], replication: u8) -> Table {
    let mut table = Table::new(["BUCKET", "N", "R", "W", "PR", "PW", "SLOPPY", "CONFLICT", "BLIND WRITE"]);
    for (name, bucket) in buckets {
        let n = bucket.n.unwrap_or(replication).to_string();
        let sizes = [bucket.r, bucket.w, bucket.pr, bucket.pw].map(|size| size.to_string());
        let words = [format!("{:?}", bucket.conflict), format!("{:?}", bucket.blind_write)].map(|w| w.to_lowercase());
        table.row([name.clone(), n].into_iter().chain(sizes).chain([bucket.sloppy.to_string()]).chain(words));
    }
    table
}
