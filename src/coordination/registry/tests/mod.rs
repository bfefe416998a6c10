//! The registry on a service in this process.

mod buckets;
mod cases;
mod changes;
mod history;
mod unsure;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::config::NodeEntry;
use crate::coordination::api::{Service, Session};
use crate::coordination::local::Local;
use crate::core::id::{ClusterId, NodeId, Start, StoreId};

const TIMEOUT: Duration = Duration::from_secs(10);

fn address(node: u32) -> String {
    format!("node{node}:8000")
}

/// Three nodes, whose stores are not known yet.
fn founding(id: u128) -> Founding {
    let nodes = (1..=3).map(|node| (NodeEntry::new(NodeId(node), address(node)), None)).collect();
    let (id, voters) = (ClusterId(id), (1..=3).map(NodeId).collect());
    let auto_remove_after_ms = Some(60_000);
    let (name, buckets) = ("test".into(), BTreeMap::new());
    Founding { id, name, partitions: 16, replication: 3, nodes, voters, auto_remove_after_ms, buckets }
}

/// Ids that are easy to read: 1, 2, 3.
fn counted() -> impl FnMut() -> StoreId + Send {
    let mut last = 0;
    move || {
        last += 1;
        StoreId(last)
    }
}

async fn open(service: &Local) -> Box<dyn Session> {
    service.open(TIMEOUT).await.expect("a session")
}

/// A service with a cluster, and a session.
async fn founded() -> (Local, Box<dyn Session>) {
    let service = Local::new();
    let session = open(&service).await;
    found(&*session, &founding(7), 1, &mut counted()).await.expect("a cluster");
    (service, session)
}

/// A store that belongs to no cluster yet, at a node's usual address.
fn fresh(node: u32, store: u128) -> Joiner {
    let start = Start { store: StoreId(store), number: 1, nonce: 100 };
    Joiner { cluster: None, node: Some(NodeId(node)), start, address: address(node), zone: None, weight: None }
}

/// The same store once it belongs to the cluster, at a later start.
fn again(admitted: &Admitted, number: u64, nonce: u64) -> Joiner {
    let start = Start { store: admitted.store, number, nonce };
    let address = address(admitted.node.0);
    Joiner { cluster: Some(admitted.cluster), node: Some(admitted.node), start, address, zone: None, weight: None }
}
