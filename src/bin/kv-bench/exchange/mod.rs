//! `kv-bench exchange`: what it costs two owners to find out that they hold the same, or where not.
//!
//! Two nodes in this process own everything together. One is stopped, some keys are written, it comes back, and the other compares all
//! partitions with it: the time and the bytes of that are measured, for none, one, some and many keys that differ. Nodes do nothing of
//! that by themselves here, and hints are not left.
//!
//! The trees by which they compare cost something at each write. How much is measured as well: the CPU of the nodes for a put, and what the
//! entering of one write into a tree takes, on each of the two owners.

mod tree;

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kv::client::{Client, ClientError, Put};
use kv::config::SyncPolicy;
use kv::core::id::NodeId;
use kv::testing::{Cluster, ClusterError};
use kv::wire::report::{Inspect, Inspection, RepairReport};

use crate::BenchError;

/// Keys written with one call.
const AT_ONCE: u32 = 500;
/// How often it is asked whether it is over.
const LOOK: Duration = Duration::from_millis(20);
const COMPARES: NodeId = NodeId(1);
const MISSES: NodeId = NodeId(2);

/// `kv-bench exchange`.
#[derive(Args)]
pub struct Exchange {
    /// Keys that both hold.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Of these, how many differ; one measurement for each.
    #[arg(long, value_delimiter = ',', default_value = "0,1,100,10000")]
    different: Vec<u32>,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    value_bytes: u32,
}

/// What one comparison came to.
struct Compared {
    different: u32,
    run: RepairReport,
    /// Of sums, versions and objects.
    bytes: u64,
    took: Duration,
}

impl Exchange {
    /// Runs the command.
    pub async fn execute(self) -> Result<(), BenchError> {
        let builder = Cluster::builder().nodes(2).sync(SyncPolicy::Never).configure(|config| {
            let repair = &mut config.node.anti_entropy;
            (repair.enabled, repair.bytes_per_s_max, repair.keys_per_s_max) = (false, 1 << 40, 1 << 40);
        });
        let mut cluster = builder.start().await.map_err(started)?;
        let client = cluster.client().await.map_err(started)?;
        self.write(&client, 0..self.keys, 2, "loading").await?;
        // Without trees so far.
        let cpu = self.put_cpu(&client).await?;
        compare(&client).await?;

        println!(
            "{:>10} {:>10} {:>10} {:>14} {:>14} {:>10}",
            "DIFFERENT", "PAIRS", "MOVED", "BYTES", "BYTES/PAIR", "TIME"
        );
        for different in &self.different {
            let Compared { different, run, bytes, took } = self.diverge(&mut cluster, &client, *different).await?;
            let (moved, each) = (run.received + run.sent, bytes / run.pairs.max(1));
            println!("{different:>10} {:>10} {moved:>10} {bytes:>14} {each:>14} {:>10.1?}", run.pairs, took);
        }
        let entering = tree::entering(self.value_bytes as usize);
        let share = 100.0 * 2.0 * entering.as_secs_f64() / cpu.as_secs_f64();
        println!(
            "\na put costs both nodes {cpu:.1?} of CPU together; entering it into a tree takes {entering:.2?} on each: {share:.1} %"
        );
        Ok(())
    }

    /// Writes keys while one node is away, and has the other one compare.
    async fn diverge(&self, cluster: &mut Cluster, client: &Client, different: u32) -> Result<Compared, BenchError> {
        cluster.stop(MISSES).await.map_err(started)?;
        let apart = self.keys / different.max(1);
        self.write(client, (0..different.min(self.keys)).map(|i| i * apart), 1, "diverging").await?;
        cluster.restart(MISSES).await.map_err(started)?;
        let before = counter(client, "exchange_bytes").await?;
        let began = Instant::now();
        let run = compare(client).await?;
        let (took, bytes) = (began.elapsed(), counter(client, "exchange_bytes").await? - before);
        if run.sent != u64::from(different.min(self.keys)) {
            return Err(BenchError::Cluster(format!("{different} keys should have been sent: {run:?}")));
        }
        Ok(Compared { different, run, bytes, took })
    }

    async fn write(
        &self,
        client: &Client,
        keys: impl ExactSizeIterator<Item = u32>,
        w: u32,
        what: &'static str,
    ) -> Result<(), BenchError> {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} keys, {eta} left");
        let progress = ProgressBar::new(keys.len() as u64).with_style(style.expect("a constant template is valid"));
        let (value, keys) = (vec![b'v'; self.value_bytes as usize], keys.collect::<Vec<u32>>());
        progress.set_message(what);
        for some in keys.chunks(AT_ONCE as usize) {
            let puts = some.iter().map(|key| Put::new(format!("key{key:08}"), value.clone()).w(w as u8).sloppy(false));
            for written in client.multi_put(puts).await {
                written.map_err(asked("a key could not be written"))?;
            }
            progress.inc(some.len() as u64);
        }
        progress.finish_and_clear();
        Ok(())
    }

    /// CPU that the nodes spend on one put.
    async fn put_cpu(&self, client: &Client) -> Result<Duration, BenchError> {
        let puts = self.keys.min(100_000);
        let before = tree::nodes_cpu();
        self.write(client, 0..puts, 2, "putting").await?;
        Ok(tree::nodes_cpu().saturating_sub(before) / puts)
    }
}

/// Has one node compare everything with the other.
async fn compare(client: &Client) -> Result<RepairReport, BenchError> {
    let mut before = None;
    loop {
        let Inspection::AntiEntropy(report) = inspect(client, Inspect::AntiEntropy).await? else {
            return Err(strange());
        };
        // The other one may not be reached again yet.
        let number = report.run.as_ref().map_or(0, |run| run.number);
        match (before, report.run) {
            (None, _) => {
                before = Some(number);
                inspect(client, Inspect::Repair { bucket: None, all: true }).await?;
            }
            (Some(before), Some(run)) if run.number > before && run.is_over => return Ok(run),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

async fn inspect(client: &Client, what: Inspect) -> Result<Inspection, BenchError> {
    client.inspect(COMPARES, what).await.map_err(asked("the node that compares"))
}

async fn counter(client: &Client, name: &str) -> Result<u64, BenchError> {
    let Inspection::Stats(stats) = inspect(client, Inspect::Stats).await? else { return Err(strange()) };
    stats.counters.into_iter().find(|(counter, _)| counter == name).map(|(_, value)| value).ok_or_else(strange)
}

fn started(error: ClusterError) -> BenchError {
    BenchError::Cluster(error.to_string())
}

/// Names what was asked.
fn asked(what: &'static str) -> impl FnOnce(ClientError) -> BenchError {
    move |error| BenchError::Cluster(format!("{what}: {error}"))
}

fn strange() -> BenchError {
    BenchError::Cluster("the node showed another report than was asked for".into())
}
