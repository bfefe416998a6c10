//! The end of a simulation: the cluster is given time to heal and to end what changes of the ring are under way, then everything is
//! looked at.

use std::sync::Arc;
use std::time::Duration;

use kv::client::{Client, ClientError};
use kv::core::id::{NodeId, Partition};
use kv::core::key::Key;
use kv::core::ring::{Ring, Slice};
use kv::wire::change::ChangeReport;
use kv::wire::report::{Inspect, Inspection, LocateReport};
use tokio::time::{Instant, sleep};

use crate::history::{Call, ClientId, Outcome, Quorums, What, WriteId};
use crate::operator::progress;
use crate::recorder::Recorder;

/// How long healing may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long owners may take to become equal by themselves: a few rounds of all pairs.
const ROUNDS: Duration = Duration::from_secs(40);

/// Waits until the cluster is whole and all owners hold the same, then records what every client would read and what every store
/// holds. Where nodes `repair` by themselves nothing is read before that; elsewhere reads are what repairs.
pub async fn judge(
    client: Client,
    nodes: impl Fn() -> Vec<NodeId>,
    recorder: Arc<Recorder>,
    id: ClientId,
    reaps: bool,
    repair: bool,
) -> Result<(), String> {
    let ring = wait_until_whole(&client, &nodes).await?;
    let keys = recorder.written_keys();
    let until = Instant::now() + if repair { ROUNDS } else { PATIENCE };
    for key in &keys {
        heal(&client, &ring, key, !repair, until).await?;
    }
    if reaps {
        wait_until_reaped(&client, &nodes(), &recorder).await?;
    }
    recorder.record(What::Settled);
    for key in &keys {
        let everybody = everybody(&ring);
        let operation = recorder.invoke(id, key, everybody, Call::Get);
        let read = read(&client, key, everybody).await.map_err(|error| format!("final read of {key}: {error}"))?;
        recorder.answer(operation, Outcome::Read(read));
        look(&client, &ring, &recorder, key).await?;
    }
    Ok(())
}

/// Quorums of all owners.
fn everybody(ring: &Ring) -> Quorums {
    let all = ring.replication;
    Quorums { n: all, r: all, w: all, pr: all, pw: all, sloppy: false }
}

/// Waits until every node serves, reaches all others, and holds a lease by the same ring, which is at rest; answers that ring.
pub async fn wait_until_whole(client: &Client, nodes: impl Fn() -> Vec<NodeId>) -> Result<Ring, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        match whole(client, &nodes()).await {
            Ok(ring) => return Ok(ring),
            Err(trouble) if Instant::now() > until => return Err(format!("not whole after {PATIENCE:?}: {trouble}")),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// The ring that all nodes work with, or why the cluster is not whole.
async fn whole(client: &Client, nodes: &[NodeId]) -> Result<Ring, String> {
    let change = progress(client).await.map_err(|error| format!("how far changes are: {error}"))?;
    if let Some(running) = change.filter(|change| change.ended_ms.is_none()) {
        let ChangeReport { number, phases, waiting, .. } = *running;
        return Err(format!("change {number} waits: {phases:?} {waiting:?}"));
    }
    let mut rings = vec![];
    for &node in nodes {
        let failed = |error| format!("node {node}: {error}");
        let status = match client.inspect(node, Inspect::Status).await.map_err(failed)? {
            Inspection::Status(status) => status,
            other => return Err(format!("{other:?}")),
        };
        if let Some(peer) = status.peers.iter().find(|peer| !peer.up) {
            return Err(format!("node {node} does not reach node {}: {:?}", peer.node, peer.trouble));
        }
        if !status.hints.is_empty() {
            return Err(format!("node {node} holds hints: {:?}", status.hints));
        }
        if !status.leased {
            return Err(format!("node {node} has no lease"));
        }
        match client.inspect(node, Inspect::Ring).await.map_err(failed)? {
            Inspection::Ring(report) => rings.push(report.ring),
            other => return Err(format!("{other:?}")),
        }
    }
    let ring = rings.swap_remove(0);
    if rings.iter().any(|other| other.epoch != ring.epoch) {
        return Err("the nodes work with different rings".into());
    }
    let partitions = (0..ring.partitions()).map(|p| Partition(p as u16));
    let is_at_rest = |slice: &Slice| slice.motion.is_none() && slice.draining.is_empty();
    if let Some(partition) = partitions.into_iter().find(|partition| !is_at_rest(&ring.slice(*partition))) {
        return Err(format!("partition {partition} is not at rest: {:?}", ring.slice(partition)));
    }
    if let Some(gone) = ring.members().iter().find(|member| !nodes.contains(&member.node)) {
        return Err(format!("the ring has store {}, which is gone", gone.store));
    }
    Ok(ring)
}

/// Waits until nothing deleted is left, or for long enough, and records what is.
async fn wait_until_reaped(client: &Client, nodes: &[NodeId], recorder: &Recorder) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut left = vec![];
        for &node in nodes {
            match client.inspect(node, Inspect::Tombstones(None)).await {
                Ok(Inspection::Tombstones(report)) => {
                    let (keys, why) = (report.tombstones + report.expired, format!("{:?}", report.reaping));
                    left.push(What::Deleted { node, keys, why });
                }
                other => return Err(format!("node {node} does not tell what is deleted: {other:?}")),
            }
        }
        let is_done = left.iter().all(|left| matches!(left, What::Deleted { keys: 0, .. }));
        if is_done || Instant::now() > until {
            left.into_iter().for_each(|left| recorder.record(left));
            return Ok(());
        }
        sleep(Duration::from_millis(500)).await;
    }
}

async fn heal(client: &Client, ring: &Ring, key: &Key, by_reading: bool, until: Instant) -> Result<(), String> {
    loop {
        if by_reading {
            let _ = read(client, key, everybody(ring)).await;
        }
        sleep(Duration::from_millis(50)).await;
        let located = locate(client, key).await?;
        let (owners, others): (Vec<_>, Vec<_>) = located.replicas.iter().partition(|replica| replica.owner);
        let agree = owners.windows(2).all(|pair| pair[0].holds == pair[1].holds);
        if agree && others.iter().all(|replica| replica.holds == Ok(None)) {
            return Ok(());
        }
        if Instant::now() > until {
            return Ok(());
        }
    }
}

async fn read(client: &Client, key: &Key, quorums: Quorums) -> Result<Vec<WriteId>, ClientError> {
    let read = client.get(&key.name).bucket(&key.bucket).r(quorums.r).pr(quorums.pr).await?;
    Ok(read.values.iter().map(|value| WriteId::of_value(&value.bytes)).collect())
}

async fn locate(client: &Client, key: &Key) -> Result<LocateReport, String> {
    match client.inspect_any(Inspect::Locate(key.clone())).await {
        Ok(Inspection::Located(located)) => Ok(located),
        other => Err(format!("locate {key}: {other:?}")),
    }
}

async fn look(client: &Client, ring: &Ring, recorder: &Recorder, key: &Key) -> Result<(), String> {
    for replica in locate(client, key).await?.replicas {
        let store = ring.node(replica.node).ok_or("a stranger")?.store;
        let held = replica.holds.map_err(|error| format!("{key} at node {}: {error}", replica.node))?;
        // A record without an event is as good as none: what a mutant leaves in it must show by what it does.
        let object = held.filter(|held| !held.context.is_empty()).map(|held| format!("{held:?}"));
        if replica.owner || object.is_some() {
            recorder.record(What::Holds { store, key: key.clone(), owner: replica.owner, object });
        }
    }
    Ok(())
}
