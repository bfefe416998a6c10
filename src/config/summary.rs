//! A configuration in words: what it means, and what in it an operator should not overlook.

use crate::core::bucket::{Bucket, Conflict};
use crate::core::key::DEFAULT_BUCKET;

use super::{Config, EngineKind, SyncPolicy};

impl Config {
    /// One paragraph: who this node is, and what the cluster promises.
    pub fn summary(&self) -> String {
        let (cluster, node) = (&self.cluster, &self.node);
        let named = cluster.buckets.keys().filter(|name| *name != DEFAULT_BUCKET).count();
        let others = match named {
            0 => String::new(),
            1 => " One other bucket has properties of its own.".into(),
            many => format!(" {many} other buckets have properties of their own."),
        };
        format!(
            "Node {} of cluster '{}' listens on {} and keeps its data in {} ({}, sync {}). The cluster has {}; each of its {} \
             partitions is on {}. {}{others}",
            node.id,
            cluster.name,
            node.listen,
            node.data_dir.display(),
            node.storage.engine,
            node.storage.sync,
            count(cluster.nodes.len(), "node"),
            cluster.partitions,
            count(cluster.replication.into(), "node"),
            promise(cluster.bucket(DEFAULT_BUCKET.as_bytes()), cluster.replication, cluster.nodes.len()),
        )
    }

    /// What in this configuration may cost data or let strangers in. To be logged at each start.
    pub fn warnings(&self) -> Vec<String> {
        let node = &self.node;
        let mut warnings = Vec::new();
        if node.insecure {
            warnings.push(format!(
                "INSECURE: {} accepts whoever reaches it; links are neither encrypted nor authenticated (insecure = true)",
                node.listen
            ));
        }
        if node.storage.engine == EngineKind::Memory {
            warnings.push("VOLATILE: everything is lost when this node stops (storage.engine = \"memory\")".into());
        }
        match node.storage.sync {
            SyncPolicy::Always => {}
            SyncPolicy::Interval => warnings.push(format!(
                "UNSYNCED: a power loss takes acknowledged writes of the last {} ms (storage.sync = \"interval\")",
                node.storage.sync_interval_ms
            )),
            SyncPolicy::Never => {
                warnings
                    .push("UNSYNCED: a power loss may take any acknowledged write (storage.sync = \"never\")".into());
            }
        }
        warnings
    }
}

/// What a bucket's defaults promise, in a sentence or two.
fn promise(bucket: &Bucket, replication: u8, nodes: usize) -> String {
    let n = bucket.n.unwrap_or(replication);
    let (r, w, pr, pw) = (bucket.r.of(n), bucket.w.of(n), bucket.pr.of(n), bucket.pw.of(n));
    let fallbacks = bucket.sloppy && nodes > n.into();
    let recency = if pr + pw > n {
        "a read sees every write acknowledged before it (pr + pw > n)"
    } else if r + w > n && !fallbacks {
        "a read sees every write acknowledged before it (r + w > n)"
    } else if r + w > n {
        "a read sees every write acknowledged before it (r + w > n), unless fallbacks stood in for owners"
    } else {
        "a read may miss a recent write (r + w <= n)"
    };
    let standing_in = match (fallbacks, bucket.sloppy) {
        (true, _) => "fallbacks stand in for owners that are down",
        (_, true) => "no node is left to stand in for owners that are down",
        (_, false) => "nobody stands in for owners that are down",
    };
    let conflicts = match bucket.conflict {
        Conflict::Siblings => "concurrent writes are all kept",
        Conflict::Lww => "of concurrent writes the newest survives",
    };
    format!(
        "By default n={n} r={r} w={w} pr={pr} pw={pw}: a write is acknowledged when {w} of {n} replicas hold it, a read \
         when {r} answered; {standing_in}; {recency}; {conflicts}."
    )
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
