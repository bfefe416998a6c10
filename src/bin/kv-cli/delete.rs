//! `kv-cli delete`.

use std::time::Instant;

use clap::Args;
use kv::client::{Context, QuorumSize};

use crate::cluster::Where;
use crate::covered;
use crate::exit::{CliError, Exit};
use crate::options::{Keyed, WriteQuorum, keyed};
use crate::output::Output;
use crate::write;

const AFTER_HELP: &str = "\
Without --context the key is read first, with its bucket's r, and what was found is deleted; a value that is \
written meanwhile stays. Deleting what is not there is no error.

Examples:
  kv-cli delete foo
  kv-cli delete foo 3                 the delete is held durably by 3 replicas
  kv-cli delete foo --context 0a01    delete exactly what a read found";

/// Delete a key
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Delete {
    /// The key
    key: String,
    /// Replicas that must hold it durably: a number, one, quorum or all
    #[arg(id = "w_position", value_name = "W")]
    w_position: Option<QuorumSize>,
    /// Nodes of the cluster: 1|host:port,2|host:port
    #[arg(id = "servers_position", value_name = "SERVERS")]
    servers: Option<String>,
    #[command(flatten)]
    quorum: WriteQuorum,
    #[command(flatten)]
    keyed: Keyed,
    /// What a read printed: delete exactly that
    #[arg(long, value_name = "HEX")]
    context: Option<Context>,
}

impl Delete {
    /// Deletes.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let start = Instant::now();
        let client = at.connect(self.servers.as_deref()).await?;
        let context = match &self.context {
            Some(context) => Some(context.clone()),
            None => covered::read_first(&client, &self.key, &self.keyed.bucket).await?,
        };
        let mut delete = keyed!(client.delete(&self.key), self.keyed);
        if let Some(context) = &context {
            delete = delete.context(context);
        }
        if let Some(w) = self.w_position.or(self.quorum.w) {
            delete = delete.w(w);
        }
        if let Some(pw) = self.quorum.pw {
            delete = delete.pw(pw);
        }
        write::print(&delete.await?, "deleted", start, output);
        Ok(Exit::Done)
    }
}
