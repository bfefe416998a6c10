//! A configuration that names no ZooKeeper that answers.

use std::net::TcpListener;

use super::on;
use crate::process::Cluster;
use crate::wait::until;

/// Nobody need have ZooKeeper for this: nothing answers where it should be.
#[tokio::test]
async fn a_start_says_which_servers_it_waits_for() {
    // One that takes connections and is silent, one that does not exist.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = kv::testing::free_addresses(1).unwrap().remove(0);
    let servers = format!("{},{refusing}", silent.local_addr().unwrap());
    let mut cluster = Cluster::prepare(on(&servers, "/lost"));
    cluster.run(1);
    let says = async |what: &str| {
        until(what, async || cluster.log(1).contains(what).then_some(())).await;
    };
    says(&format!("it waits for an answer of ZooKeeper at {servers}")).await;
    says(&format!("it waits to be let into a cluster (ZooKeeper at {servers}: no available hosts)")).await;
    assert_eq!(cluster.stop(1).await.code(), Some(0), "it can be stopped while it waits");
}
