//! `kv-bench cluster`: three nodes on this machine, the standard set, one table.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kv::core::bucket::QuorumSize;
use kv::core::request::Options;

use crate::BenchError;
use crate::driver::{Data, Driver};
use crate::measure::Load;
use crate::nodes::{Nodes, Sync, TransferTable};
use crate::{report, run};

/// The standard set: connections, bytes of a value, keys.
const CLIENTS: usize = 50;
const VALUE_BYTES: u32 = 100;
const KEYS: usize = 10_000;

/// `kv-bench cluster`.
#[derive(Args)]
pub struct Cluster {
    /// When the nodes sync.
    #[arg(long, value_enum, default_value_t = Sync::Always)]
    sync: Sync,
    /// Where to put the data, on the disk that is to be measured; the default is the system's temporary directory.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Seconds to measure each result.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Cluster {
    /// Runs the command.
    pub async fn execute(self) -> Result<(), BenchError> {
        let mut nodes = Nodes::start(self.sync, TransferTable::default(), self.dir.as_deref())?;
        nodes.wait_until_ready().await?;
        let quorum = Some(QuorumSize::Count(2));
        let options = Options { n: Some(3), r: quorum, w: quorum, ..Options::default() };
        let data = Data { keys: KEYS, value_bytes: VALUE_BYTES as usize, options };
        let driver = Driver::new(nodes.addresses(), CLIENTS, data).await?;
        driver.load(CLIENTS).await?;
        let mut rows = Vec::new();
        for in_flight in [1, 16] {
            for read_percent in [0, 100] {
                let measured = Duration::from_secs(self.seconds.into());
                let load = Load { clients: CLIENTS, in_flight, warmup: Duration::from_secs(1), measured };
                let mut row = run::step(&driver, &load, read_percent, VALUE_BYTES, true).await?;
                row.what += &format!(", sync {}", self.sync);
                rows.push(row);
            }
        }
        report::print(&rows, self.json);
        Ok(())
    }
}
