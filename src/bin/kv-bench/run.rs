//! `kv-bench run`: closed loops against a cluster that is running.

use std::time::Duration;

use clap::Args;
use kv::client::servers::{self, BadServers};
use kv::core::bucket::QuorumSize;
use kv::core::request::Options;

use crate::BenchError;
use crate::driver::{Data, Driver};
use crate::floor::{self, Direction};
use crate::measure::Load;
use crate::report::{self, Row};

/// Seconds that each floor is measured, before and after a run. It varies far less than what it is held against.
const FLOOR_SECONDS_MAX: u64 = 3;
/// The cluster of `make cluster`.
const LOCAL: &str = "localhost:8000,localhost:8001,localhost:8002";

/// `kv-bench run`.
#[derive(Args)]
pub struct Run {
    /// Nodes to learn the ring from: host:port,host:port or 1|host:port,2|host:port; the first that answers is enough.
    #[arg(long, env = "KV_SERVERS", value_delimiter = ',', value_parser = address, default_value = LOCAL)]
    servers: Vec<String>,
    /// Connections, spread over all nodes.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Requests that each connection keeps outstanding.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    in_flight: u16,
    /// How many of a hundred requests are reads; left out: writes alone, then reads alone.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
    read_percent: Option<u8>,
    /// Keys to spread the requests over; each is written once before.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    value_bytes: u32,
    /// Ask only the first so many owners.
    #[arg(long)]
    n: Option<u8>,
    /// Replicas that must answer a read: a number, one, quorum or all.
    #[arg(long)]
    r: Option<QuorumSize>,
    /// Replicas that must hold a write.
    #[arg(long)]
    w: Option<QuorumSize>,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Seconds before that are not measured.
    #[arg(long, default_value_t = 2)]
    warmup: u32,
    /// Measures the floor right before and after, and prints each result as a share of it.
    #[arg(long)]
    floor: bool,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// The address in one entry of a list of servers.
fn address(entry: &str) -> Result<String, BadServers> {
    servers::parse(entry).map(|mut one| one.remove(0).address)
}

impl Run {
    /// Runs the command.
    pub async fn execute(self) -> Result<(), BenchError> {
        let options = Options { n: self.n, r: self.r, w: self.w, ..Options::default() };
        let data = Data { keys: self.keys as usize, value_bytes: self.value_bytes as usize, options };
        let load = Load {
            clients: self.clients.into(),
            in_flight: self.in_flight.into(),
            warmup: Duration::from_secs(self.warmup.into()),
            measured: Duration::from_secs(self.seconds.into()),
        };
        let driver = Driver::new(&self.servers, load.clients, data).await?;
        driver.load(load.clients).await?;
        let mut rows = Vec::new();
        for read_percent in self.read_percent.map_or(vec![0, 100], |mix| vec![mix]) {
            rows.push(step(&driver, &load, read_percent, self.value_bytes, self.floor).await?);
        }
        report::print(&rows, self.json);
        Ok(())
    }
}

/// One closed loop, between two measurements of its floor if `floor`.
pub async fn step(
    driver: &Driver,
    load: &Load,
    read_percent: u8,
    value_bytes: u32,
    floor: bool,
) -> Result<Row, BenchError> {
    let what = match read_percent {
        0 => "writes".to_string(),
        100 => "reads".to_string(),
        mix => format!("{mix} % reads"),
    };
    let before = if floor { Some(mixed_floor(load, read_percent, value_bytes).await?) } else { None };
    let row = Row::new(what, load.clients, load.in_flight, driver.run(load, read_percent).await?);
    let Some(before) = before else { return Ok(row) };
    let after = mixed_floor(load, read_percent, value_bytes).await?;
    Ok(row.against((before + after) / 2.0))
}

/// The floor's operations by second; for a mix, those at which the times that its reads and its writes take alone add up.
async fn mixed_floor(load: &Load, read_percent: u8, value_bytes: u32) -> Result<f64, BenchError> {
    let reads = f64::from(read_percent) / 100.0;
    let measured = load.measured.min(Duration::from_secs(FLOOR_SECONDS_MAX));
    let load = Load { warmup: Duration::from_millis(500), measured, ..*load };
    let mut seconds_per_op = 0.0;
    for (direction, share) in [(Direction::Writes, 1.0 - reads), (Direction::Reads, reads)] {
        if share > 0.0 {
            seconds_per_op += share / floor::measure(direction, &load, value_bytes).await?.ops_per_s;
        }
    }
    Ok(1.0 / seconds_per_op)
}
