//! `kv-cli write`.

use std::io::Read as _;
use std::time::{Duration, Instant};

use clap::Args;
use kv::client::{BlindWrite, Context, QuorumSize, Written};
use serde_json::json;

use crate::cluster::Where;
use crate::covered;
use crate::exit::{CliError, Exit};
use crate::json;
use crate::options::{Keyed, WriteQuorum, duration, keyed};
use crate::output::Output;
use crate::table::list;

const AFTER_HELP: &str = "\
Without --context the key is read first, with its bucket's r, and what was found is replaced. If that read \
fails the value is written blind, and a note says so.

Examples:
  kv-cli write foo bar                      as sure as the bucket says
  kv-cli write foo bar 3                    held durably by 3 replicas
  kv-cli write foo bar 3 '1|localhost:8000,2|localhost:8001'
  kv-cli write cart 'a b' --context 0a01    replace exactly what a read found
  kv-cli write session x --ttl 10m          gone after 10 minutes
  kv-cli write logo --file - < logo.png     any bytes, from standard input
  kv-cli write foo baz --blind              keep what is there: creates a sibling";

/// Write a value
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Write {
    /// The key
    key: String,
    /// The value, unless --file gives it; after -- it may begin with a dash
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_negative_numbers = true)]
    value: Option<String>,
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
    /// Take the value from a file, or from standard input with -
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// What a read printed: replace exactly that
    #[arg(long, value_name = "HEX")]
    context: Option<Context>,
    /// Do not read first and replace nothing: the value becomes a sibling of what is there
    #[arg(long, conflicts_with = "context")]
    blind: bool,
    /// Count as deleted after this time, such as 30s or 10m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,
}

impl Write {
    /// Writes.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let start = Instant::now();
        let value = self.value()?;
        let client = at.connect(self.servers.as_deref()).await?;
        let context = match (&self.context, self.blind) {
            (Some(context), _) => Some(context.clone()),
            (None, true) => None,
            (None, false) => covered::read_first(&client, &self.key, &self.keyed.bucket).await?,
        };
        let mut put = keyed!(client.put(&self.key, value), self.keyed);
        if let Some(context) = &context {
            put = put.context(context);
        }
        if self.blind {
            put = put.blind(BlindWrite::Sibling);
        }
        if let Some(w) = self.w_position.or(self.quorum.w) {
            put = put.w(w);
        }
        if let Some(pw) = self.quorum.pw {
            put = put.pw(pw);
        }
        if let Some(ttl) = self.ttl {
            put = put.ttl(ttl);
        }
        print(&put.await?, "written", start, output);
        Ok(Exit::Done)
    }

    fn value(&self) -> Result<Vec<u8>, CliError> {
        let read = match (self.file.as_deref(), &self.value) {
            (None, value) => return Ok(value.clone().unwrap_or_default().into_bytes()),
            (Some("-"), _) => {
                let mut value = Vec::new();
                std::io::stdin().lock().read_to_end(&mut value).map(|_| value)
            }
            (Some(path), _) => std::fs::read(path),
        };
        let path = self.file.clone().unwrap_or_default();
        read.map_err(|error| CliError::File { path, reason: error.to_string() })
    }
}

/// Tells who holds a write.
pub fn print(written: &Written, what: &str, start: Instant, output: &mut Output) {
    covered::note_siblings(written.siblings);
    if output.is_json() {
        output.json(&json!({
            "context": json::context(Some(&written.context)),
            "siblings": written.siblings,
            "replicas": written.replicas,
            "time_ms": json::time_ms(start),
        }));
    } else {
        // In the order of their answers they came; people look for a number.
        let mut holders = written.replicas.clone();
        holders.sort();
        output.line(format_args!("{what}, held by node {}", list(&holders)));
    }
}
