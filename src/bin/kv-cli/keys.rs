//! `kv-cli keys`.

use bytes::Bytes;
use clap::Args;
use kv::client::Listing;
use serde_json::json;

use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::export_format::text_or_base64;
use crate::output::{Output, note};

const AFTER_HELP: &str = "\
Each live key comes once, one a line, in the order of the cluster's partitions; sort them if you like. Keys that are \
written or deleted meanwhile may come or not. It is as sure as a read with the bucket's r: if too few owners of a \
partition answer it ends with exit code 3 and says so, and the list is not complete.

A key goes out as its bytes are. With --json it is a JSON string a line, or {\"base64\": \"...\"} if it is not UTF-8.

Examples:
  kv-cli keys
  kv-cli keys --bucket carts --prefix 2024-
  kv-cli keys --count
  kv-cli keys --json | head";

/// List the keys of a bucket
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Keys {
    #[command(flatten)]
    range: Range,
    /// Print how many there are instead
    #[arg(long)]
    count: bool,
}

/// Which keys to go through.
#[derive(Args, Debug)]
pub struct Range {
    /// The bucket
    #[arg(long, default_value = "default")]
    pub bucket: String,
    /// Only keys that begin so
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub prefix: String,
}

impl Keys {
    /// Lists, page by page.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let client = at.connect(None).await?;
        let mut listing = client.keys(&self.range.bucket).prefix(&self.range.prefix);
        let mut count = 0;
        while let Some(keys) = next(&mut listing, count).await? {
            count += keys.len() as u64;
            if self.count {
                continue;
            }
            keys.iter().for_each(|key| print(key, output));
            if !output.flush()? {
                return Ok(Exit::Done);
            }
        }
        match (self.count, output.is_json()) {
            (false, _) => {}
            (true, true) => output.json(&json!({ "bucket": self.range.bucket, "keys": count })),
            (true, false) => output.line(count),
        }
        Ok(Exit::Done)
    }
}

async fn next(listing: &mut Listing<Bytes>, count: u64) -> Result<Option<Vec<Bytes>>, CliError> {
    match listing.next_page().await {
        Ok(page) => Ok(page.map(|page| page.items)),
        Err(error) => {
            note(format_args!("note: not all keys were listed; it ended after {count}"));
            Err(error.into())
        }
    }
}

fn print(key: &[u8], output: &mut Output) {
    if output.is_json() {
        return output.json_line(&text_or_base64(key));
    }
    output.bytes(key);
    output.bytes(b"\n");
}
