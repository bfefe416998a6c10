//! A ring that moves, and nobody copies anything but the nodes themselves. The test writes the rings, each when the nodes have done what the
//! one before asked of them.

use kv::client::Client;
use kv::config::SyncPolicy;
use kv::testing::Cluster;

use crate::moving_ring::{ALL, NODES, counted, pending, retired, switched};
use crate::ring::change;
use crate::wait::until;

const KEYS: u64 = 600;
/// Partitions of a new cluster, each of which gets two new owners.
const ARRIVALS: u64 = 2 * 256;

/// Each key is at both its owners, without anybody repairing it.
async fn check(client: &Client) {
    let repairs = counted(client, "read_repairs").await;
    for i in 0..KEYS {
        let read = client.get(format!("key {i}")).r(2).await.unwrap();
        assert_eq!(read.values.len(), 1, "key {i}");
    }
    assert_eq!(counted(client, "read_repairs").await, repairs, "not every owner held what was there before");
}

async fn until_counted(client: &Client, name: &str, count: u64) {
    let counts = async || (counted(client, name).await >= count).then_some(());
    until(&format!("{name} are {count}"), counts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_owners_get_everything_and_old_ones_keep_nothing() {
    let builder = Cluster::builder().nodes(NODES).sync(SyncPolicy::Never);
    let cluster = builder.configure(|config| config.cluster.replication = 2).start().await.unwrap();
    let client = cluster.client().await.unwrap();
    for i in 0..KEYS {
        client.put(format!("key {i}"), format!("value {i}")).w(2).await.unwrap();
    }
    change(&client, &ALL, pending).await;
    until_counted(&client, "transfers", ARRIVALS).await;
    change(&client, &ALL, switched).await;
    check(&client).await;
    change(&client, &ALL, retired).await;
    until_counted(&client, "drain_dropped", 2 * KEYS).await;
    check(&client).await;
    assert_eq!(counted(&client, "transfer_keys").await, 2 * KEYS, "each key came once to each of its new owners");
    assert_eq!(counted(&client, "drain_sent_bytes").await, 0, "the owners had everything");
}
