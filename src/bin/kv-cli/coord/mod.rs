//! `kv-cli coord`: the tree of the coordination service, as users of ZooKeeper's shell know it.
//!
//! Any node carries the commands out with its own session, whoever provides the service.

mod change;
mod changes;
mod create;
mod data;
mod look;
mod status;
mod watch;

use clap::Subcommand;
use kv::client::ClientError;
use kv::coordination::registry::ROOT;
use kv::wire::tree::{NodeStat, TreeAnswer};
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::Output;

/// What can be done with the tree.
#[derive(Subcommand, Debug)]
pub enum Coord {
    Ls(look::Ls),
    Get(look::Get),
    Set(change::Set),
    Create(create::Create),
    Delete(change::Delete),
    Watch(watch::Watch),
    Status(status::Status),
}

impl Coord {
    /// Does it.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Coord::Ls(ls) => ls.run(at, output).await,
            Coord::Get(get) => get.run(at, output).await,
            Coord::Set(set) => set.run(at, output).await,
            Coord::Create(create) => create.run(at, output).await,
            Coord::Delete(delete) => delete.run(at, output).await,
            Coord::Watch(watch) => watch.run(at, output).await,
            Coord::Status(status) => status.run(at, output).await,
        }
    }
}

/// Refuses to change what the nodes keep for themselves, unless that is really wanted.
fn guard(path: &str, force: bool) -> Result<(), CliError> {
    let is_own = path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !is_own || force {
        return Ok(());
    }
    Err(CliError::Usage(format!(
        "{path} belongs to the nodes of the cluster, and a wrong change there can stop it; `kv-cli bucket set` and the \
         like change it safely. If you know what you do, add --force"
    )))
}

/// An answer to something else than what was asked.
fn strange() -> CliError {
    let reason = "it answered another question than the one that was asked".into();
    ClientError::Protocol { address: "the node".into(), reason }.into()
}

/// Shows what a write left.
fn print_written(answer: TreeAnswer, verb: &str, output: &mut Output) -> Result<(String, NodeStat), CliError> {
    let TreeAnswer::Written { path, stat } = answer else { return Err(strange()) };
    if output.is_json() {
        output.json(&json!({ "path": path, "stat": stat }));
    } else {
        output.line(format_args!("{verb} {path}, version {}", stat.version));
    }
    Ok((path, stat))
}

/// A node's numbers, one a line.
fn print_stat(stat: &NodeStat, revision: u64, output: &mut Output) {
    output.line(format_args!("created at revision   {}", stat.created));
    output.line(format_args!("modified at revision  {}", stat.modified));
    output.line(format_args!("version               {}", stat.version));
    output.line(format_args!("children's version    {}", stat.children_version));
    output.line(format_args!("ephemeral owner       {}", stat.owner.map_or("-".into(), session)));
    output.line(format_args!("bytes of data         {}", stat.data_bytes));
    output.line(format_args!("children              {}", stat.children));
    output.line(format_args!("read at revision      {revision}"));
}

/// A session as people write it.
pub fn session(number: u64) -> String {
    format!("{number:#x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_nodes_keep_is_guarded() {
        for own in ["/kv", "/kv/ring"] {
            assert!(guard(own, false).is_err());
            assert!(guard(own, true).is_ok());
        }
        for other in ["/", "/kvs", "/a/kv"] {
            assert!(guard(other, false).is_ok(), "{other}");
        }
    }
}
