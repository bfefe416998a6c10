//! `kv-cli coord set` and `kv-cli coord delete`.

use clap::Args;
use kv::wire::tree::{TreeAnswer, TreeRequest};
use serde_json::json;

use super::{data, guard, print_written, strange};
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::Output;

const SET_HELP: &str = "\
Without --version whatever is there is replaced. With it the node is set only if it is at that version, as \
`get --stat` showed it; otherwise exit code 2, and the error says at which version it is.

Examples:
  kv-cli coord set /config 'a = 1'
  kv-cli coord set /config 'a = 2' --version 7
  kv-cli coord set /logo - < logo.png     any bytes, from standard input";

/// Replace a node's data
#[derive(Args, Debug)]
#[command(after_help = SET_HELP)]
pub struct Set {
    /// The node, which must be there
    path: String,
    /// What it is to hold; - takes it from standard input
    #[arg(allow_hyphen_values = true)]
    data: String,
    /// Only if the node is at this version
    #[arg(short = 'v', long = "version", value_name = "N")]
    expected: Option<u64>,
    /// Also below /kv, where the nodes keep what is theirs
    #[arg(long)]
    force: bool,
}

impl Set {
    /// Sets.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        guard(&self.path, self.force)?;
        let data = data::from_argument(&self.data)?.into();
        let client = at.connect(None).await?;
        let set = TreeRequest::Set { path: self.path, data, expected: self.expected };
        print_written(client.tree(set).await?, "set", output)?;
        Ok(Exit::Done)
    }
}

const DELETE_HELP: &str = "\
A node with children is not deleted; delete them first. Exit code 1 means that there is no such node.

Examples:
  kv-cli coord delete /config
  kv-cli coord delete /config --version 7     only what get --stat showed";

/// Delete a node
#[derive(Args, Debug)]
#[command(after_help = DELETE_HELP)]
pub struct Delete {
    /// The node
    path: String,
    /// Only if the node is at this version
    #[arg(short = 'v', long = "version", value_name = "N")]
    expected: Option<u64>,
    /// Also below /kv, where the nodes keep what is theirs
    #[arg(long)]
    force: bool,
}

impl Delete {
    /// Deletes.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        guard(&self.path, self.force)?;
        let client = at.connect(None).await?;
        let delete = TreeRequest::Delete { path: self.path.clone(), expected: self.expected };
        let TreeAnswer::Deleted = client.tree(delete).await? else { return Err(strange()) };
        if output.is_json() {
            output.json(&json!({ "path": self.path, "deleted": true }));
        } else {
            output.line(format_args!("deleted {}", self.path));
        }
        Ok(Exit::Done)
    }
}
