//! The end of a simulation: the cluster is given time to heal, then everything is looked at.

use std::sync::Arc;
use std::time::Duration;

use kv::client::Client;
use kv::core::key::Key;
use kv::wire::report::{Inspect, Inspection, LocateReport};
use tokio::time::{Instant, sleep};

use crate::history::{Call, ClientId, Outcome, Quorums, What, WriteId};
use crate::recorder::Recorder;

/// How long healing may take.
const PATIENCE: Duration = Duration::from_secs(60);

const EVERYBODY: Quorums = Quorums { n: 3, r: 3, w: 3, pr: 3, pw: 3, sloppy: false };

/// Waits until the cluster is whole, then records what every client would read and what every store holds.
pub async fn judge(client: Client, recorder: Arc<Recorder>, id: ClientId) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    while let Some(trouble) = trouble(&client).await {
        if Instant::now() > until {
            return Err(format!("not whole after {PATIENCE:?}: {trouble}"));
        }
        sleep(Duration::from_millis(200)).await;
    }
    let keys = recorder.written_keys();
    // There is no anti-entropy yet: reads of all owners are what repairs.
    for key in &keys {
        heal(&client, key, until).await?;
    }
    recorder.record(What::Settled);
    for key in &keys {
        let operation = recorder.invoke(id, key, EVERYBODY, Call::Get);
        let read = read_all(&client, key).await.map_err(|error| format!("final read of {key}: {error}"))?;
        recorder.answer(operation, Outcome::Read(read));
        look(&client, &recorder, key).await?;
    }
    Ok(())
}

/// Why the cluster is not whole.
async fn trouble(client: &Client) -> Option<String> {
    for member in client.ring().ring.members() {
        match client.inspect(member.node, Inspect::Status).await {
            Ok(Inspection::Status(status)) => {
                if let Some(peer) = status.peers.iter().find(|peer| !peer.up) {
                    return Some(format!("node {} does not reach node {}", member.node, peer.node));
                }
                if !status.hints.is_empty() {
                    return Some(format!("node {} holds hints: {:?}", member.node, status.hints));
                }
            }
            Ok(other) => return Some(format!("{other:?}")),
            Err(error) => return Some(format!("node {}: {error}", member.node)),
        }
    }
    None
}

async fn heal(client: &Client, key: &Key, until: Instant) -> Result<(), String> {
    loop {
        let _ = read_all(client, key).await;
        sleep(Duration::from_millis(50)).await;
        let located = locate(client, key).await?;
        let owners: Vec<_> = located.replicas.iter().filter(|replica| replica.owner).collect();
        if owners.windows(2).all(|pair| pair[0].holds == pair[1].holds) {
            return Ok(());
        }
        if Instant::now() > until {
            return Ok(());
        }
    }
}

async fn read_all(client: &Client, key: &Key) -> Result<Vec<WriteId>, kv::client::ClientError> {
    let read = client.get(&key.name).bucket(&key.bucket).r(3).pr(3).await?;
    Ok(read.values.iter().map(|value| WriteId::of_value(&value.bytes)).collect())
}

async fn locate(client: &Client, key: &Key) -> Result<LocateReport, String> {
    match client.inspect_any(Inspect::Locate(key.clone())).await {
        Ok(Inspection::Located(located)) => Ok(located),
        other => Err(format!("locate {key}: {other:?}")),
    }
}

async fn look(client: &Client, recorder: &Recorder, key: &Key) -> Result<(), String> {
    let ring = client.ring();
    for replica in locate(client, key).await?.replicas {
        let store = ring.ring.node(replica.node).ok_or("a stranger")?.store;
        let held = replica.holds.map_err(|error| format!("{key} at node {}: {error}", replica.node))?;
        // A record without an event is as good as none: what a mutant leaves in it must show by what it does.
        let object = held.filter(|held| !held.context.is_empty()).map(|held| format!("{held:?}"));
        if replica.owner || object.is_some() {
            recorder.record(What::Holds { store, key: key.clone(), owner: replica.owner, object });
        }
    }
    Ok(())
}
