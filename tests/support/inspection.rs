//! What nodes show of themselves, for tests.

use std::collections::BTreeSet;

use kv::client::Client;
use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::wire::report::{Inspect, Inspection, LocateReport, NookeeperReport, ServiceReport, StatusReport};

/// How a node is.
pub async fn status(client: &Client, id: u32) -> StatusReport {
    match client.inspect(NodeId(id), Inspect::Status).await.unwrap() {
        Inspection::Status(status) => status,
        other => panic!("{other:?}"),
    }
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
