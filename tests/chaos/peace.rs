//! Waiting until a cluster whose faults are over is whole, and all owners of a key hold the same.
//!
//! Until owners compare what they hold by themselves it is reads of all owners that repair what differs.

use std::time::{Duration, Instant};

use kv::client::Client;
use kv::core::id::{NodeId, Partition, StoreId};
use kv::core::key::Key;
use kv::core::ring::{Ring, Slice};
use kv::wire::change::{ChangeAnswer, ChangeRequest};
use kv::wire::report::{Inspect, Inspection, StatusReport};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long it may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Keys that are looked at at once.
const AT_ONCE: usize = 16;
/// Owners of every key.
const OWNERS: u8 = 3;

/// What a store holds of a key.
pub struct Holding {
    /// The store.
    pub store: StoreId,
    /// Whether it owns the key.
    pub is_owner: bool,
    /// The object, so that equal ones have equal texts.
    pub object: Option<String>,
}

/// Waits until the cluster of these nodes is whole and the owners of these keys hold the same; how long that took.
///
/// # Errors
/// What is still missing when patience ends.
pub async fn converge(client: &Client, nodes: &[u32], keys: &[Key]) -> Result<Duration, String> {
    let began = Instant::now();
    loop {
        let trouble = match whole(client, nodes).await {
            Ok(_) => match unlike(client, keys).await {
                unlike if unlike.is_empty() => return Ok(began.elapsed()),
                unlike => {
                    let trouble = format!("of {} keys owners hold different things, as of {}", unlike.len(), unlike[0]);
                    repair(client, &unlike).await;
                    trouble
                }
            },
            Err(trouble) => trouble,
        };
        if began.elapsed() > PATIENCE {
            return Err(format!("after {} s of peace: {trouble}", PATIENCE.as_secs()));
        }
        sleep(ASK_EVERY).await;
    }
}

/// The ring by which all nodes work, or why the cluster is not whole: somebody is not reached, has no lease, takes no writes or keeps
/// hints; or the ring changes.
pub async fn whole(client: &Client, nodes: &[u32]) -> Result<Ring, String> {
    match client.change(ChangeRequest::Progress).await {
        Ok(ChangeAnswer::Change(Some(change))) if change.ended_ms.is_none() => {
            return Err(format!("change {} waits: {:?} {:?}", change.number, change.phases, change.waiting));
        }
        Ok(ChangeAnswer::Change(_)) => {}
        other => return Err(format!("how far changes are: {other:?}")),
    }
    let mut rings: Vec<Ring> = vec![];
    for node in nodes.iter().copied().map(NodeId) {
        match client.inspect(node, Inspect::Status).await {
            Ok(Inspection::Status(status)) => healthy(node, &status)?,
            other => return Err(format!("the status of node {node}: {other:?}")),
        }
        match client.inspect(node, Inspect::Ring).await {
            Ok(Inspection::Ring(report)) => rings.push(report.ring),
            other => return Err(format!("the ring of node {node}: {other:?}")),
        }
    }
    let ring = rings.swap_remove(0);
    if rings.iter().any(|other| other.epoch != ring.epoch) {
        return Err("the nodes work with different rings".into());
    }
    let is_at_rest = |slice: &Slice| slice.motion.is_none() && slice.draining.is_empty();
    let partitions = (0..ring.partitions()).map(|partition| Partition(partition as u16));
    match partitions.into_iter().find(|partition| !is_at_rest(&ring.slice(*partition))) {
        Some(partition) => Err(format!("partition {partition} is not at rest: {:?}", ring.slice(partition))),
        None => Ok(ring),
    }
}

fn healthy(node: NodeId, status: &StatusReport) -> Result<(), String> {
    if let Some(peer) = status.peers.iter().find(|peer| !peer.up) {
        return Err(format!("node {node} does not reach node {}: {:?}", peer.node, peer.trouble));
    }
    if let Some(why) = &status.read_only {
        return Err(format!("node {node} takes no writes: {why}"));
    }
    if !status.hints.is_empty() {
        return Err(format!("node {node} keeps hints: {:?}", status.hints));
    }
    if status.leased { Ok(()) } else { Err(format!("node {node} has no lease")) }
}

/// The keys of which not all owners hold the same, or somebody else holds something, or who holds what cannot be said.
async fn unlike(client: &Client, keys: &[Key]) -> Vec<Key> {
    let mut unlike = vec![];
    for some in keys.chunks(AT_ONCE) {
        let mut looks = JoinSet::new();
        for key in some.iter().cloned() {
            let client = client.clone();
            looks.spawn(
                async move { (!matches!(holdings(&client, &key).await, Ok(held) if alike(&held))).then_some(key) },
            );
        }
        unlike.extend(looks.join_all().await.into_iter().flatten());
    }
    unlike
}

fn alike(holdings: &[Holding]) -> bool {
    let mut owners = holdings.iter().filter(|holding| holding.is_owner).map(|holding| &holding.object);
    let first = owners.next();
    owners.all(|object| Some(object) == first)
        && holdings.iter().all(|holding| holding.is_owner || holding.object.is_none())
}

/// What all members hold of a key.
///
/// # Errors
/// If one of them cannot be asked.
pub async fn holdings(client: &Client, key: &Key) -> Result<Vec<Holding>, String> {
    let located = match client.inspect_any(Inspect::Locate(key.clone())).await {
        Ok(Inspection::Located(located)) => located,
        other => return Err(format!("who holds {key}: {other:?}")),
    };
    let ring = &client.ring().ring;
    let holding = |replica: kv::wire::report::ReplicaReport| {
        let store = ring.node(replica.node).ok_or_else(|| format!("node {} is not in the ring", replica.node))?.store;
        let held = replica.holds.map_err(|error| format!("{key} at node {}: {error}", replica.node))?;
        Ok(Holding { store, is_owner: replica.owner, object: held.map(|held| format!("{held:?}")) })
    };
    located.replicas.into_iter().map(holding).collect()
}

async fn repair(client: &Client, keys: &[Key]) {
    for key in keys {
        // Whether it succeeded shows when it is looked at again.
        let _ = client.get(&key.name).r(OWNERS).pr(OWNERS).await;
    }
}
