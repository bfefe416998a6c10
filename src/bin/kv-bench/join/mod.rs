//! `kv-bench join`: what applications notice of a node that gets its share.
//!
//! Three nodes hold the data and serve a steady load. A fourth, which is up and owns nothing, is planned in; a quarter of all
//! replicas is copied to it. The latencies of before, meanwhile and after are those of one run and one load, so that their
//! ratio says what the copying costs, whatever the machine.

mod load;
mod outcome;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kv::client::{Client, ClientError, Put};
use kv::core::id::NodeId;
use kv::core::ring::change::Action;
use kv::wire::change::{ChangeAnswer, ChangeReport, ChangeRequest};
use kv::wire::report::{Inspect, Inspection};
use tokio::task::LocalSet;

use crate::BenchError;
use crate::nodes::{Nodes, Sync, TransferTable};
use load::{Load, Shape};
use outcome::{Copied, Outcome};

/// Keys written with one call in the beginning.
const FILLED_AT_ONCE: u32 = 500;
/// Not measured: until caches are warm and links are open.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long a node may take to become a member, and how often that is looked at.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(50);

/// `kv-bench join`.
#[derive(Args)]
pub struct Join {
    /// Requests a second, half of them reads. Should be well below what the cluster can do.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Keys that are there before.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Bytes of a value.
    #[arg(long, default_value_t = 1_000)]
    value_bytes: u32,
    /// `[transfer] bytes_per_s_max` of all nodes; left out: their default.
    #[arg(long)]
    bytes_per_s_max: Option<u64>,
    /// `[transfer] busy_percent_max` of all nodes; left out: their default.
    #[arg(long)]
    busy_percent_max: Option<u32>,
    /// When the nodes sync.
    #[arg(long, value_enum, default_value_t = Sync::Always)]
    sync: Sync,
    /// Where to put the data, on the disk that is to be measured; the default is the system's temporary directory.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Seconds to measure before, and after.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Join {
    /// Runs the command.
    pub async fn execute(self) -> Result<(), BenchError> {
        LocalSet::new().run_until(self.run()).await
    }

    async fn run(self) -> Result<(), BenchError> {
        let transfer = TransferTable { bytes_per_s_max: self.bytes_per_s_max, busy_percent_max: self.busy_percent_max };
        let mut nodes = Nodes::start(self.sync, transfer, self.dir.as_deref())?;
        nodes.wait_until_ready().await?;
        let client = Client::connect(nodes.addresses().to_vec()).await.map_err(asked("the nodes"))?;
        let shape = Shape { rate: self.rate, keys: self.keys, value_bytes: self.value_bytes as usize };
        fill(&client, shape).await?;
        let node = NodeId(nodes.join()?);
        is_known(&client, node).await?;

        let load = Load::start(&client, shape);
        let measured = Duration::from_secs(self.seconds.into());
        tokio::time::sleep(WARM_UP).await;
        load.take();
        tokio::time::sleep(measured).await;
        let quiet = load.take();

        let (began, replicas) = (Instant::now(), commit(&client, node).await?);
        let report = ended(&client).await?;
        let (joining, took) = (load.take(), began.elapsed());
        tokio::time::sleep(measured).await;
        let after = load.take();

        let counted = |name| counter(&client, node, name);
        let (keys, bytes) = (counted("transfer_keys").await?, counted("transfer_bytes").await?);
        let partitions = report.phases.done;
        let copied = Copied::new(partitions, replicas, keys, bytes, took);
        Outcome::new(quiet, joining, after, copied).print(self.json);
        Ok(())
    }
}

/// Names what was asked.
fn asked(what: &'static str) -> impl FnOnce(ClientError) -> BenchError {
    move |error| BenchError::Cluster(format!("{what}: {error}"))
}

async fn fill(client: &Client, shape: Shape) -> Result<(), BenchError> {
    let style = ProgressStyle::with_template("loading {wide_bar} {human_pos}/{human_len} keys, {eta} left");
    let progress = ProgressBar::new(shape.keys.into()).with_style(style.expect("a constant template is valid"));
    let value = vec![b'v'; shape.value_bytes];
    for first in (0..shape.keys).step_by(FILLED_AT_ONCE as usize) {
        let some = first..shape.keys.min(first + FILLED_AT_ONCE);
        for written in client.multi_put(some.clone().map(|key| Put::new(Shape::key(key), value.clone()))).await {
            written.map_err(asked("a key could not be loaded"))?;
        }
        progress.inc(some.len() as u64);
    }
    progress.finish_and_clear();
    Ok(())
}

async fn is_known(client: &Client, node: NodeId) -> Result<(), BenchError> {
    let deadline = Instant::now() + KNOWN_WITHIN;
    loop {
        let shown = client.inspect(NodeId(1), Inspect::Cluster).await;
        match shown {
            Ok(Inspection::Cluster(report)) if report.members.iter().any(|m| m.node == node && m.up) => return Ok(()),
            _ if Instant::now() > deadline => {
                return Err(BenchError::Cluster(format!("node {node} did not become a member: {shown:?}")));
            }
            _ => tokio::time::sleep(ASK_EVERY).await,
        }
    }
}

/// Plans the node in. How many replicas are copied.
async fn commit(client: &Client, node: NodeId) -> Result<u32, BenchError> {
    change(client, ChangeRequest::Stage(Action::Join { node })).await?;
    let ChangeAnswer::Plan(plan) = change(client, ChangeRequest::Plan).await? else { return Err(unexpected()) };
    let commit = ChangeRequest::Commit { version: plan.version, force: false };
    match change(client, commit).await? {
        ChangeAnswer::Committed { replicas, .. } => Ok(replicas),
        _ => Err(unexpected()),
    }
}

async fn ended(client: &Client) -> Result<ChangeReport, BenchError> {
    loop {
        match change(client, ChangeRequest::Progress).await? {
            ChangeAnswer::Change(Some(report)) if report.ended_ms.is_some() => return Ok(*report),
            ChangeAnswer::Change(Some(_)) => tokio::time::sleep(ASK_EVERY).await,
            _ => return Err(unexpected()),
        }
    }
}

async fn change(client: &Client, request: ChangeRequest) -> Result<ChangeAnswer, BenchError> {
    client.change(request).await.map_err(asked("the change"))
}

async fn counter(client: &Client, node: NodeId, name: &str) -> Result<u64, BenchError> {
    match client.inspect(node, Inspect::Stats).await.map_err(asked("the node's statistics"))? {
        Inspection::Stats(stats) => {
            let counted = stats.counters.iter().find(|(counter, _)| counter == name);
            counted.map(|(_, count)| *count).ok_or_else(unexpected)
        }
        _ => Err(unexpected()),
    }
}

fn unexpected() -> BenchError {
    BenchError::Cluster("a node answered something else than it was asked".into())
}
