//! The command line, and which of the ways to a configuration it takes.

use std::io;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tempfile::TempDir;

use kv::config::{Config, ConfigError, Overrides};
use kv::core::id::NodeId;

const USAGE: &str = "\
kv-server [check] --config FILE [OPTIONS]
       kv-server recover --config FILE [--yes]
       kv-server ID LISTEN SERVERS [OPTIONS]
       kv-server --join HOST:PORT --listen HOST:PORT --data-dir FOLDER [OPTIONS]
       kv-server --dev [OPTIONS]";

const EXAMPLES: &str = "\
Examples:
  kv-server --config config/node1.toml
      A node as its file says.
  kv-server check --config config/node1.toml
      Whether that file is right, and what it means.
  kv-server 1 localhost:8000 \"1|localhost:8000,2|localhost:8001,3|localhost:8002\"
      Node 1 of three, without a file; its data is in data/node1.
  kv-server --join 10.0.0.1:8000 --listen 10.0.0.4:8000 --data-dir /var/lib/kv --insecure
      A node more for the cluster that the node at 10.0.0.1:8000 is in; no file is needed.
  kv-server recover --config config/node1.toml
      A majority of the voters is lost for good: go on with this one's copy (see kv-server recover --help).
  kv-server --dev
      One node to try things out; its data is gone when it stops.
  kv-server --config node.toml --id 2 --listen 10.0.0.2:8000 --insecure
      One file for all machines; what differs is said here.

Exit codes: 0 stopped cleanly, 1 failed, 2 wrong use or configuration.
RUST_LOG says what is logged, as in RUST_LOG=warn,kv::node=debug; the default is info, and of the
storage engine warnings.";

/// A node of a KV cluster
#[derive(Parser, Debug)]
#[command(name = "kv-server", version, override_usage = USAGE, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// The short form: this node's id, where it listens, and all nodes as ID|HOST:PORT,...
    #[arg(num_args = 3, value_names = ["ID", "LISTEN", "SERVERS"])]
    short: Vec<String>,

    /// Run a single node with its data in a temporary folder, or in --data-dir
    #[arg(long, global = true)]
    dev: bool,

    /// This node's file, such as config/node1.toml
    #[arg(long, global = true, value_name = "FILE", env = "KV_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    overrides: Flags,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Only check the configuration and say what it means
    Check,
    /// Make this stopped node's copy of the coordination service the only one: for a majority of voters lost for good
    #[command(long_about = RECOVER_ABOUT)]
    Recover {
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
}

const RECOVER_ABOUT: &str = "\
Make this stopped node's copy of the coordination service the only one.

For one case alone: a majority of the voters is lost for good, so that the others never again agree on members and buckets. \
Voters that are merely down need nothing but a start.

 1. Stop all nodes that survive.
 2. On each surviving voter look at what it holds: `kv-server recover --config FILE`, and answer no. Choose the one with the
    highest term; among those of one term, the one with the highest entry.
 3. There, say yes. It is the only voter of a new generation.
 4. Start it, and then the others. Survivors with their data and nodes that were wiped come back by themselves, and vote again
    if they did before. Never start wiped nodes first: together they might make a cluster of their own.

What it costs: changes of members and buckets, and of what `kv-cli coord` wrote, that only the lost voters had. All sessions of \
the service end. Data of applications is not touched: what the survivors hold stays, also beyond this.";

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Run a node.
    Run,
    /// Only check the configuration.
    Check,
    /// Recover the coordination service by force.
    Recover {
        /// Without asking.
        yes: bool,
    },
}

#[derive(Args, Debug)]
struct Flags {
    /// This node's number in the node list, instead of the file's
    #[arg(long, global = true, env = "KV_ID", value_parser = clap::value_parser!(u32).range(1..))]
    id: Option<u32>,

    /// Where to listen, instead of the file's; port 0 with --dev takes a free one
    #[arg(long, global = true, value_name = "HOST:PORT", env = "KV_LISTEN")]
    listen: Option<String>,

    /// Where the data is, instead of the file's
    #[arg(long, global = true, value_name = "FOLDER", env = "KV_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// A node of a running cluster to ask for membership, instead of the file's; several separated by commas
    #[arg(long, global = true, value_name = "HOST:PORT", env = "KV_JOIN", value_delimiter = ',')]
    join: Vec<String>,

    /// Allow listening where other machines reach it, although links are not encrypted yet
    #[arg(long, global = true)]
    insecure: bool,
}

/// What the command line asks for.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// What to do with it.
    pub action: Action,
    /// A `--dev` node's data, deleted when this is dropped.
    pub scratch: Option<TempDir>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is nowhere to put a `--dev` node's data.
    #[error("cannot make a temporary folder: {0}; give one with --data-dir")]
    Scratch(#[source] io::Error),
}

impl Arguments {
    /// Of this process. Ends it if they make no sense, or only ask for help.
    pub fn from_process() -> Arguments {
        let matches = Arguments::command().get_matches();
        refuse_mixtures(&matches);
        Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Makes the configuration.
    pub fn start(self) -> Result<Start, StartError> {
        let Flags { id, listen, data_dir, join, insecure } = self.overrides;
        let overrides = Overrides { id: id.map(NodeId), listen, data_dir, insecure, join };
        let (config, scratch) = match (&self.short[..], self.dev, &self.config) {
            ([id, listen, servers], ..) => (short(id, listen, servers, &overrides)?, None),
            (_, true, _) => dev(&overrides)?,
            (_, _, Some(file)) => (Config::load(file, &overrides)?, None),
            (_, _, None) if !overrides.join.is_empty() => (Config::join(&overrides)?, None),
            (_, _, None) => usage(
                ErrorKind::MissingRequiredArgument,
                "nothing says what to run: give --config FILE, or ID LISTEN SERVERS, or --join HOST:PORT, or --dev",
            ),
        };
        let action = match self.command {
            None => Action::Run,
            Some(Command::Check) => Action::Check,
            Some(Command::Recover { yes }) => Action::Recover { yes },
        };
        Ok(Start { config, action, scratch })
    }
}

fn short(id: &str, listen: &str, servers: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    match id.parse() {
        Ok(id) if id > 0 => Config::from_servers(NodeId(id), listen, servers, overrides),
        _ => usage(ErrorKind::InvalidValue, &format!("'{id}' is no id: give a number from 1 (ID LISTEN SERVERS)")),
    }
}

fn dev(overrides: &Overrides) -> Result<(Config, Option<TempDir>), StartError> {
    if overrides.data_dir.is_some() {
        return Ok((Config::dev(Path::new(""), overrides)?, None));
    }
    let scratch = tempfile::Builder::new().prefix("kv-dev-").tempdir().map_err(StartError::Scratch)?;
    Ok((Config::dev(scratch.path(), overrides)?, Some(scratch)))
}

/// The ways exclude each other when they are asked for on the command line. In the environment they may stand by: a shell
/// with KV_CONFIG set can still run `--dev`.
fn refuse_mixtures(matches: &ArgMatches) {
    let given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let ways = [("short", "ID LISTEN SERVERS"), ("dev", "--dev"), ("config", "--config"), ("join", "--join")];
    let asked: Vec<&str> = ways.iter().filter(|(name, _)| given(name)).map(|(_, shown)| *shown).collect();
    // A file may leave it to the command line which cluster its node joins.
    if let [first, second, ..] = asked[..]
        && (first, second) != ("--config", "--join")
    {
        usage(ErrorKind::ArgumentConflict, &format!("{first} and {second} are two ways to start a node: give one"));
    }
    for (name, shown) in [("id", "--id"), ("listen", "--listen")] {
        if given("short") && given(name) {
            usage(
                ErrorKind::ArgumentConflict,
                &format!("ID LISTEN SERVERS already says what {shown} would: leave it out"),
            );
        }
    }
}

fn usage(kind: ErrorKind, message: &str) -> ! {
    Arguments::command().error(kind, message).exit()
}
