//! All nodes die in one moment and are started again, by nobody's hand but the one that starts processes.

use std::collections::BTreeSet;
use std::time::Instant;

use kv::client::{Client, ClientError, Failure};
use kv::core::request::Kind;
use kv::wire::tree::{TreeAnswer, TreeRequest};

use crate::inspection::{leader, service, status};
use crate::load::{Load, lost};
use crate::process::{Cluster, Setup};
use crate::wait::until;

const NODES: [u32; 3] = [1, 2, 3];
/// Short, so that the sessions of the dead end while the test looks on.
const SHORT_SESSIONS: &str = "session_timeout_ms = 3000\n";

/// The open sessions, as a node sees them.
async fn sessions(client: &Client, node: u32) -> BTreeSet<u64> {
    service(client, node).await.map_or_else(BTreeSet::new, |report| report.sessions.iter().map(|s| s.session).collect())
}

#[tokio::test]
async fn the_service_and_the_cluster_come_back_by_themselves() {
    let setup = Setup { coordination: SHORT_SESSIONS.into(), ..Setup::default() };
    let mut cluster = Cluster::start_with(setup).await;
    let client = cluster.client().await;
    let create = TreeRequest::Create { path: "/kept".into(), data: "1".into(), sequential: false, held: false };
    client.tree(create).await.unwrap();
    let load = Load::start(&client, 8);
    client.put("strict", "before").w(2).strict().await.unwrap();
    let (sessions_before, epoch) = (sessions(&client, 1).await, status(&client, 1).await.epoch);
    assert_eq!(sessions_before.len(), NODES.len());

    cluster.kill(&NODES);
    let done = load.stop().await;
    let started = Instant::now();
    NODES.into_iter().for_each(|id| cluster.run(id));
    until("a strict write is served", async || client.put("strict", "after").w(2).strict().await.ok()).await;
    let strict_again = started.elapsed();
    cluster.wait_until_ready().await;
    println!(
        "all killed and started: strict requests work after {strict_again:?}, all have leases after {:?}",
        started.elapsed()
    );

    until("a leader that all agree on", async || leader(&client, &NODES).await).await;
    until("the old sessions have ended and each node has a new one", async || {
        let now = sessions(&client, 1).await;
        (now.len() == NODES.len() && now.is_disjoint(&sessions_before)).then_some(())
    })
    .await;
    println!("the sessions of the dead had ended after {:?}", started.elapsed());
    // Nobody came or went.
    assert_eq!(status(&client, 1).await.epoch, epoch);
    let read = client.tree(TreeRequest::Get { path: "/kept".into(), sync: true }).await.unwrap();
    assert!(matches!(&read, TreeAnswer::Node(node) if node.data == "1"), "{read:?}");
    assert!(!done.acknowledged.is_empty());
    assert_eq!(lost(&client, &done.acknowledged, 3).await, [""; 0], "lost");
}

/// Where there is no majority, the ring on the node's own disk is enough for whoever asks for no owners.
#[tokio::test]
async fn one_that_starts_alone_serves_with_the_ring_it_knew() {
    let mut cluster = Cluster::start().await;
    cluster.client().await.put("k", "before").w(3).await.unwrap();
    cluster.kill(&NODES);

    let started = Instant::now();
    cluster.run(3);
    let alone = until("it serves", async || {
        let client = Client::connect([cluster.address(3)]).await.ok()?;
        client.get("k").r(1).await.ok().map(|read| (client, read))
    })
    .await;
    println!("a node that starts alone serves after {:?}", started.elapsed());
    let (client, read) = alone;
    assert_eq!(read.value().unwrap(), "before");
    client.put("k", "alone").w(1).context(&read.context).await.unwrap();
    let refused = client.put("k", "strict").w(1).strict().await.unwrap_err();
    assert!(
        matches!(refused, ClientError::Failure(Failure::RingMayBeStale { kind: Kind::Write, applied: false, .. })),
        "{refused}"
    );

    cluster.run_all().await;
    let read = cluster.client().await.get("k").r(3).strict().await.unwrap();
    assert_eq!(read.value().unwrap(), "alone");
}
