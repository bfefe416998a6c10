//! Buckets and their properties.
//!
//! `default` is always there: it holds for bare keys and for every bucket without properties of its own. What a bucket is not
//! given when it first gets its own comes from `default`, once; later changes of `default` do not touch it.

use std::collections::BTreeMap;

use crate::coordination::api::Session;
use crate::coordination::tree::CreateMode;
use crate::core::bucket::{BlindWrite, Bucket, Conflict, QuorumSize};
use crate::core::key::DEFAULT_BUCKET;
use crate::core::limits::Limits;

use super::access::{self, Attempts, Written};
use super::error::Error;
use super::paths;
use super::records::{BucketRecord, ClusterRecord, Rest, RingRecord};

/// What to change of a bucket; what is `None` stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BucketChanges {
    /// Replicas of each key; `Some(None)` is the cluster's replication.
    pub n: Option<Option<u8>>,
    /// Replicas that must answer a read.
    pub r: Option<QuorumSize>,
    /// Replicas, or fallbacks, that must hold a write durably.
    pub w: Option<QuorumSize>,
    /// How many of `r` must be owners.
    pub pr: Option<QuorumSize>,
    /// How many of `w` must be owners.
    pub pw: Option<QuorumSize>,
    /// Whether fallbacks stand in for owners that are down.
    pub sloppy: Option<bool>,
    /// What happens to concurrent writes.
    pub conflict: Option<Conflict>,
    /// What a write without a context covers.
    pub blind_write: Option<BlindWrite>,
}

impl BucketChanges {
    /// Adds a change as people write it, such as `n` and `3`. `n` may be `default`, the cluster's replication.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what would be right.
    pub fn add(&mut self, property: &str, value: &str) -> Result<(), Error> {
        let wrong =
            |right: &str| Error::Invalid { reason: format!("'{value}' is no {property} of a bucket: give {right}") };
        let size = || value.parse::<QuorumSize>().map_err(|_| wrong("a number from 0 to 255, or one, quorum or all"));
        match property {
            "n" if value == "default" => self.n = Some(None),
            "n" => match value.parse() {
                Ok(n) if n > 0 => self.n = Some(Some(n)),
                _ => return Err(wrong("a number of replicas from 1, or default")),
            },
            "r" => self.r = Some(size()?),
            "w" => self.w = Some(size()?),
            "pr" => self.pr = Some(size()?),
            "pw" => self.pw = Some(size()?),
            "sloppy" => self.sloppy = Some(value.parse().map_err(|_| wrong("true or false"))?),
            "conflict" => {
                self.conflict = Some(match value {
                    "siblings" => Conflict::Siblings,
                    "lww" => Conflict::Lww,
                    _ => return Err(wrong("siblings or lww")),
                });
            }
            "blind_write" => {
                self.blind_write = Some(match value {
                    "supersede" => BlindWrite::Supersede,
                    "sibling" => BlindWrite::Sibling,
                    _ => return Err(wrong("supersede or sibling")),
                });
            }
            _ => {
                let names = properties(&Bucket::default()).map(|(name, _)| name).join(", ");
                return Err(Error::Invalid {
                    reason: format!("'{property}' is no property of a bucket: there are {names}"),
                });
            }
        }
        Ok(())
    }

    /// The bucket after them.
    pub fn apply(&self, to: &Bucket) -> Bucket {
        Bucket {
            n: self.n.unwrap_or(to.n),
            r: self.r.unwrap_or(to.r),
            w: self.w.unwrap_or(to.w),
            pr: self.pr.unwrap_or(to.pr),
            pw: self.pw.unwrap_or(to.pw),
            sloppy: self.sloppy.unwrap_or(to.sloppy),
            conflict: self.conflict.unwrap_or(to.conflict),
            blind_write: self.blind_write.unwrap_or(to.blind_write),
        }
    }
}

/// The properties of a bucket by name, as people write them.
pub fn properties(bucket: &Bucket) -> [(&'static str, String); 8] {
    let conflict = match bucket.conflict {
        Conflict::Siblings => "siblings",
        Conflict::Lww => "lww",
    };
    let blind_write = match bucket.blind_write {
        BlindWrite::Supersede => "supersede",
        BlindWrite::Sibling => "sibling",
    };
    [
        ("n", bucket.n.map_or("default".into(), |n| n.to_string())),
        ("r", bucket.r.to_string()),
        ("w", bucket.w.to_string()),
        ("pr", bucket.pr.to_string()),
        ("pw", bucket.pw.to_string()),
        ("sloppy", bucket.sloppy.to_string()),
        ("conflict", conflict.into()),
        ("blind_write", blind_write.into()),
    ]
}

/// The properties in which two buckets differ: name, the one's, the other's.
pub(super) fn differences(one: &Bucket, other: &Bucket) -> Vec<(&'static str, String, String)> {
    let both = properties(one).into_iter().zip(properties(other));
    both.filter(|(one, other)| one.1 != other.1).map(|((name, one), (_, other))| (name, one, other)).collect()
}

/// What is wrong with a bucket in a cluster of that replication.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn check(name: &str, bucket: &Bucket, replication: u8) -> Result<(), Error> {
    let refuse = |reason: String| Err(Error::Invalid { reason: format!("bucket '{name}': {reason}") });
    let limit = Limits::default().bucket_bytes_max;
    if name.is_empty() || name.len() > limit as usize {
        return refuse(format!("its name must have 1 to {limit} bytes"));
    }
    let n = bucket.n.unwrap_or(replication);
    if n > replication {
        return refuse(format!("n is {n}, but the cluster keeps {replication} replicas"));
    }
    for (what, size, owners_what, owners) in [("r", bucket.r, "pr", bucket.pr), ("w", bucket.w, "pw", bucket.pw)] {
        let (answers, owners) = (size.of(n), owners.of(n));
        if !(1..=n).contains(&answers) {
            return refuse(format!("{what} is {answers}, but must be from 1 to n, which is {n}"));
        }
        if owners > answers {
            return refuse(format!("{owners_what} is {owners}, but may not be above {what}, which is {answers}"));
        }
    }
    Ok(())
}

/// The buckets with properties of their own. `default`, which holds for all others, is always among them.
///
/// # Errors
/// [`Error::NotFounded`] before there is a cluster.
pub async fn buckets(session: &dyn Session) -> Result<BTreeMap<String, Bucket>, Error> {
    let records = read_all(session).await?;
    if !records.contains_key(DEFAULT_BUCKET) {
        return Err(Error::NotFounded);
    }
    Ok(records.into_iter().map(|(name, record)| (name, record.properties)).collect())
}

pub(super) async fn read_all(session: &dyn Session) -> Result<BTreeMap<String, BucketRecord>, Error> {
    let mut records = BTreeMap::new();
    for escaped in access::names(session, &paths::path(paths::BUCKETS)?).await? {
        let Some(name) = paths::unescape(&escaped) else { continue };
        if let Some(record) = access::read(session, &paths::bucket(&name)?).await? {
            records.insert(name, record.value);
        }
    }
    Ok(records)
}

/// Changes properties of a bucket, giving it its own if it has none; answers all of them as they are then. The ring's epoch rises
/// with it, unless nothing changes.
///
/// # Errors
/// [`Error::Invalid`] for what cannot be met, and for raising `n`: the further owners hold nothing of the bucket yet.
pub async fn set_bucket(session: &dyn Session, name: &str, changes: &BucketChanges) -> Result<Bucket, Error> {
    let (cluster_path, ring_path, path) =
        (paths::path(paths::CLUSTER)?, paths::path(paths::RING)?, paths::bucket(name)?);
    let mut attempts = Attempts::at(paths::RING);
    loop {
        attempts.another()?;
        let cluster = access::read::<ClusterRecord>(session, &cluster_path).await?.ok_or(Error::NotFounded)?.value;
        // First the ring: if the bucket changes after it was read, so does the ring.
        let ring = access::read::<RingRecord>(session, &ring_path).await?.ok_or(Error::NotFounded)?;
        let own = access::read::<BucketRecord>(session, &path).await?;
        let before = match &own {
            Some(record) => record.value.properties.clone(),
            None => {
                let default = access::read::<BucketRecord>(session, &paths::bucket(DEFAULT_BUCKET)?).await?;
                default.map(|record| record.value.properties).unwrap_or_default()
            }
        };
        let properties = changes.apply(&before);
        check(name, &properties, cluster.replication)?;
        let replicas = |bucket: &Bucket| bucket.n.unwrap_or(cluster.replication);
        if replicas(&properties) > replicas(&before) {
            let (from, to) = (replicas(&before), replicas(&properties));
            let reason = format!(
                "bucket '{name}': n cannot be raised from {from} to {to}, as the further owners hold nothing of it"
            );
            return Err(Error::Invalid { reason });
        }
        if own.as_ref().is_some_and(|record| record.value.properties == properties) {
            return Ok(properties);
        }
        let mut new_ring = ring.value;
        new_ring.epoch.counter += 1;
        let epoch = new_ring.epoch;
        let change = match own {
            Some(record) => {
                let new = BucketRecord { properties: properties.clone(), epoch, rest: record.value.rest };
                access::set(path.clone(), &new, &record.stat)?
            }
            None => {
                let new = BucketRecord { properties: properties.clone(), epoch, rest: Rest::new() };
                access::create(path.clone(), &new, CreateMode::Persistent)?
            }
        };
        let changes = vec![access::set(ring_path.clone(), &new_ring, &ring.stat)?, change];
        if access::write(session, changes).await? == Written::Yes {
            return Ok(properties);
        }
    }
}
