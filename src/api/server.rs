//! A node with its doors open.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::acceptor::{self, Door};
use crate::config::{Config, ListenError};
use crate::coordination::api::Service;
use crate::node::bootstrap::{Bootstrap, BootstrapError, Ending, SharedHome};
use crate::node::env::Env;
use crate::node::stats::Stats;
use crate::node::{Node, StartError};
use crate::wire::net::Listener;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// The node does not become a member of a cluster.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The node did not start.
    #[error(transparent)]
    Node(#[from] StartError),
}

impl ServeError {
    /// Why the node cannot go on as it is, if that is why it did not start; otherwise the error.
    ///
    /// # Errors
    /// It.
    pub fn ending(self) -> Result<Ending, ServeError> {
        match self {
            ServeError::Bootstrap(BootstrapError::Ended(ending)) | ServeError::Node(StartError::Ended(ending)) => {
                Ok(ending)
            }
            error => Err(error),
        }
    }
}

/// A node that serves.
pub struct Server {
    /// The node.
    pub node: Node,
    address: io::Result<SocketAddr>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Takes the port and opens the door, makes the node a member of its cluster, and starts it. That may take as long as it
    /// takes to find the others: whoever gives up before drops this future.
    ///
    /// The coordination service is that of the configuration, unless another one is `given`.
    pub async fn start(
        config: Config,
        home: SharedHome,
        given: Option<Arc<dyn Service>>,
        env: Env,
    ) -> Result<Server, ServeError> {
        let listen = &config.node.listen;
        let listener = Listener::bind(listen).await.map_err(|error| ListenError::new(listen, error))?;
        let address = listener.local_addr();
        let (limits, stats) = (config.node.limits.clone(), Arc::new(Stats::default()));
        let bootstrap = Bootstrap::new(config, home.clone(), env.clone())?;
        let reception = bootstrap.reception();
        let (serves, node) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let door = Door { reception: reception.clone(), node, limits, stats: stats.clone(), env: env.clone() };
        actix_rt::spawn(acceptor::accept(door, listener, stopped));
        let citizen = bootstrap.run(given).await?;
        let node = Node::start(citizen, home, reception, stats, env).await?;
        serves.send_replace(Some(node.handle.clone()));
        Ok(Server { node, address, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.as_ref().ok().copied()
    }

    /// Resolves when the node cannot go on as it is.
    pub fn ended(&self) -> impl Future<Output = Ending> + use<> {
        self.node.ended()
    }

    /// Closes the door, answers what applications have asked, or gives up after `drain_timeout_ms`, then stops the
    /// node.
    pub async fn stop(self) {
        let patience = Duration::from_millis(self.node.handle.config.node.timing.drain_timeout_ms);
        // Nobody listens if the acceptor has ended, which is as good.
        let _ = self.stop.send(true);
        if tokio::time::timeout(patience, self.stop.closed()).await.is_err() {
            log::warn!("applications still wait for answers after {} ms; they are given up", patience.as_millis());
        }
        self.node.stop().await;
    }
}
