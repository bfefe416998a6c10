//! One line of an import.
//!
//! It is done as a whole: what the key holds now is read, and every value of the line replaces that and nothing else. So siblings
//! become siblings again, a second attempt replaces what the first has left, and a second import of the same file changes nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kv::client::{BlindWrite, Client, ClientError};
use tokio::time::sleep;

use crate::exit::{CliError, Exit};
use crate::export_format::{ExportedKey, ExportedValue};

/// How often a line is tried in all, as long as surely it can be.
const ATTEMPTS: u32 = 6;
/// Pause before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of a line.
pub enum Done {
    /// So many values were written.
    Written(u64),
    /// The key has a value.
    Skipped,
    /// All values had expired.
    Expired,
}

/// Why a line was not done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It says nothing that could be done.
    #[error("{0}")]
    Malformed(String),
    /// The cluster did not do it.
    #[error("{key}: {source}")]
    Client {
        /// Bucket and key.
        key: String,
        /// Why not.
        source: ClientError,
    },
}

impl Trouble {
    /// The exit code that tells it.
    pub fn exit(&self) -> Exit {
        match self {
            Trouble::Malformed(_) => Exit::Usage,
            Trouble::Client { source, .. } => CliError::from(source.clone()).exit(),
        }
    }
}

/// Does a line, in as many attempts as it may take.
pub async fn import(client: &Client, text: Result<Vec<u8>, String>, skip_existing: bool) -> Result<Done, Trouble> {
    let text = text.map_err(Trouble::Malformed)?;
    let line: ExportedKey = serde_json::from_slice(&text).map_err(|error| Trouble::Malformed(error.to_string()))?;
    drop(text);
    if line.values.is_empty() {
        return Err(Trouble::Malformed("it has no values".into()));
    }
    let (mut attempts, mut pause) = (0, PAUSE);
    loop {
        attempts += 1;
        match write(client, &line, skip_existing).await {
            Err(error) if error.retryable() && attempts < ATTEMPTS => sleep(pause).await,
            Err(source) => {
                let key = format!("{}/{}", line.bucket, line.key.0.escape_ascii());
                return Err(Trouble::Client { key, source });
            }
            Ok(done) => return Ok(done),
        }
        pause *= 2;
    }
}

/// Replaces what the key holds by the values of the line.
async fn write(client: &Client, line: &ExportedKey, skip_existing: bool) -> Result<Done, ClientError> {
    let held = client.get(&line.key.0).bucket(&line.bucket).await?;
    if skip_existing && !held.values.is_empty() {
        return Ok(Done::Skipped);
    }
    let mut written = 0;
    // The oldest first, so that the newest stays the newest.
    for ExportedValue { value, expires_ms, .. } in line.values.iter().rev() {
        let mut put = client.put(&line.key.0, value.0.clone()).bucket(&line.bucket).context(&held.context);
        if held.context.is_none() {
            put = put.blind(BlindWrite::Sibling);
        }
        if let Some(expires_ms) = expires_ms {
            match expires_ms.checked_sub(wall_ms()).filter(|left| *left > 0) {
                Some(left) => put = put.ttl(Duration::from_millis(left)),
                None => continue,
            }
        }
        put.await?;
        written += 1;
    }
    Ok(if written > 0 { Done::Written(written) } else { Done::Expired })
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
