//! The client library and `kv-cli` against nodes that behave, and nodes that do not.

mod carrying;
#[cfg(feature = "server")]
mod cluster_status;
#[cfg(feature = "server")]
mod coord;
#[cfg(feature = "server")]
mod coord_running;
mod failing;
mod fake_node;
#[cfg(feature = "server")]
mod kv_cli;
mod listing;
mod retrying;
mod routing;
#[cfg(feature = "sim")]
mod simulated;

use kv::client::{Client, Failure};
use kv::core::id::NodeId;
use kv::core::request::Kind;

use fake_node::{FakeCluster, spread};

async fn client(cluster: &FakeCluster) -> Client {
    Client::builder().servers(cluster.addresses()).seed(1).connect().await.unwrap()
}

/// The node that clients ask first for a key: found by asking.
async fn favourite(cluster: &FakeCluster, client: &Client, key: &str) -> NodeId {
    let before = spread(cluster);
    client.get(key).await.unwrap();
    let after = spread(cluster);
    *after.iter().find(|(id, count)| before[id] < **count).unwrap().0
}

fn quorum_not_met(kind: Kind, applied: bool) -> Failure {
    let missing = vec![NodeId(3)];
    Failure::QuorumNotMet {
        kind,
        needed: 3,
        got: 2,
        primaries_needed: 0,
        primaries_got: 2,
        missing,
        unleased: vec![],
        applied,
    }
}
