//! `kv-cli coord ls` and `kv-cli coord get`.

use clap::Args;
use kv::wire::tree::{TreeAnswer, TreeNode, TreeRequest};
use serde_json::json;

use super::{data, print_stat, strange};
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::json;
use crate::output::{Output, note};

const LS_HELP: &str = "\
Exit code 1 means that there is no such node.

Examples:
  kv-cli coord ls                 what is at the top
  kv-cli coord ls -R /kv          all that the nodes keep
  kv-cli coord ls -s /kv/live     with the node's own numbers";

/// List what is below a node
#[derive(Args, Debug)]
#[command(after_help = LS_HELP)]
pub struct Ls {
    /// The node
    #[arg(default_value = "/")]
    path: String,
    /// Also what is below that, and so on
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Show the node's numbers too
    #[arg(short, long)]
    stat: bool,
    /// See everything that was written before, through whichever node
    #[arg(long)]
    sync: bool,
}

impl Ls {
    /// Lists.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let request = TreeRequest::List { path: self.path.clone(), recursive: self.recursive, sync: self.sync };
        let TreeAnswer::Listing { stat, names, left_off, revision } = client.tree(request).await? else {
            return Err(strange());
        };
        if output.is_json() {
            let path = &self.path;
            output.json(&json!({
                "path": path, "names": names, "left_off": left_off, "stat": stat, "revision": revision,
            }));
            return Ok(Exit::Done);
        }
        names.iter().for_each(|name| output.line(name));
        if left_off {
            note(format_args!("note: there are more; only the first {} are listed", names.len()));
        }
        if self.stat {
            output.line("");
            print_stat(&stat, revision, output);
        }
        Ok(Exit::Done)
    }
}

const GET_HELP: &str = "\
A node answers from its own copy of the tree, which may be a moment old; --sync makes it current first. \
Control characters and bytes that are no text are printed escaped; --raw writes the bytes as they are. \
Exit code 1 means that there is no such node.

Examples:
  kv-cli coord get /kv/ring
  kv-cli coord get -s /config       with its version, for set --version
  kv-cli coord get --raw /logo > logo.png";

/// Show a node's data
#[derive(Args, Debug)]
#[command(after_help = GET_HELP)]
pub struct Get {
    /// The node
    path: String,
    /// Show the node's numbers too
    #[arg(short, long)]
    stat: bool,
    /// See everything that was written before, through whichever node
    #[arg(long)]
    sync: bool,
    /// The bytes as they are, without a newline after them
    #[arg(long, conflicts_with_all = ["json", "stat"])]
    raw: bool,
}

impl Get {
    /// Reads.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let answer = client.tree(TreeRequest::Get { path: self.path, sync: self.sync }).await?;
        let TreeAnswer::Node(TreeNode { path, data: held, stat, revision }) = answer else { return Err(strange()) };
        if output.is_json() {
            output.json(&json!({ "path": path, "data": json::bytes(&held), "stat": stat, "revision": revision }));
            return Ok(Exit::Done);
        }
        if self.raw {
            output.bytes(&held);
            return Ok(Exit::Done);
        }
        let text = data::printable(&held);
        if text.as_bytes() != held {
            note(format_args!("note: it is not all text and is printed escaped; --raw writes the bytes"));
        }
        output.line(text);
        if self.stat {
            output.line("");
            print_stat(&stat, revision, output);
        }
        Ok(Exit::Done)
    }
}
