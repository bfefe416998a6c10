//! What the tests of the service ask of its servers, beyond their running.

use std::fs;
use std::time::{Duration, Instant};

use kv::coordination::conformance::PATIENCE;
use kv::coordination::tree::{Path, SessionId};
use kv::coordination::zookeeper::ZooKeeper;
use kv::testing::free_addresses;

use crate::server::Server;

impl Server {
    /// Starts an ensemble of three and waits until it has a leader, which comes first; `None` as of one server.
    pub async fn start_ensemble() -> Option<Vec<Server>> {
        let class_path = Server::find()?;
        let links = free_addresses(6).expect("free ports");
        let member = |(id, pair): (usize, &[String])| {
            let election = pair[1].rsplit_once(':').expect("host:port").1;
            format!("server.{}={}:{election}\n", id + 1, pair[0])
        };
        let members: String = links.chunks(2).enumerate().map(member).collect();
        let more = format!("initLimit=50\nsyncLimit=20\n{members}");
        let mut servers: Vec<Server> = (0..3).map(|_| Server::prepare(&class_path, &more)).collect();
        for (id, server) in servers.iter_mut().enumerate() {
            fs::write(server.data().join("myid"), (id + 1).to_string()).expect("an id");
            server.launch();
        }
        for server in &servers {
            server.until_serving().await;
        }
        servers.sort_by_key(|server| !server.is_leader());
        Some(servers)
    }

    /// Whether the server leads an ensemble.
    pub fn is_leader(&self) -> bool {
        self.ask("srvr").is_some_and(|answer| answer.contains("Mode: leader"))
    }

    /// The service below a root.
    pub fn service(&self, root: &str) -> ZooKeeper {
        service(self.address(), root)
    }

    /// Waits until a leader or lonely server has ended a session; answers when it was first missing.
    ///
    /// The server lists its sessions while it moves them from one time of expiry to the next, and may so leave out one that
    /// lives. It has ended if it is missing twice.
    pub async fn until_ended(&self, session: SessionId) -> Instant {
        let start = Instant::now();
        let mut missing = None;
        loop {
            assert!(start.elapsed() < PATIENCE, "session {session} did not end");
            let asked = Instant::now();
            missing = match (self.has(session), missing) {
                (true, _) => None,
                (false, None) => Some(asked),
                (false, Some(first)) => return first,
            };
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether a session is listed; a server that does not answer may have it.
    fn has(&self, session: SessionId) -> bool {
        let id = session.to_string();
        let dump = self.ask("dump").filter(|dump| dump.contains("Session Sets"));
        dump.is_none_or(|dump| dump.split_whitespace().any(|word| word.trim_end_matches(':') == id))
    }
}

/// The service at an address, below a root.
pub fn service(address: &str, root: &str) -> ZooKeeper {
    let root: Path = root.parse().expect("a path");
    ZooKeeper::new(address, root).expect("an address")
}
