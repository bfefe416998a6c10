//! A node sleeps longer than its session lasts. What it was asked meanwhile it answers as one without a lease, though nobody has
//! told it yet that time has passed.

use std::time::Duration;

use kv::core::bucket::QuorumSize;
use kv::core::id::NodeId;
use kv::core::key::Key;
use kv::core::request::{Answer, Failure, Kind, Operation, Options};
use tokio::task::JoinHandle;

use crate::inspection::service;
use crate::native::Native;
use crate::process::{Cluster, Setup};
use crate::wait::until;

const ASLEEP: u32 = 3;

/// A read of one replica that is sent now and answered when the node wakes up.
async fn ask_asleep(mut node: Native, options: Options) -> JoinHandle<Result<Answer, Failure>> {
    let one = Some(QuorumSize::Count(1));
    let options = Options { r: one, timeout_ms: Some(60_000), ..options };
    let asked = tokio::spawn(async move { node.call(Operation::Get { key: Key::bare("k") }, options).await });
    // The system takes it for the node at once.
    tokio::time::sleep(Duration::from_millis(100)).await;
    asked
}

#[tokio::test]
async fn it_serves_no_strict_read_by_the_lease_that_it_had() {
    let coordination = "session_timeout_ms = 3000\n".into();
    let mut cluster = Cluster::start_with(Setup { coordination, ..Setup::default() }).await;
    let client = cluster.client().await;
    client.put("k", "before").w(3).await.unwrap();
    let (strictly, sloppily) =
        (Native::connect(cluster.address(ASLEEP)).await, Native::connect(cluster.address(ASLEEP)).await);

    cluster.pause(ASLEEP);
    let strictly = ask_asleep(strictly, Options { strict: true, ..Options::default() }).await;
    let sloppily = ask_asleep(sloppily, Options::default()).await;
    until("the end of its session", async || {
        service(&client, 1).await.is_some_and(|report| report.sessions.len() == 2).then_some(())
    })
    .await;
    // The first may go to the sleeper, and then nobody knows what came of it.
    until("a write", async || client.put("k", "meanwhile").w(2).strict().await.ok()).await;
    cluster.resume(ASLEEP);

    let stale = Failure::RingMayBeStale { kind: Kind::Read, node: NodeId(ASLEEP), applied: false };
    match strictly.await.unwrap() {
        Err(refused) => assert_eq!(refused, stale),
        // On a busy machine it may have got to the request only with another session, and then serves it rightly.
        Ok(_) => {
            until("another session", async || {
                service(&client, 1).await.is_some_and(|report| report.sessions.len() == 3).then_some(())
            })
            .await
        }
    }
    // Who asks for no owner is served.
    let served = sloppily.await.unwrap();
    assert!(matches!(&served, Ok(Answer::Read { .. })), "{served:?}");

    cluster.wait_until_ready().await;
    let mut awake = Native::connect(cluster.address(ASLEEP)).await;
    assert_eq!(awake.get("k", 3).await.unwrap().0, ["meanwhile"]);
}
