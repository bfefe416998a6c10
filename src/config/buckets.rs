//! The tables `[buckets.NAME]`.
//!
//! `default` is the bucket of bare keys. Its table also holds for every bucket without one, and fills in what the table of
//! another bucket leaves out.

use std::collections::BTreeMap;

use toml::de::DeValue;

use crate::core::bucket::{BlindWrite, Bucket, Conflict, QuorumSize};
use crate::core::key::DEFAULT_BUCKET;

use super::complaint::Complaint;
use super::problem::Problems;
use super::source::Source;
use super::table::Table;

pub(super) fn read(buckets: &mut BTreeMap<String, Bucket>, table: &mut Table) {
    let mut default = Bucket::default();
    table.section(DEFAULT_BUCKET, |table| read_bucket(&mut default, table));
    for name in table.keys_left() {
        let mut bucket = default.clone();
        table.section(&name, |table| read_bucket(&mut bucket, table));
        buckets.insert(name, bucket);
    }
    buckets.insert(DEFAULT_BUCKET.into(), default);
}

fn read_bucket(bucket: &mut Bucket, table: &mut Table) {
    let mut n = bucket.n.unwrap_or_default();
    table.number("n", &mut n, 1..=255, "a number of replicas");
    bucket.n = (n > 0).then_some(n);
    read_size(table, "r", &mut bucket.r);
    read_size(table, "w", &mut bucket.w);
    read_size(table, "pr", &mut bucket.pr);
    read_size(table, "pw", &mut bucket.pw);
    table.flag("sloppy", &mut bucket.sloppy);
    table.word("conflict", &mut bucket.conflict, &[("siblings", Conflict::Siblings), ("lww", Conflict::Lww)]);
    let blind = &[("supersede", BlindWrite::Supersede), ("sibling", BlindWrite::Sibling)];
    table.word("blind_write", &mut bucket.blind_write, blind);
}

fn read_size(table: &mut Table, key: &str, into: &mut QuorumSize) {
    table.value(key, into, "a number from 0 to 255, or \"one\", \"quorum\" or \"all\"", |value| match value {
        DeValue::Integer(digits) => u8::from_str_radix(digits.as_str(), digits.radix()).ok().map(QuorumSize::Count),
        word => word.as_str()?.parse().ok(),
    });
}

/// What can be judged without a node's limits: whether each bucket's quorums can be met at all.
pub(super) fn check(buckets: &BTreeMap<String, Bucket>, replication: u8, source: &Source, problems: &mut Problems) {
    if buckets.contains_key("") {
        problems.push(source.problem("buckets.", Complaint::BucketNameEmpty));
    }
    for (name, bucket) in buckets {
        let mut refuse =
            |key: &str, complaint| problems.push(source.problem(format!("buckets.{name}.{key}"), complaint));
        let n = bucket.n.unwrap_or(replication);
        if n > replication {
            refuse("n", Complaint::ReplicasAboveReplication { n, replication });
            continue;
        }
        for (key, size, owners_key, owners) in [("r", bucket.r, "pr", bucket.pr), ("w", bucket.w, "pw", bucket.pw)] {
            let answers = size.of(n);
            if !(1..=n).contains(&answers) {
                refuse(key, Complaint::QuorumOutOfRange { size: size.to_string(), n });
            } else if owners.of(n) > answers {
                let of = key;
                refuse(owners_key, Complaint::PrimariesAboveQuorum { size: owners.to_string(), of, answers });
            }
        }
    }
}
