//! One of three nodes dies under load, and comes back.

use std::time::{Duration, Instant};

use kv::client::{ClientError, Failure};
use kv::core::id::NodeId;
use tokio::time::sleep;

use crate::load::{Load, lost};
use crate::process::Cluster;

/// After this no request may fail for want of the dead node.
const FAILOVER: Duration = Duration::from_secs(2);
/// A request that cannot be met is refused without waiting for anybody; this is patience with a busy machine.
const AT_ONCE: Duration = Duration::from_millis(500);

#[tokio::test]
async fn requests_go_on_and_nothing_acknowledged_is_lost() {
    dies_and_comes_back(Cluster::start().await).await;
}

/// The story, whatever tells the three nodes of each other.
pub async fn dies_and_comes_back(mut cluster: Cluster) {
    let client = cluster.client().await;
    let load = Load::start(&client, 8);
    sleep(Duration::from_secs(1)).await;

    let killed = Instant::now();
    cluster.kill(&[3]);
    sleep(FAILOVER).await;

    let asked = Instant::now();
    let refused = client.put("all three", "1").w(3).strict().await.unwrap_err();
    let took = asked.elapsed();
    println!("W=3 strict refused after {took:?}: {refused}");
    assert!(took < AT_ONCE, "{took:?}");
    let ClientError::Failure(Failure::QuorumNotMet { missing, applied: false, .. }) = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(missing[..], [NodeId(3)]);
    assert!(refused.to_string().contains("node 3 missing"), "{refused}");

    sleep(Duration::from_secs(1)).await;
    cluster.restart(3).await;
    cluster.wait_until_ready().await;
    client.put("all three", "1").w(3).strict().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    cluster.kill(&[3]);
    let killed_again = Instant::now();
    sleep(FAILOVER).await;

    let done = load.stop().await;
    let late = done.failures.iter().filter(|(at, ..)| {
        let since = if *at >= killed_again { killed_again } else { killed };
        *at < killed || *at > since + FAILOVER
    });
    let late: Vec<_> = late.map(|(at, what, error)| (at.duration_since(killed), what, error)).collect();
    println!(
        "{} requests, {} writes acknowledged, {} failed within {FAILOVER:?} of a kill, for example {:?}",
        done.requests,
        done.acknowledged.len(),
        done.failures.len() - late.len(),
        done.failures.first().map(|(at, what, error)| (at.duration_since(killed), what, error.to_string())),
    );
    assert!(done.behind.is_empty(), "read too old: {:?}", done.behind);
    assert!(late.is_empty(), "failed when they should not, counted from the kill: {late:#?}");

    assert_eq!(lost(&client, &done.acknowledged, 2).await, [""; 0], "lost with one node down");
    cluster.restart(3).await;
    assert_eq!(lost(&client, &done.acknowledged, 3).await, [""; 0], "lost with all nodes up");
}
