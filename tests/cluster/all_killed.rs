//! All nodes die in one moment.

use std::collections::BTreeMap;

use kv::client::{Client, Put};

use crate::load::lost;
use crate::process::Cluster;

/// Writes in flight at once: a fraction of what one connection may have.
const AT_ONCE: usize = 500;

/// Writes so many keys at w = 3, every one of which must be acknowledged.
pub async fn write_everywhere(client: &Client, count: usize) -> BTreeMap<String, String> {
    let all: BTreeMap<_, _> = (0..count).map(|i| (format!("key-{i:05}"), format!("value {i}"))).collect();
    let all_pairs: Vec<_> = all.iter().collect();
    for some in all_pairs.chunks(AT_ONCE) {
        let puts = some.iter().map(|(key, value)| Put::new(key, value.as_bytes().to_vec()).w(3));
        for written in client.multi_put(puts).await {
            assert_eq!(written.unwrap().replicas.len(), 3);
        }
    }
    all
}

/// How many of these writes each node has lost, when nobody is there whom it could ask. W = 3 said that it holds them
/// all.
pub async fn lost_by_each(cluster: &mut Cluster, acknowledged: &BTreeMap<String, String>) -> BTreeMap<u32, usize> {
    let mut lost_by = BTreeMap::new();
    for id in cluster.ids() {
        cluster.restart(id).await;
        let alone = Client::connect([cluster.address(id)]).await.unwrap();
        lost_by.insert(id, lost(&alone, acknowledged, 1).await.len());
        cluster.kill(&[id]);
    }
    lost_by
}

#[tokio::test]
async fn ten_thousand_acknowledged_writes_are_on_every_node() {
    die_and_hold_all(Cluster::start().await).await;
}

/// The story, whatever tells the three nodes of each other.
pub async fn die_and_hold_all(mut cluster: Cluster) {
    let acknowledged = write_everywhere(&cluster.patient_client().await, 10_000).await;
    cluster.kill(&[1, 2, 3]);

    assert_eq!(lost_by_each(&mut cluster, &acknowledged).await, BTreeMap::from([(1, 0), (2, 0), (3, 0)]));
    cluster.run_all().await;
    assert_eq!(lost(&cluster.client().await, &acknowledged, 3).await, [""; 0]);
}
