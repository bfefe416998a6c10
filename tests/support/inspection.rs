//! What nodes show of themselves, for tests.

use std::collections::BTreeSet;

use kv::client::Client;
use kv::core::id::{NodeId, StoreId};
use kv::core::key::Key;
use kv::wire::report::{
    ClusterReport, Finding, Inspect, Inspection, LocateReport, NookeeperReport, ParticipantReport, ServiceReport,
    StatusReport, StoreFate,
};

/// How a node is.
pub async fn status(client: &Client, id: u32) -> StatusReport {
    match client.inspect(NodeId(id), Inspect::Status).await.unwrap() {
        Inspection::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

/// How the cluster is, as a node sees it; `None` if that does not answer now.
pub async fn cluster(client: &Client, id: u32) -> Option<ClusterReport> {
    match client.inspect(NodeId(id), Inspect::Cluster).await {
        Ok(Inspection::Cluster(report)) => Some(*report),
        Ok(other) => panic!("{other:?}"),
        Err(_) => None,
    }
}

/// The coordination service in a report.
pub fn nookeeper(report: &ClusterReport) -> &NookeeperReport {
    match &report.service {
        Some(ServiceReport::Nookeeper(service)) => service,
        other => panic!("{other:?}"),
    }
}

/// The nodes that vote, and those that learn.
pub fn roles(report: &ClusterReport) -> (Vec<u32>, Vec<u32>) {
    let service = nookeeper(report);
    let nodes = |participants: &[ParticipantReport]| {
        let mut nodes: Vec<u32> = participants.iter().map(|participant| participant.node.0).collect();
        nodes.sort_unstable();
        nodes
    };
    (nodes(&service.voters), nodes(&service.learners))
}

/// What a report says has become of a node's stores.
pub fn fates(report: &ClusterReport, of: u32) -> Vec<(StoreId, StoreFate)> {
    let fate = |finding: &Finding| match finding {
        Finding::Store { store, node, fate } if node.0 == of => Some((*store, fate.clone())),
        _ => None,
    };
    report.findings.iter().filter_map(fate).collect()
}

/// What a node has counted under this name.
pub async fn counter(client: &Client, id: u32, name: &str) -> u64 {
    match client.inspect(NodeId(id), Inspect::Stats).await.unwrap() {
        Inspection::Stats(stats) => stats.counters.iter().find(|(counter, _)| counter == name).unwrap().1,
        other => panic!("{other:?}"),
    }
}

/// Who holds what of a bare key.
pub async fn locate(client: &Client, key: &str) -> LocateReport {
    match client.inspect_any(Inspect::Locate(Key::bare(key.to_string()))).await.unwrap() {
        Inspection::Located(report) => report,
        other => panic!("{other:?}"),
    }
}

/// The versions of a bare key that its owners hold, each once. An owner without one counts, as `None`.
pub async fn versions(client: &Client, key: &str) -> BTreeSet<Option<String>> {
    let owners = locate(client, key).await.replicas.into_iter().filter(|replica| replica.owner);
    owners.map(|owner| owner.holds.unwrap().map(|held| held.context)).collect()
}

/// Hints that these nodes keep together.
pub async fn hints(client: &Client, nodes: &[u32]) -> u64 {
    let mut hints = 0;
    for id in nodes {
        hints += status(client, *id).await.hints.iter().map(|(_, count)| count).sum::<u64>();
    }
    hints
}

/// The embedded coordination service as a node sees it; `None` if the node cannot be asked or uses none yet.
pub async fn service(client: &Client, id: u32) -> Option<NookeeperReport> {
    match client.inspect(NodeId(id), Inspect::Service).await.ok()? {
        Inspection::Service { service, .. } => match *service? {
            ServiceReport::Nookeeper(report) => Some(report),
            ServiceReport::ZooKeeper(_) => None,
        },
        other => panic!("{other:?}"),
    }
}

/// Who leads the coordination service, if all these nodes say the same.
pub async fn leader(client: &Client, nodes: &[u32]) -> Option<u32> {
    let mut leaders = BTreeSet::new();
    for id in nodes {
        leaders.insert(service(client, *id).await?.leader?.0);
    }
    leaders.pop_first().filter(|_| leaders.is_empty())
}
