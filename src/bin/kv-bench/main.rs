//! How fast a cluster is, and how much of that this machine leaves to be won.
//!
//! A figure alone says little: half of it is the machine. So every result can be printed beside the [`floor`]: the same closed loop
//! over the same number of processes and copies, with nothing in them but the network. `kv-bench floor` measures that
//! alone, `kv-bench run` measures a cluster that is running, `kv-bench cluster` starts one, runs the standard set on it and stops it.
//!
//! A closed loop keeps a fixed number of requests in flight and sends the next when one is answered. It finds what a cluster
//! can do; it does not find what users meet at a fixed arrival rate, since a slow answer holds back the requests behind it.

mod cluster;
mod driver;
mod exchange;
mod floor;
mod join;
mod measure;
mod nodes;
mod plan;
mod report;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  kv-bench cluster --dir .                    the standard set on three nodes of its own, data on this disk
  kv-bench run --in-flight 16 --w 3           against the cluster of `make cluster`; leaves its keys there
  kv-bench run --read-percent 90 --floor      a mix, as a share of what this machine could do
  kv-bench floor                              only what this machine could do
  kv-bench join --rate 2000 --dir .           what applications notice while a fourth node gets its share
  kv-bench exchange --different 0,1,100,10000  what two owners pay to find out where they differ
  kv-bench plan --nodes 100 --zones 3         who owns what: time, memory, balance and moves";

/// Measures a KV cluster, and this machine as the limit to measure it against.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The bare network work of a replicated request: no storage, no encoding, no actors.
    Floor(floor::Floor),
    /// A closed loop against a cluster that is running.
    Run(run::Run),
    /// Starts three nodes on this machine, runs the standard set on them, and stops them.
    Cluster(cluster::Cluster),
    /// A node joins three under a steady load: its latencies before, meanwhile and after, and the speed of the copying.
    Join(join::Join),
    /// Two owners compare a million keys of which a few differ: bytes and time; and what a put pays for that.
    Exchange(exchange::Exchange),
    /// Works out who owns what in a large cluster, then after a join, a loss and more. Needs no cluster.
    Plan(plan::Plan),
    /// One process of the floor; started by the others.
    #[command(hide = true)]
    FloorNode(floor::node::FloorNode),
}

/// What ends the program early.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    /// A process could not be started or spoken to.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The cluster cannot be measured as it is.
    #[error("{0}")]
    Cluster(String),
}

impl BenchError {
    /// For `map_err`: names what was tried.
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> BenchError {
        move |source| BenchError::Io { what: what.into(), source }
    }
}

/// One thread and one event loop: more would take cores from the nodes that are measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    env_logger::init();
    let done = match Arguments::parse().command {
        Command::Floor(floor) => floor.execute().await,
        Command::Run(run) => run.execute().await,
        Command::Cluster(cluster) => cluster.execute().await,
        Command::Join(join) => join.execute().await,
        Command::Exchange(exchange) => exchange.execute().await,
        Command::Plan(plan) => plan.execute(),
        Command::FloorNode(node) => node.execute().await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
