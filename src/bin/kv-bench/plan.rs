//! Working out who owns what: from nothing, then after one change after the other.
//!
//! No cluster is needed, nor measured: a plan is a function. The nodes have weights from 1 to 4 and are dealt out to the zones;
//! their stores' ids look like chance and are the same in every run, so that every run plans the same.

use std::time::Instant;

use clap::Args;
use kv::core::id::{NodeId, StoreId};
use kv::core::ring::assign::{Fewest, assign, explain};
use kv::core::ring::{Member, PARTITIONS_MAX, REPLICATION_DEFAULT};
use serde::Serialize;

use crate::BenchError;

/// `kv-bench plan`.
#[derive(Args)]
pub struct Plan {
    /// Nodes to begin with.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(2..=60_000))]
    nodes: u16,
    /// Partitions, a power of two.
    #[arg(long, default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=i64::from(PARTITIONS_MAX)))]
    partitions: u32,
    /// Zones among which the nodes are dealt out.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    zones: u16,
    /// Owners of each partition.
    #[arg(long, default_value_t = REPLICATION_DEFAULT, value_parser = clap::value_parser!(u8).range(1..))]
    replication: u8,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What one change took.
#[derive(Serialize)]
struct Planned {
    what: String,
    seconds: f64,
    /// Of the process so far.
    peak_memory_mib: Option<f64>,
    /// How far any node is from its fair share, at most, in replicas.
    unfairness: f64,
    /// Replicas that get a new owner.
    moved: u64,
    fewest: Fewest,
}

impl Plan {
    /// Runs the command.
    pub fn execute(self) -> Result<(), BenchError> {
        let mut members: Vec<Member> = (1..=self.nodes).map(|n| self.member(n)).collect();
        let mut owners = None;
        let mut planned = Vec::new();
        self.plan("from nothing", &members, &mut owners, &mut planned)?;

        members.push(self.member(self.nodes + 1));
        self.plan("one node joins", &members, &mut owners, &mut planned)?;

        members.remove(usize::from(self.nodes / 2));
        self.plan("one node is lost", &members, &mut owners, &mut planned)?;

        members.iter_mut().step_by(10).for_each(|m| m.weight += 1);
        self.plan("a tenth gains weight", &members, &mut owners, &mut planned)?;

        if self.zones > 1 && self.nodes > self.zones {
            let gone = members[0].zone.clone();
            members.retain(|m| m.zone != gone);
            self.plan("a zone is lost", &members, &mut owners, &mut planned)?;
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&planned).expect("plain numbers and strings"));
        } else {
            self.print(&planned);
        }
        Ok(())
    }

    fn member(&self, n: u16) -> Member {
        let store = StoreId(xxhash_rust::xxh3::xxh3_128(&n.to_be_bytes()));
        Member {
            store,
            node: NodeId(n.into()),
            address: format!("node{n}:8000"),
            zone: format!("zone{}", n % self.zones),
            weight: 1 + (store.0 % 4) as u32,
        }
    }

    /// Plans for `members` what `owners` are to become, and lets them become it.
    fn plan(
        &self,
        what: &str,
        members: &[Member],
        owners: &mut Option<Vec<Vec<StoreId>>>,
        planned: &mut Vec<Planned>,
    ) -> Result<(), BenchError> {
        let refused = |e: kv::core::ring::AssignError| BenchError::Cluster(e.to_string());
        let started = Instant::now();
        let next = assign(self.partitions, self.replication, members, owners.as_deref()).map_err(refused)?;
        let seconds = started.elapsed().as_secs_f64();
        let peak_memory_mib = peak_memory_mib();
        let explained = explain(self.replication, members, owners.as_deref(), &next).map_err(refused)?;
        planned.push(Planned {
            what: what.to_string(),
            seconds,
            peak_memory_mib,
            unfairness: explained.unfairness,
            moved: explained.moved,
            fewest: explained.fewest,
        });
        *owners = Some(next);
        Ok(())
    }

    fn print(&self, planned: &[Planned]) {
        println!(
            "{} nodes of weight 1 to 4 in {} zones, {} partitions, replication {}",
            self.nodes, self.zones, self.partitions, self.replication
        );
        println!(
            "{:<22}{:>9}{:>12}{:>13}{:>9}{:>9}  known by",
            "", "seconds", "peak MiB", "from fair", "moved", "fewest"
        );
        for row in planned {
            let memory = row.peak_memory_mib.map_or("-".to_string(), |mib| format!("{mib:.0}"));
            println!(
                "{:<22}{:>9.2}{memory:>12}{:>13.3}{:>9}{:>9}  {}",
                row.what, row.seconds, row.unfairness, row.moved, row.fewest.replicas, row.fewest.because
            );
        }
    }
}

/// The most memory that this process ever had resident; `None` where the system does not tell.
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
