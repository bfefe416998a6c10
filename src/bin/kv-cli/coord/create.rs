//! `kv-cli coord create`.

use clap::Args;
use kv::client::Client;
use kv::wire::tree::TreeRequest;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::watch::Watching;
use super::{data, guard, print_written};
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};

const AFTER_HELP: &str = "\
The parent must be there. An ephemeral node needs somebody who holds it: with --hold this command stays until \
Ctrl-C, and the node is deleted when it ends, however it ends. If the node goes before that, so does the command, \
with exit code 1.

Examples:
  kv-cli coord create /config 'a = 1'
  kv-cli coord create /queue/item- job --sequential     prints the number that it got
  kv-cli coord create /lock me --ephemeral --hold       until Ctrl-C
  kv-cli coord create /logo - < logo.png                any bytes, from standard input";

/// Make a node
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Create {
    /// The node; with --sequential what its number is put behind
    path: String,
    /// What it is to hold; - takes it from standard input
    #[arg(default_value = "", allow_hyphen_values = true)]
    data: String,
    /// Let the service put the next number behind the name
    #[arg(short, long)]
    sequential: bool,
    /// Let it vanish with this command
    #[arg(short, long, requires = "hold")]
    ephemeral: bool,
    /// Stay until Ctrl-C
    #[arg(long, requires = "ephemeral")]
    hold: bool,
    /// Also below /kv, where the nodes keep what is theirs
    #[arg(long)]
    force: bool,
}

impl Create {
    /// Makes the node, and stays if it is to be held.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        guard(&self.path, self.force)?;
        let data = data::from_argument(&self.data)?.into();
        let client = at.connect(None).await?;
        // From before the node is there: whoever reads that it is may press Ctrl-C at once.
        let interrupt = self.hold.then(|| signal(SignalKind::interrupt())).transpose().map_err(CliError::Runtime)?;
        let create = TreeRequest::Create { path: self.path, data, sequential: self.sequential, held: self.ephemeral };
        let (path, stat) = print_written(client.tree(create).await?, "created", output)?;
        let Some(interrupt) = interrupt else { return Ok(Exit::Done) };
        output.flush()?;
        note(format_args!("holding {path} until Ctrl-C"));
        hold(&client, path, stat.created, interrupt).await
    }
}

/// Returns at Ctrl-C; the connection's end lets the node go.
async fn hold(client: &Client, path: String, created: u64, mut interrupt: Signal) -> Result<Exit, CliError> {
    let mut watching = Watching::since(path.clone(), created);
    loop {
        let watched = tokio::select! {
            biased;
            _ = interrupt.recv() => return Ok(Exit::Done),
            watched = watching.next(client) => watched?,
        };
        // Another node of that name is another node.
        if watched.nodes.first().is_none_or(|node| node.stat.created != created) {
            return Err(CliError::NotHeld(path));
        }
    }
}
