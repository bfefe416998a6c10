//! The floor: what a replicated request costs this machine before any of it is a store.
//!
//! Four processes, like the real thing: this one is the client; A coordinates; B and C hold copies. A write goes from the
//! client to A, from A to B and C, and is answered when the first of the two replies: A's own copy is the first, that the second. A
//! read goes from A to B alone and brings the value back. A message is eight bytes and a payload ([`link`]): no
//! MessagePack, no storage, no actors. Nobody does better than one system call for each read and each write that
//! batching leaves over, so what a cluster reaches is told as a share of this.

mod client;
mod link;
pub mod node;

use std::time::Duration;

use clap::Args;

use crate::BenchError;
use crate::measure::{Load, Measured};
use crate::report::{self, Row};
use node::Processes;

/// Reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// One peer is asked and sends the value back.
    Reads,
    /// Two peers get the value; the first acknowledgement counts.
    Writes,
}

/// `kv-bench floor`.
#[derive(Args)]
pub struct Floor {
    /// Connections.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Requests that each connection keeps outstanding.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    in_flight: u16,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=i64::from(link::PAYLOAD_BYTES_MAX)))]
    value_bytes: u32,
    /// Seconds to measure, after one to warm up.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Reads instead of writes.
    #[arg(long)]
    reads: bool,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Floor {
    /// Runs the command.
    pub async fn execute(self) -> Result<(), BenchError> {
        let load = Load {
            clients: self.clients.into(),
            in_flight: self.in_flight.into(),
            warmup: Duration::from_secs(1),
            measured: Duration::from_secs(self.seconds.into()),
        };
        let (direction, what) =
            if self.reads { (Direction::Reads, "floor reads") } else { (Direction::Writes, "floor writes") };
        let measured = measure(direction, &load, self.value_bytes).await?;
        report::print(&[Row::new(what, load.clients, load.in_flight, measured)], self.json);
        Ok(())
    }
}

/// Starts the processes, runs the loop, ends them.
pub async fn measure(direction: Direction, load: &Load, value_bytes: u32) -> Result<Measured, BenchError> {
    let processes = Processes::start(direction, value_bytes)?;
    let request_bytes = if direction == Direction::Writes { value_bytes } else { 0 };
    client::run(processes.coordinator(), request_bytes as usize, load).await
}
