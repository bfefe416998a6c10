//! A node with its doors open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::acceptor;
use crate::config::Config;
use crate::coordination::Coordination;
use crate::node::env::Env;
use crate::node::lease::Lease;
use crate::node::{Node, StartError, Store};
use crate::wire::net::Listener;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("{0}")]
    Listen(#[from] crate::config::ListenError),
    /// The node did not start.
    #[error(transparent)]
    Node(#[from] StartError),
}

/// A node that serves.
pub struct Server {
    /// The node.
    pub node: Node,
    address: io::Result<SocketAddr>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Takes the port, starts the node, then opens the door.
    pub async fn start(
        config: Arc<Config>,
        store: Store,
        coordination: Box<dyn Coordination>,
        env: Env,
        lease: Lease,
    ) -> Result<Server, ServeError> {
        let listen = &config.node.listen;
        let listener = Listener::bind(listen).await.map_err(|error| crate::config::ListenError::new(listen, error))?;
        let address = listener.local_addr();
        let node = Node::start(config, store, coordination, env, lease).await?;
        let (stop, stopped) = watch::channel(false);
        actix_rt::spawn(acceptor::accept(node.handle.clone(), listener, stopped));
        Ok(Server { node, address, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.as_ref().ok().copied()
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
