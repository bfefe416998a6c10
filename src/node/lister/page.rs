//! From what was asked to what owners are asked, and from what they hold to what is answered.

use crate::core::key::Key;
use crate::core::limits::Limits;
use crate::core::listing::{Cursor, OwnerPage, PAGE_KEYS_MAX, Shortfall, live, merge};
use crate::core::request::{Failure, Value};
use crate::core::version::{Malformed, Object};
use crate::node::view::RingView;
use crate::wire::list::{ListPage, ListRequest, Listed, Scan, Scanned, ScannedKey};
use crate::wire::message::ReplicaError;

/// A page that can be gathered.
pub(super) struct Asked {
    pub request: ListRequest,
    /// Where it begins.
    pub cursor: Cursor,
}

impl Asked {
    /// Refuses what no cluster with so many partitions can answer.
    pub fn check(mut request: ListRequest, limits: &Limits, partitions: u32) -> Result<Asked, Failure> {
        limits.check_prefix(&request.bucket, &request.prefix)?;
        let cursor = request.cursor.take().map(|cursor| Cursor::decode(&cursor, partitions));
        let cursor = cursor.transpose().map_err(|bad| Failure::Invalid(bad.to_string()))?.unwrap_or(Cursor::START);
        if let Some(name) = &cursor.after {
            limits.check_prefix(&request.bucket, name)?;
        }
        request.keys_max = request.keys_max.clamp(1, PAGE_KEYS_MAX);
        Ok(Asked { request, cursor })
    }

    /// What each owner is asked.
    pub fn scan(&self) -> Scan {
        let ListRequest { bucket, prefix, keys_max, values, .. } = self.request.clone();
        let Cursor { partition, after } = self.cursor.clone();
        Scan { partition, bucket, prefix, after, keys_max, values }
    }

    /// The answer, at this time by the wall clock.
    pub fn page(self, view: &RingView, pages: Vec<OwnerPage>, now_ms: u64) -> ListPage {
        let Asked { request, cursor } = self;
        let conflict = view.buckets.get(&request.bucket).conflict;
        let merged = merge(pages, request.keys_max as usize, conflict);
        let partitions = view.ring.partitions();
        let next = cursor.advance(merged.end, partitions);
        let listed = |(name, object): (bytes::Bytes, Object)| {
            let key = Key::new(request.bucket.clone(), name.clone());
            let values = || object.values(now_ms).into_iter().filter_map(Value::of).collect();
            Listed {
                name,
                values: if request.values { values() } else { vec![] },
                context: request.values.then(|| object.context.encode(&key)),
            }
        };
        ListPage {
            keys: live(merged.entries, now_ms).map(listed).collect(),
            partitions_done: next.as_ref().map_or(partitions, |next| next.partition.0.into()),
            next: next.map(|next| next.encode()),
            partitions,
        }
    }

    /// Why there is no answer.
    pub fn not_covered(&self, view: &RingView, short: Shortfall) -> Failure {
        let missing = short.missing.into_iter().map(|(store, why)| (view.ring.node_of(store), why)).collect();
        Failure::NotCovered { partition: self.cursor.partition, needed: short.needed, owners: short.owners, missing }
    }
}

/// What an owner answered, in words of `core`.
pub(super) fn owner_page(scanned: Scanned) -> Result<OwnerPage, ReplicaError> {
    let entry = |ScannedKey { name, object }: ScannedKey| Ok((name, Object::decode(&object.0)?));
    let entries: Result<Vec<_>, Malformed> = scanned.entries.into_iter().map(entry).collect();
    let entries = entries.map_err(|malformed| ReplicaError::Malformed(malformed.to_string()))?;
    Ok(OwnerPage { entries, end: scanned.end })
}
