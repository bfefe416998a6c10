//! The same stories where an external ZooKeeper tells the nodes of each other, and those in which it is away.
//!
//! Clusters to which nothing happens through it share one server, each below a root of its own. `support/zookeeper.rs` says what
//! is needed, and what happens where it is missing.

mod absence;
mod lost;
mod operators;

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OnceCell;

use crate::process::{Cluster, Setup};
use crate::zookeeper::Server;
use crate::{all_killed, fallback, one_killed, siblings};

static SERVER: OnceCell<Option<Server>> = OnceCell::const_new();
static ROOTS: AtomicU64 = AtomicU64::new(0);

/// Three nodes on the shared server; `None` if ZooKeeper is not installed here and need not be.
async fn three_nodes() -> Option<Cluster> {
    let server = SERVER.get_or_init(Server::start).await.as_ref()?;
    let root = format!("/clusters/{}", ROOTS.fetch_add(1, Ordering::Relaxed));
    Some(Cluster::start_with(on(server.address(), &root)).await)
}

/// Nodes that use a ZooKeeper.
fn on(servers: &str, root: &str) -> Setup {
    let coordination = format!("kind = \"zookeeper\"\nservers = \"{servers}\"\nroot = \"{root}\"\n");
    Setup { coordination, ..Setup::default() }
}

#[tokio::test]
async fn one_dies_and_comes_back() {
    let Some(cluster) = three_nodes().await else { return };
    one_killed::dies_and_comes_back(cluster).await;
}

#[tokio::test]
async fn all_die_and_hold_all() {
    let Some(cluster) = three_nodes().await else { return };
    all_killed::die_and_hold_all(cluster).await;
}

#[tokio::test]
async fn siblings_are_kept_and_resolved() {
    let Some(cluster) = three_nodes().await else { return };
    siblings::become_siblings(&cluster).await;
    siblings::count_together(&cluster).await;
}

#[tokio::test]
async fn a_further_owner_stands_in() {
    let Some(cluster) = three_nodes().await else { return };
    fallback::a_further_owner_stands_in(cluster).await;
}
