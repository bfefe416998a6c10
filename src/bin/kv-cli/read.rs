//! `kv-cli read`.

use std::time::Instant;

use clap::Args;
use kv::client::{QuorumSize, Read as Found};
use serde_json::json;

use crate::cluster::{Where, quoted};
use crate::exit::{CliError, Exit};
use crate::json;
use crate::options::{Keyed, keyed};
use crate::output::{Output, note};

const AFTER_HELP: &str = "\
The value goes to standard output as it is, then a newline; --raw leaves the newline out. Siblings, the values \
of concurrent writes, go one a line, newest first; a note tells how to resolve them. --json prints values, \
context, replicas (the nodes that answered) and time_ms; values that are not UTF-8 become {\"hex\": \"...\"}. \
Exit code 1 means not found.

Examples:
  kv-cli read foo                   as sure as the bucket says
  kv-cli read foo 2                 2 replicas must answer
  kv-cli read foo 2 '1|localhost:8000,2|localhost:8001'
  kv-cli read foo quorum --strict   only owners count
  kv-cli read logo --raw > logo.png
  kv-cli read foo --json";

/// Read a value
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Read {
    /// The key
    key: String,
    /// Replicas that must answer: a number, one, quorum or all
    #[arg(id = "r_position", value_name = "R")]
    r_position: Option<QuorumSize>,
    /// Nodes of the cluster: 1|host:port,2|host:port
    #[arg(id = "servers_position", value_name = "SERVERS")]
    servers: Option<String>,
    /// Replicas that must answer: a number, one, quorum or all
    #[arg(long, value_name = "R", conflicts_with = "r_position")]
    r: Option<QuorumSize>,
    /// How many of R must be owners
    #[arg(long, value_name = "PR")]
    pr: Option<QuorumSize>,
    #[command(flatten)]
    keyed: Keyed,
    /// No newline after the value
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

impl Read {
    /// Reads.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let start = Instant::now();
        let client = at.connect(self.servers.as_deref()).await?;
        let mut get = keyed!(client.get(&self.key), self.keyed);
        if let Some(r) = self.r_position.or(self.r) {
            get = get.r(r);
        }
        if let Some(pr) = self.pr {
            get = get.pr(pr);
        }
        let found = get.await?;
        self.print(&found, start, output);
        if found.is_conflict() {
            self.tell_how_to_resolve(&found, &at);
        }
        Ok(if found.values.is_empty() { Exit::NotFound } else { Exit::Done })
    }

    fn print(&self, found: &Found, start: Instant, output: &mut Output) {
        if output.is_json() {
            return output.json(&json!({
                "values": json::values(&found.values),
                "context": json::context(found.context.as_ref()),
                "replicas": found.replicas,
                "time_ms": json::time_ms(start),
            }));
        }
        for (i, value) in found.siblings().enumerate() {
            if i > 0 {
                output.bytes(b"\n");
            }
            output.bytes(value);
        }
        match found.values.is_empty() {
            true => note(format_args!("not found")),
            false if self.raw => {}
            false => output.bytes(b"\n"),
        }
    }

    fn tell_how_to_resolve(&self, found: &Found, at: &Where) {
        note(format_args!(
            "note: {} siblings, the values of concurrent writes. To replace them by one:",
            found.values.len()
        ));
        let bucket = match self.keyed.bucket.as_str() {
            "default" => String::new(),
            other => format!(" --bucket {}", quoted(other)),
        };
        let (key, context) = (quoted(&self.key), found.context.as_ref().map(|c| format!(" --context {c}")));
        let cluster = at.as_arguments(self.servers.as_deref());
        note(format_args!("  kv-cli write {key} VALUE{bucket}{}{cluster}", context.unwrap_or_default()));
    }
}
