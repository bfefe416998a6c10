//! A fallback stands in for an owner that is down.

use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::wire::report::ReplicaReport;

use crate::inspection::{hints, locate, versions};
use crate::process::{Cluster, Setup};
use crate::wait::until;

const KEYS: usize = 100;

fn key(i: usize) -> String {
    format!("key-{i}")
}

#[tokio::test]
async fn its_copy_counts_is_readable_and_goes_home() {
    let mut cluster = Cluster::start_with(Setup { nodes: 5, ..Setup::default() }).await;
    let client = cluster.client().await;
    const DOWN: NodeId = NodeId(2);
    cluster.kill(&[DOWN.0]);
    cluster.wait_until_linked().await;

    let ring = client.ring().ring.clone();
    let owned_by_it = |key: &str| {
        let partition = ring.partition_of(&Key::bare(key.to_string()));
        ring.owners(partition).any(|owner| owner.node == DOWN)
    };
    let mut hinted = vec![];
    for i in 0..KEYS {
        let written = client.put(key(i), "v").w(3).await.unwrap();
        assert!(written.replicas.len() >= 3 && !written.replicas.contains(&DOWN), "{written:?}");
        if owned_by_it(&key(i)) {
            hinted.push(key(i));
            assert!(client.put(key(i), "v").w(3).strict().await.is_err(), "a fallback is no owner");
        }
    }
    assert!(!hinted.is_empty() && hinted.len() < KEYS);

    let located = locate(&client, &hinted[0]).await;
    let keepers: Vec<_> = located.replicas.iter().filter(|replica| !replica.hints.is_empty()).collect();
    assert_eq!(keepers.len(), 1, "{located:#?}");
    assert!(!keepers[0].owner && keepers[0].hints == [DOWN] && matches!(keepers[0].holds, Ok(Some(_))));
    assert_eq!(hints(&client, &[1, 3, 4, 5]).await, hinted.len() as u64);
    let read = client.get(&hinted[0]).r(3).await.unwrap();
    assert!(read.replicas.contains(&keepers[0].node), "{read:?}");

    cluster.restart(DOWN.0).await;
    until("the hints are delivered", async || (hints(&client, &[1, 3, 4, 5]).await == 0).then_some(())).await;
    for key in &hinted {
        let versions = versions(&client, key).await;
        assert!(versions.len() == 1 && !versions.contains(&None), "{key}: {versions:?}");
        // The count falls when the delivery is acknowledged, the copy goes with the disk's next batch.
        until("the copy is dropped", async || {
            let replicas = locate(&client, key).await.replicas;
            let is_home = |replica: &ReplicaReport| replica.owner || matches!(replica.holds, Ok(None));
            replicas.iter().all(|replica| replica.hints.is_empty() && is_home(replica)).then_some(())
        })
        .await;
    }
    println!("{} of {KEYS} keys were hinted and delivered", hinted.len());
}

/// Where a request asks for fewer owners than there are, one of the others stands in, and its copy goes home too.
#[tokio::test]
async fn an_owner_of_a_further_place_stands_in() {
    a_further_owner_stands_in(Cluster::start().await).await;
}

/// The story, whatever tells the three nodes of each other.
pub async fn a_further_owner_stands_in(mut cluster: Cluster) {
    let client = cluster.client().await;
    cluster.kill(&[2]);
    cluster.wait_until_linked().await;
    for i in 0..KEYS {
        client.put(key(i), "v").n(2).w(2).await.unwrap();
    }
    assert!(hints(&client, &[1, 3]).await > 0, "some key has node 2 among its first two owners");
    cluster.restart(2).await;
    until("the hints are delivered", async || (hints(&client, &[1, 3]).await == 0).then_some(())).await;
    for i in 0..KEYS {
        let read = client.get(key(i)).n(2).r(2).pr(2).await.unwrap();
        assert_eq!(read.value().map(|v| &v[..]), Some(&b"v"[..]));
        let located = locate(&client, &key(i)).await;
        let first_two = located.replicas.iter().take(2);
        assert!(first_two.into_iter().all(|replica| matches!(replica.holds, Ok(Some(_)))), "{located:#?}");
    }
}
