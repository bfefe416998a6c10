//! A configuration in words: what it means, and what in it an operator should not overlook.

use crate::core::bucket::{Bucket, Conflict};
use crate::core::id::NodeId;
use crate::core::key::DEFAULT_BUCKET;

use super::duration::show_ms;
use super::{ClusterConfig, Config, CoordinationKind, EngineKind, SyncPolicy};

impl Config {
    /// One paragraph: who this node is, and what the cluster promises.
    pub fn summary(&self) -> String {
        let (cluster, node) = (&self.cluster, &self.node);
        let place = format!(
            "listens on {} and keeps its data in {} ({}, sync {}).",
            node.listen,
            node.data_dir.display(),
            node.storage.engine,
            node.storage.sync,
        );
        if node.joins() {
            let who = match node.id {
                NodeId(0) => "A node that gets its number from the cluster".into(),
                id => format!("Node {id}"),
            };
            return format!(
                "{who} {place} It joins the cluster of {} as {} in zone '{}' with weight {}.",
                node.join.join(" or "),
                node.advertise,
                node.zone,
                node.weight
            );
        }
        let named = cluster.buckets.keys().filter(|name| *name != DEFAULT_BUCKET).count();
        let others = match named {
            0 => String::new(),
            1 => " One other bucket has properties of its own.".into(),
            many => format!(" {many} other buckets have properties of their own."),
        };
        format!(
            "Node {} of cluster '{}' {place} The cluster has {}; each of its {} partitions is on {}. {} {}{others}",
            node.id,
            cluster.name,
            count(cluster.nodes.len(), "node"),
            cluster.partitions,
            count(cluster.replication.into(), "node"),
            coordination(cluster),
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
        let (voters, nodes) = (self.cluster.voters(), self.cluster.nodes.len());
        if let ([voter], true, CoordinationKind::Embedded) = (&voters[..], nodes > 1, self.cluster.coordination.kind) {
            warnings.push(format!(
                "SINGLE VOTER: while node {voter} is down the other nodes serve, but nothing strict, and nobody joins or leaves; \
                 if its disk is lost only a forced recovery helps (coordination.voters)"
            ));
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

/// Who coordinates, and what of it may be lost.
fn coordination(cluster: &ClusterConfig) -> String {
    let who = match cluster.coordination.kind {
        CoordinationKind::ZooKeeper => format!(
            "It is coordinated by ZooKeeper at {} under {}",
            cluster.coordination.servers.join(", "),
            cluster.coordination_root()
        ),
        CoordinationKind::Embedded => match &cluster.voters()[..] {
            [voter] => format!("It is coordinated by node {voter} alone"),
            voters => {
                let (names, lost) = (voters.iter().map(NodeId::to_string).collect::<Vec<_>>(), (voters.len() - 1) / 2);
                format!("It is coordinated by nodes {}, any {lost} of which may be lost", names.join(", "))
            }
        },
    };
    let bootstrap = match cluster.coordination.bootstrap {
        true => "this node helps to make the cluster if there is none",
        false => "this node waits for a cluster that was made elsewhere (bootstrap = false)",
    };
    let removal = match cluster.coordination.auto_remove_after_ms {
        Some(after_ms) => format!("A node that is down for {} is taken to be gone", show_ms(after_ms)),
        None => "A node that is down is taken to be gone only when an operator says so".into(),
    };
    format!("{who}; {bootstrap}. {removal}.")
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
