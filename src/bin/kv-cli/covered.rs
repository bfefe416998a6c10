//! What a write is to replace.
//!
//! A plain write or delete should replace what is there, so it reads first and goes out with the context of that read. It then
//! covers what was read and nothing else: a value that comes in between is kept beside it.

use kv::client::{Client, ClientError, Context, Failure};

use crate::exit::CliError;
use crate::output::note;

/// Reads the key with its bucket's r. If that fails the write is a blind one, unless it would fail for the same reason.
pub async fn read_first(client: &Client, key: &str, bucket: &str) -> Result<Option<Context>, CliError> {
    match client.get(key).bucket(bucket).await {
        Ok(read) => {
            if read.is_conflict() {
                note(format_args!("note: {} siblings were there and are replaced", read.values.len()));
            }
            Ok(read.context)
        }
        Err(
            error
            @ (ClientError::Connect { .. } | ClientError::Failure(Failure::Invalid(_) | Failure::TooLarge { .. })),
        ) => Err(error.into()),
        Err(error) => {
            note(format_args!("note: the read before the write failed ({error}); writing blind"));
            Ok(None)
        }
    }
}

/// Tells of values that were kept beside a write.
pub fn note_siblings(siblings: u32) {
    if siblings > 1 {
        note(format_args!(
            "note: the key has {siblings} siblings now; `kv-cli read` shows them and how to resolve them"
        ));
    }
}
