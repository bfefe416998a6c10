//! The service kept by a real ZooKeeper, 3.6 or newer.
//!
//! # How a session goes
//!
//! 1. [`ZooKeeper::open`](Service::open) connects to one of the servers, makes the root if it is missing, and leaves the
//!    connection to a task, the `keeper`. All paths are below the root; what is beside it is neither seen nor touched.
//! 2. While the connection lives, calls go out on it at once (`session`). A read whose reply is lost is made again; a write is
//!    sent once, and if its reply is lost its outcome is unknown (`request`).
//! 3. When the connection is lost, the client library looks for a server that takes the session over. It gives up after 7/5 of
//!    the timeout and calls the session expired, which only ZooKeeper can know: an ensemble without a majority expires
//!    nothing. The keeper therefore asks on, until a server has taken the session or said that it is no more.
//! 4. A `renew` is answered when the leader counts the session's time anew; `renewal` says how that can be known.
//! 5. Watches are kept by a task each, which sets them again on every new connection (`watch`).
//!
//! # What ZooKeeper gives and what is added
//!
//! ZooKeeper orders the requests of a session, also of one that moves to another server: the leader refuses what an older
//! connection sent. That makes a dropped write either happen before the next one or never. Two promises need more:
//!
//! - *`sync` is linearizable.* ZooKeeper's own `sync` asks whoever takes itself for the leader. Here it is a write that
//!   changes nothing, committed by a majority: what the session's server knows after it includes all earlier writes.
//! - *Reads never go back.* A server refuses a client that has seen more than itself, but only what this connection has seen; so
//!   a session that the keeper takes up again syncs before it is used.
//!
//! # Limits
//!
//! A request must fit `jute.maxbuffer` as ZooKeeper sets it by default, 1 MiB less one byte; a larger one would cost the
//! connection and is refused here. The session timeout is at least a second, and what the servers grant between their
//! `minSessionTimeout` and `maxSessionTimeout`. What a `multi` says of the revision of a node that it made is, with older servers,
//! read after it; if the node is gone by then, it is 0. Access control is open: the nodes made are anyone's.

mod convert;
mod keeper;
mod link;
mod renewal;
mod request;
mod session;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use ::zookeeper_client as zk;

use super::api::{Answer, Error, Service, Session};
use super::clock;
use super::tree::Path;
use keeper::Keeper;
use session::ZooKeeperSession;

/// Shortest timeout that is asked for: the library connects within it.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// Longest timeout that can be asked for: ZooKeeper writes it as 32-bit milliseconds.
const TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);
/// Longest time that a server gets to answer before the next one is tried.
const SERVER_TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// A ZooKeeper ensemble. Sessions are opened within a tokio runtime, which then keeps them.
#[derive(Clone, Debug)]
pub struct ZooKeeper(Arc<Ensemble>);

/// Why a text names no servers.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadServers {
    /// There is none.
    #[error("no ZooKeeper server is named; expected host:port,host:port")]
    Empty,
    /// One has no port, or is no address at all.
    #[error("'{0}' is no ZooKeeper server; expected host:port")]
    NoAddress(String),
}

impl ZooKeeper {
    /// The ensemble of these servers, `host:port,host:port`, of which everything below `root` is the service's tree. Nothing
    /// is connected to before a session is opened; that makes the root, and what is above it, if it is missing.
    ///
    /// # Errors
    /// [`BadServers`]
    pub fn new(servers: &str, root: Path) -> Result<ZooKeeper, BadServers> {
        let servers: Vec<&str> = servers.split(',').map(str::trim).filter(|server| !server.is_empty()).collect();
        if servers.is_empty() {
            return Err(BadServers::Empty);
        }
        let is_address = |server: &str| {
            let port = server.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains('/'));
            port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port != 0))
        };
        if let Some(bad) = servers.iter().find(|server| !is_address(server)) {
            return Err(BadServers::NoAddress((*bad).into()));
        }
        Ok(ZooKeeper(Arc::new(Ensemble { servers: servers.join(","), root })))
    }
}

impl Service for ZooKeeper {
    fn open(&self, timeout: Duration) -> Answer<'_, Box<dyn Session>> {
        Box::pin(async move {
            let called = clock::since_boot();
            let timeout = timeout.clamp(TIMEOUT_MIN, TIMEOUT_MAX);
            let failed = |error| self.0.unreachable(&error);
            let client = self.0.connect(self.0.connector(timeout).with_detached()).await.map_err(failed)?;
            self.0.make_root(&client).await.map_err(failed)?;
            let client = self.0.below_root(client).map_err(failed)?;
            let link = Keeper::start(self.0.clone(), client);
            Ok(Box::new(ZooKeeperSession::new(link, called)) as Box<dyn Session>)
        })
    }
}

/// Where the servers are, and what of their tree is ours.
#[derive(Debug)]
struct Ensemble {
    servers: String,
    root: Path,
}

impl Ensemble {
    /// All servers can be tried while the session lives, and the caller hears of it if none answers. It is also how long a server that the
    /// session is connected to may be silent.
    fn connector(&self, timeout: Duration) -> zk::Connector {
        let servers = self.servers.split(',').count();
        let per_server = timeout.div_f64(servers as f64 + 1.0).min(SERVER_TIMEOUT_MAX);
        zk::Client::connector().with_session_timeout(timeout).with_connection_timeout(per_server)
    }

    /// Tries each server once.
    async fn connect(&self, connector: zk::Connector) -> Result<zk::Client, zk::Error> {
        connector.with_fail_eagerly().connect(&self.servers).await
    }

    async fn make_root(&self, client: &zk::Client) -> Result<(), zk::Error> {
        if self.root.is_root() || client.check_stat(self.root.as_str()).await?.is_some() {
            return Ok(());
        }
        client.mkdir(self.root.as_str(), &zk::CreateMode::Persistent.with_acls(zk::Acls::anyone_all())).await
    }

    fn below_root(&self, client: zk::Client) -> Result<zk::Client, zk::Error> {
        let refused = |_| zk::Error::BadArguments(&"ZooKeeper's client refuses the root as a path");
        client.chroot(self.root.as_str()).map_err(refused)
    }

    /// Nothing was changed, for this reason.
    fn unreachable(&self, cause: &dyn std::fmt::Display) -> Error {
        Error::ConnectionLoss { cause: self.cause(cause) }
    }

    fn cause(&self, cause: &dyn std::fmt::Display) -> String {
        format!("ZooKeeper at {}: {cause}", self.servers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses() {
        let new = |servers| ZooKeeper::new(servers, Path::root()).map(|service| service.0.servers.clone());
        assert_eq!(new("a:1, [::1]:2181,"), Ok("a:1,[::1]:2181".into()));
        assert_eq!(new(" ,"), Err(BadServers::Empty));
        for bad in ["a", "a:", ":1", "a:0", "a:65536", "a:1/kv", "tcp://a:1"] {
            assert_eq!(new(bad), Err(BadServers::NoAddress(bad.into())));
        }
    }

    #[tokio::test]
    async fn servers_that_do_not_answer_are_named() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let service = ZooKeeper::new(&address, Path::root()).unwrap();
        let Err(error) = service.open(Duration::from_secs(1)).await else { panic!("nobody listens there") };
        assert!(error.retryable() && error.to_string().contains(&address), "{error}");
    }

    #[tokio::test]
    async fn silent_servers_are_all_tried_within_the_timeout() {
        let silent = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = silent.each_ref().map(|listener| listener.local_addr().unwrap().to_string()).join(",");
        let (service, timeout) = (ZooKeeper::new(&addresses, Path::root()).unwrap(), Duration::from_secs(4));
        let in_time = tokio::time::timeout(timeout * 9 / 10, service.open(timeout));
        let opened = in_time.await.expect("an answer before the timeout");
        let Err(error) = opened else { panic!("nobody answers there") };
        assert!(error.retryable() && error.to_string().contains(&addresses), "{error}");
        for listener in silent {
            listener.set_nonblocking(true).unwrap();
            listener.accept().expect("it was tried");
        }
    }
}
