//! What was deleted and is not forgotten yet.

use std::sync::Arc;

use actix::prelude::*;

use super::{Inspector, InspectorParts};
use crate::core::reap::queue::{self, Entry};
use crate::node::reap::messages::ReportReaping;
use crate::node::stats::Counter;
use crate::storage::{Space, StorageError};
use crate::wire::report::{Inspection, ReapReport, TombstonesReport};

/// Entries of the queue read in one go; others have their turn in between.
const SCAN: usize = 1024;

impl Inspector {
    pub(super) fn tombstones(&self, bucket: Option<String>) -> ResponseFuture<Inspection> {
        let (parts, reaper) = (self.parts.clone(), self.reaper.clone());
        Box::pin(async move {
            let reaping = match reaper {
                // A node that stops reaps nothing any more.
                Some(reaper) => reaper.send(ReportReaping).await.unwrap_or_default(),
                None => ReapReport::default(),
            };
            Inspection::Tombstones(Box::new(count(parts, bucket, reaping).await))
        })
    }
}

async fn count(parts: Arc<InspectorParts>, bucket: Option<String>, reaping: ReapReport) -> TombstonesReport {
    let mut report = TombstonesReport {
        node: Some(parts.config.node.id),
        grace_ms: parts.config.node.reap.grace_ms,
        reaped: parts.stats.counted(Counter::TombstonesReaped),
        pruned: parts.stats.counted(Counter::ContextEntriesPruned),
        reaping,
        bucket,
        ..TombstonesReport::default()
    };
    let (now_ms, mut after) = (parts.env.wall_ms(), None);
    loop {
        let found: Result<_, StorageError> = parts.engine.scan(Space::Meta, queue::all(), after.as_deref(), SCAN);
        let found = found.unwrap_or_else(|error| {
            log::error!("cannot read the queue of tombstones: {error}");
            vec![]
        });
        found
            .iter()
            .filter_map(|(key, value)| Entry::decode(key, value))
            .for_each(|entry| add(&mut report, &entry, now_ms));
        match found.last() {
            Some((last, _)) if found.len() == SCAN => after = Some(last.clone()),
            _ => return report,
        }
        tokio::task::yield_now().await;
    }
}

fn add(report: &mut TombstonesReport, entry: &Entry, now_ms: u64) {
    let is_asked_for = |bucket: &String| entry.name().is_some_and(|(_, key)| key.bucket == bucket.as_bytes());
    if !report.bucket.as_ref().is_none_or(is_asked_for) {
        return;
    }
    match (entry.expires, entry.since_ms > now_ms) {
        (true, true) => return report.expiring += 1,
        (true, false) => report.expired += 1,
        (false, _) => report.tombstones += 1,
    }
    let counted_ms = now_ms.saturating_sub(entry.since_ms);
    report.due += u64::from(counted_ms >= report.grace_ms);
    report.oldest_ms = report.oldest_ms.max(Some(counted_ms));
}
