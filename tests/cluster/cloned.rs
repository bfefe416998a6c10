//! A node's directory is copied, and both run.

use kv::core::id::{NodeId, StoreId};
use kv::wire::report::StoreFate;

use crate::command_line::Cli;
use crate::inspection::{cluster, fates, status};
use crate::process::Cluster;
use crate::strict::StrictLoad;
use crate::wait::until;

const ORIGINAL: u32 = 3;

/// Waits until the copy, node `copy` of the harness, has ended and is named; the original must not notice.
async fn refused(nodes: &mut Cluster, copy: u32, store: StoreId) {
    let client = nodes.client().await;
    let before = status(&client, ORIGINAL).await;
    let load = StrictLoad::start(&client, 4);
    nodes.run(copy);
    let end = nodes.wait_for_end(copy).await;
    assert_eq!(end.code(), Some(1), "{end}");
    let told = format!("store {store} runs at");
    assert!(nodes.log(copy).contains(&told) && nodes.log(copy).contains("a copy of it"), "{}", nodes.log(copy));

    let address = nodes.address(copy).to_string();
    until("the copy is named", async || {
        let fates = fates(&cluster(&client, 1).await?, ORIGINAL);
        fates.contains(&(store, StoreFate::Cloned { address: address.clone() })).then_some(())
    })
    .await;
    let shown = Cli::of(nodes).prints(&["cluster", "status", "--node", "2"]);
    assert!(shown.contains(&format!("At {address} runs a copy of store {store:?} of node {ORIGINAL}.")), "{shown}");

    let done = load.stop().await;
    let after = status(&client, ORIGINAL).await;
    assert_eq!((after.store, after.start, after.leased), (store, before.start, true));
    println!("{} strict writes and {} reads meanwhile", done.written, done.read);
    assert!(done.written > 0 && done.read > 0);
    assert!(done.failure.is_none(), "{} failed: {:?}", done.failed, done.failure);
}

#[tokio::test]
async fn the_copy_is_refused_and_the_original_goes_on() {
    let mut nodes = Cluster::start().await;
    let client = nodes.client().await;
    let store = status(&client, ORIGINAL).await.store;
    nodes.stop(ORIGINAL).await;
    let copy = nodes.copy_data(ORIGINAL);
    nodes.restart(ORIGINAL).await;
    nodes.wait_until_ready().await;

    let clone = nodes.add(1);
    nodes.put_back(clone, &copy);
    refused(&mut nodes, clone, store).await;
    refused(&mut nodes, clone, store).await;

    // However often the copy was started, it never gets ahead of the original. While that is away it is an old copy: its bytes
    // are set aside, and it comes in as a node of its own.
    nodes.stop(ORIGINAL).await;
    nodes.run(clone);
    until("the copy is a new node", async || {
        let report = cluster(&client, 1).await?;
        let new = report.members.iter().find(|member| member.address == nodes.address(clone))?;
        (new.up && new.partitions == 0 && new.node == NodeId(4) && new.store != store).then_some(())
    })
    .await;
    assert!(nodes.log(clone).contains(&format!("store {store} was rolled back")), "{}", nodes.log(clone));
    nodes.restart(ORIGINAL).await;
    nodes.wait_until_ready().await;
    assert_eq!(status(&client, ORIGINAL).await.store, store);
}
