//! `kv-cli`: reads, writes and looks at a cluster from a terminal.
//!
//! Each command is a file: its arguments, what it does, what it prints. What a command finds goes to standard output in one
//! piece; notes and errors go to standard error. The exit code says which kind of result it was ([`exit`]).

mod advice;
mod anti_entropy;
mod bucket;
mod cluster;
mod cluster_changes;
mod cluster_status;
mod coord;
mod covered;
mod delete;
mod exit;
mod export;
mod export_format;
mod export_progress;
mod hints;
mod import;
mod import_line;
mod import_lines;
mod json;
mod keys;
mod locate;
mod options;
mod output;
mod read;
mod repair;
mod ring;
mod stats;
mod status;
mod table;
mod tombstones;
mod write;

use clap::{Parser, Subcommand};

use cluster::Where;
use exit::{CliError, Exit};
use output::Output;

/// Reads, writes and looks at a KV cluster.
#[derive(Parser, Debug)]
#[command(name = "kv-cli", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    at: Where,
    /// Print JSON; a value that is not UTF-8 becomes {"hex": "..."}
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  kv-cli write foo bar 3
  kv-cli read foo 2
  kv-cli read foo 2 '1|localhost:8000,2|localhost:8001,3|localhost:8002'
  kv-cli --servers db1:8000,db2:8000 status

Servers are taken from the command's SERVERS, else --servers, --config, the environment's KV_SERVERS, \
else localhost:8000 to 8002. One that lives is enough.

Exit codes:
  0  done
  1  not found
  2  wrong use: arguments, context, versions, limits
  3  too few nodes could do it in time, or promise it (--strict, --pr, --pw); a write was not applied
  4  the outcome of a write is unknown: read before writing again
  5  cannot connect
  130  stopped with Ctrl-C before the end";

#[derive(Subcommand, Debug)]
enum Command {
    Write(write::Write),
    Read(read::Read),
    Delete(delete::Delete),
    Keys(keys::Keys),
    Export(export::Export),
    Import(import::Import),
    Status(status::Status),
    Ring(ring::Ring),
    Stats(stats::Stats),
    Locate(locate::Locate),
    Hints(hints::Hints),
    Tombstones(tombstones::Tombstones),
    Repair(repair::Repair),
    /// Show how owners are kept equal
    #[command(subcommand, name = "anti-entropy")]
    AntiEntropy(anti_entropy::AntiEntropy),
    /// Show how the cluster is, and change who is in it
    #[command(subcommand)]
    Cluster(cluster_changes::Cluster),
    /// Show and change the properties of buckets
    #[command(subcommand)]
    Bucket(bucket::Bucket),
    /// Look into the coordination service, and change what is there
    #[command(subcommand)]
    Coord(coord::Coord),
}

fn main() -> std::process::ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let cli = Cli::parse();
    let mut output = Output::new(cli.json);
    let outcome = run(cli, &mut output);
    let printed = output.print();
    match outcome.and_then(|exit| printed.map(|()| exit)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::note(format_args!("error: {error}"));
            if let Some(advice) = error.advice() {
                output::note(format_args!("{advice}"));
            }
            error.exit().into()
        }
    }
}

fn run(cli: Cli, output: &mut Output) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(async {
        match cli.command {
            Command::Write(write) => write.run(cli.at, output).await,
            Command::Read(read) => read.run(cli.at, output).await,
            Command::Delete(delete) => delete.run(cli.at, output).await,
            Command::Keys(keys) => keys.run(cli.at, output).await,
            Command::Export(export) => export.run(cli.at).await,
            Command::Import(import) => import.run(cli.at, output).await,
            Command::Status(status) => status.run(cli.at, output).await,
            Command::Ring(ring) => ring.run(cli.at, output).await,
            Command::Stats(stats) => stats.run(cli.at, output).await,
            Command::Locate(locate) => locate.run(cli.at, output).await,
            Command::Hints(hints) => hints.run(cli.at, output).await,
            Command::Tombstones(tombstones) => tombstones.run(cli.at, output).await,
            Command::Repair(repair) => repair.run(cli.at, output).await,
            Command::AntiEntropy(anti_entropy) => anti_entropy.run(cli.at, output).await,
            Command::Cluster(cluster) => cluster.run(cli.at, output).await,
            Command::Bucket(bucket) => bucket.run(cli.at, output).await,
            Command::Coord(coord) => coord.run(cli.at, output).await,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
