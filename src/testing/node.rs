//! A node on a thread of its own.

use std::thread::{self, JoinHandle};

use tokio::sync::{oneshot, watch};

use super::ClusterError;
use crate::api::process::{RunError, run_until};
use crate::api::server::Server;
use crate::config::Config;
use crate::core::id::NodeId;

/// A node that runs. Dropped, it stops in order, which blocks until it has.
pub(super) struct Running {
    node: NodeId,
    started: oneshot::Receiver<()>,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<Result<(), RunError>>,
    /// `None` once it was joined.
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts a node, which may wait for others before it serves.
    pub(super) fn spawn(config: Config) -> Result<Running, ClusterError> {
        let node = config.node.id;
        let (tell_started, started) = oneshot::channel();
        let (stop, stopped) = watch::channel(false);
        let (tell_ended, ended) = oneshot::channel();
        let thread = thread::Builder::new().name(format!("kv-node-{node}")).spawn(move || {
            let mut tell_started = Some(tell_started);
            let started = |_: &Server| _ = tell_started.take().map(|tell| tell.send(()));
            let until = || {
                let mut stopped = stopped.clone();
                async move {
                    // That nobody is left to ask for it means the same.
                    let _ = stopped.wait_for(|stop| *stop).await;
                    Ok(())
                }
            };
            let result = run_until(config, started, until);
            // A cluster that is being dropped does not listen.
            let _ = tell_ended.send(result);
        })?;
        Ok(Running { node, started, stop, ended, thread: Some(thread) })
    }

    /// Waits until it serves, or tells why it ended.
    pub(super) async fn started(&mut self) -> Result<(), ClusterError> {
        if (&mut self.started).await.is_ok() {
            return Ok(());
        }
        let node = self.node;
        match (&mut self.ended).await {
            Ok(Err(source)) => Err(ClusterError::Node { node, source }),
            _ => Err(ClusterError::Panicked(node)),
        }
    }

    pub(super) fn begin_to_stop(&mut self) {
        // It may have ended by itself.
        let _ = self.stop.send(true);
    }

    /// Stops the node and tells how it ended.
    pub(super) async fn stop(mut self) -> Result<(), ClusterError> {
        self.begin_to_stop();
        let node = self.node;
        match (&mut self.ended).await {
            Ok(result) => result.map_err(|source| ClusterError::Node { node, source }),
            Err(_) => Err(ClusterError::Panicked(node)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.begin_to_stop();
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed where it happened.
            let _ = thread.join();
        }
    }
}
