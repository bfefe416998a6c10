//! Limits on what a single key may carry. Each binds at the edge or at minting; a merge is never refused.

use serde::{Deserialize, Serialize};

use super::key::Key;
use super::request::Failure;

/// Limits on keys, values and objects. Configured per node (`[limits]`), the same everywhere in a sane cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a bucket's name.
    pub bucket_bytes_max: u32,
    /// Bytes of a key's name.
    pub key_bytes_max: u32,
    /// Bytes of one value.
    pub value_bytes_max: u32,
    /// Live siblings of a key; a write that would pass it is refused, one that lowers the count never.
    pub siblings_max: u32,
    /// Bytes of all siblings of a key together; binds like `siblings_max`.
    pub object_bytes_max: u32,
    /// Actors in a key's causal context; binds like `siblings_max`.
    pub context_entries_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bucket_bytes_max: 255,
            key_bytes_max: 4096,
            value_bytes_max: 1 << 20,
            siblings_max: 100,
            object_bytes_max: 16 << 20,
            context_entries_max: 1000,
        }
    }
}

impl Limits {
    /// Refuses an empty or overlong bucket or key.
    pub fn check_key(&self, key: &Key) -> Result<(), Failure> {
        self.check_prefix(&key.bucket, &key.name)?;
        if key.name.is_empty() {
            return Err(Failure::Invalid("the key is empty; give at least one byte".into()));
        }
        Ok(())
    }

    /// Refuses an empty or overlong bucket, and what no key can begin with.
    pub fn check_prefix(&self, bucket: &[u8], prefix: &[u8]) -> Result<(), Failure> {
        within("bucket", bucket.len(), self.bucket_bytes_max)?;
        within("key", prefix.len(), self.key_bytes_max)?;
        if bucket.is_empty() {
            return Err(Failure::Invalid("the bucket is empty; leave it out for 'default'".into()));
        }
        Ok(())
    }

    /// Refuses an overlong value.
    pub fn check_value(&self, value: &[u8]) -> Result<(), Failure> {
        within("value", value.len(), self.value_bytes_max)
    }
}

fn within(what: &'static str, have: usize, limit: u32) -> Result<(), Failure> {
    if have as u64 > limit as u64 {
        return Err(Failure::TooLarge { what: what.into(), bytes: have as u64, limit: limit as u64 });
    }
    Ok(())
}
