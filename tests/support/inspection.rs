//! What nodes show of themselves, for tests.

use std::collections::BTreeSet;

use kv::client::Client;
use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::wire::report::{Inspect, Inspection, LocateReport, StatusReport};

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
