//! ZooKeeper goes away and comes back. The nodes go on with what they know, and promise no more than that.

use kv::client::{Client, ClientError, Failure};

use super::on;
use crate::command_line::Cli;
use crate::process::Cluster;
use crate::wait::until;
use crate::zookeeper::Server;

/// So short that a test may wait for the end of a lease.
const SESSION_TIMEOUT: &str = "session_timeout_ms = 3000\n";

/// How it is away.
#[derive(Clone, Copy)]
enum Absence {
    /// The connections stay, and nothing is answered.
    Paused,
    /// Nobody is there. When it comes back it gives all sessions their full timeout.
    Killed,
}

impl Absence {
    fn begin(self, server: &mut Server) {
        match self {
            Absence::Paused => server.pause(),
            Absence::Killed => server.kill(),
        }
    }

    async fn end(self, server: &mut Server) {
        match self {
            Absence::Paused => server.resume(),
            Absence::Killed => server.run().await,
        }
    }
}

/// Waits until a strict request is refused because the node that took it has no lease.
async fn until_refused(client: &Client) {
    let is_refused = async || match client.get("key").r(2).strict().await {
        Err(ClientError::Failure(Failure::RingMayBeStale { .. })) => Some(()),
        // While others still have theirs.
        Ok(_) | Err(ClientError::Failure(Failure::QuorumNotMet { .. })) => None,
        Err(error) => panic!("{error}"),
    };
    until("strict requests are refused", is_refused).await;
}

/// Writes and reads what promises nothing about owners.
async fn serves_sloppy(client: &Client, value: &str) {
    client.put("key", value.to_owned()).w(2).await.unwrap();
    assert_eq!(client.get("key").r(2).await.unwrap().value().unwrap(), value);
}

async fn goes_on_without(absence: Absence) {
    let Some(mut server) = Server::start().await else { return };
    let mut setup = on(server.address(), "/absence");
    setup.coordination.push_str(SESSION_TIMEOUT);
    let mut cluster = Cluster::start_with(setup).await;
    let client = cluster.client().await;
    client.put("key", "before").w(3).strict().await.unwrap();

    absence.begin(&mut server);
    serves_sloppy(&client, "at once").await;
    until_refused(&client).await;
    serves_sloppy(&client, "without leases").await;

    // A node that starts meanwhile knows its cluster and the last ring.
    cluster.kill(&[3]);
    cluster.restart(3).await;
    let restarted = Client::connect([cluster.address(3)]).await.unwrap();
    serves_sloppy(&restarted, "after a restart").await;
    until_refused(&restarted).await;
    let told = Cli::of(&cluster).prints(&["coord", "status", "--all"]);
    let tells = |state: &str| told.lines().filter(|line| line.contains(&format!("ZooKeeper: {state}"))).count();
    assert_eq!((tells("no server answers"), tells("no session")), (2, 1), "{told}");
    let server_is_named = |line: &str| line.contains("no session") && line.contains(server.address());
    until("node 3 says whom it cannot reach", async || cluster.log(3).lines().any(server_is_named).then_some(())).await;

    absence.end(&mut server).await;
    cluster.wait_until_ready().await;
    client.put("key", "after").w(3).strict().await.unwrap();
    assert_eq!(restarted.get("key").r(3).strict().await.unwrap().value().unwrap(), "after");
}

#[tokio::test]
async fn nodes_go_on_while_it_does_not_answer() {
    goes_on_without(Absence::Paused).await;
}

#[tokio::test]
async fn nodes_go_on_while_it_is_down() {
    goes_on_without(Absence::Killed).await;
}
