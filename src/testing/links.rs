//! Waiting until nodes have found, or given up, each other.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ClusterError;
use crate::client::Client;
use crate::core::id::NodeId;
use crate::wire::report::{Inspect, Inspection};

/// How often the nodes are asked.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Waits until each of these nodes, given with the address where it listens, has a link to each other of them, and none
/// to any node beside them.
///
/// # Errors
/// [`ClusterError::NotLinked`] if that does not come about in time.
pub async fn wait_until_linked(running: &BTreeMap<NodeId, String>, within: Duration) -> Result<(), ClusterError> {
    until(within, || check(running, false)).await
}

async fn until<F>(within: Duration, check: impl Fn() -> F) -> Result<(), ClusterError>
where
    F: Future<Output = Result<(), String>>,
{
    let deadline = Instant::now() + within;
    loop {
        let Err(trouble) = check().await else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(ClusterError::NotLinked { within, trouble });
        }
        sleep(ASK_EVERY).await;
    }
}

/// Waits until a whole cluster of these nodes serves everything: each has a link to each other, and a lease.
///
/// # Errors
/// As [`wait_until_linked`].
pub async fn wait_until_ready(running: &BTreeMap<NodeId, String>, within: Duration) -> Result<(), ClusterError> {
    until(within, || check(running, true)).await
}

/// Asks each node how it is; the error says what is not as it shall be.
async fn check(running: &BTreeMap<NodeId, String>, with_lease: bool) -> Result<(), String> {
    // One that lives through restarts would wait before it dials again.
    let client = Client::connect(running.values()).await.map_err(|error| error.to_string())?;
    for node in running.keys() {
        let shown = client.inspect(*node, Inspect::Status).await;
        let Inspection::Status(status) = shown.map_err(|error| format!("node {node}: {error}"))? else {
            return Err(format!("node {node} shows another report"));
        };
        let wrong = status.peers.iter().find(|peer| peer.up != running.contains_key(&peer.node));
        if let Some(peer) = wrong {
            let state = if peer.up { "still has a" } else { "has no" };
            return Err(format!("node {node} {state} link to node {}: {:?}", peer.node, peer.trouble));
        }
        if with_lease && !status.leased {
            return Err(format!("node {node} has no lease"));
        }
        let known = status.peers.len() + 1;
        if known < running.len() {
            return Err(format!("node {node} knows {known} nodes"));
        }
    }
    Ok(())
}
