//! All nodes are restarted, one after the other, while everybody goes on.

use crate::load::{Load, lost};
use crate::process::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails() {
    let mut nodes = Cluster::start().await;
    let client = nodes.client().await;
    let load = Load::start(&client, 4);
    for id in [1, 2, 3] {
        assert!(nodes.stop(id).await.success(), "node {id} did not stop in order");
        nodes.restart(id).await;
        nodes.wait_until_ready().await;
    }
    let done = load.stop().await;
    println!("{} requests, {} failed", done.requests, done.failures.len());
    assert!(done.requests > 100);
    assert!(done.failures.is_empty(), "{:?}", done.failures[0]);
    assert!(done.behind.is_empty(), "{:?}", done.behind[0]);
    assert_eq!(lost(&client, &done.acknowledged, 2).await, [""; 0]);
}
