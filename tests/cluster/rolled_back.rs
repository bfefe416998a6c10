//! A node is restored from a backup of its directory: it has forgotten what it acknowledged since, and copies it anew.

use std::fs;
use std::time::Duration;

use kv::core::id::NodeId;
use kv::wire::report::StoreFate;
use tokio::time::sleep;

use crate::inspection::{cluster, fates, roles, status, versions};
use crate::load::{Load, lost};
use crate::moving::ended;
use crate::process::Cluster;
use crate::strict::StrictLoad;
use crate::wait::until;

#[tokio::test]
async fn it_is_recognised_and_its_bytes_are_set_aside() {
    const RESTORED: u32 = 3;
    let mut nodes = Cluster::start().await;
    let client = nodes.client().await;
    let old = status(&client, RESTORED).await.store;
    nodes.stop(RESTORED).await;
    let backup = nodes.copy_data(RESTORED);
    nodes.restart(RESTORED).await;
    nodes.wait_until_ready().await;

    // What the backup will not know.
    let load = Load::start(&client, 8);
    let strict = StrictLoad::start(&client, 4);
    client.put("forgotten", "1").w(3).strict().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    nodes.stop(RESTORED).await;
    let done = load.stop().await;

    nodes.put_back(RESTORED, &backup);
    nodes.run(RESTORED);
    ended(&client, 1).await;
    let new = until("it is recognised", async || {
        let report = cluster(&client, 1).await?;
        let heir = report.members.iter().find(|member| member.node == NodeId(RESTORED) && member.store != old)?;
        let fates = fates(&report, RESTORED);
        let was_refused = |(store, fate): &_| {
            let address = nodes.address(RESTORED).to_string();
            *store == old && matches!(fate, StoreFate::RolledBack { address: at, shown, registered } if *at == address && shown <= registered)
        };
        let is_named = fates.len() == 1 && fates.iter().any(was_refused);
        let is_back = heir.up && heir.partitions == report.partitions && roles(&report) == (vec![1, 2, 3], vec![]);
        (is_named && is_back).then_some(heir.store)
    })
    .await;

    let entries = fs::read_dir(nodes.data(RESTORED)).unwrap().map(|entry| entry.unwrap().file_name());
    let aside: Vec<_> = entries.filter(|name| name.to_string_lossy().starts_with("set-aside-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].to_string_lossy().ends_with(&old.to_string()), "{aside:?}");
    assert!(nodes.data(RESTORED).join(&aside[0]).join("engine").is_dir());
    let status = status(&client, RESTORED).await;
    assert!(status.store == new && new != old, "{status:?}");

    let strict = strict.stop().await;
    println!(
        "{} writes at W=2 acknowledged, {} strict ones; {} strict requests failed: {:?}",
        done.acknowledged.len(),
        strict.written,
        strict.failed,
        strict.failure
    );
    assert!(!done.acknowledged.is_empty() && strict.written > 0);
    assert_eq!(lost(&client, &done.acknowledged, 2).await, [""; 0]);
    let read = client.get("forgotten").r(2).strict().await.unwrap();
    assert_eq!(read.value().map(|value| &value[..]), Some(&b"1"[..]));
    assert_eq!(versions(&client, "forgotten").await.len(), 1, "all three have it");
}
