//! A node as a program: a home on disk, real arbiters, signals.
//!
//! A node may learn that it cannot go on as it is: its store was rolled back, or the coordination service was recovered by
//! force while it was away. Then it stops in order, its home is made ready, and it begins again in the same process. One that left the
//! cluster has done its work: the program ends without an error, so that whoever watches over it does not start it again.

use std::io;
use std::sync::{Arc, Mutex};

use actix_rt::System;
use rand::{Rng, TryRngCore};
use tokio::signal::unix::{SignalKind, signal};

use super::server::{ServeError, Server};
use crate::config::{Config, EngineKind};
use crate::core::id::{NodeId, StoreId};
use crate::node::bootstrap::{Ending, SharedHome};
use crate::node::env::Env;
use crate::storage::home::Home;
use crate::storage::home::disk::DiskHome;
use crate::storage::home::memory::MemoryDirectory;
use crate::storage::{self, StorageError};

/// Why the program ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Signals cannot be heard.
    #[error("cannot listen to signals: {0}")]
    Signals(#[from] io::Error),
    /// The node cannot go on, and cannot help itself.
    #[error(transparent)]
    Ended(#[from] Ending),
}

/// Runs a node until SIGTERM or SIGINT, or until it has left the cluster.
pub fn run(config: Config) -> Result<(), RunError> {
    run_until(
        config,
        |_| (),
        || async {
            let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let name = tokio::select! {
                biased;
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            log::info!("{name}: stopping");
            Ok(())
        },
    )
}

/// Runs a node until `stop`, telling `started` when it serves. Blocks. Both may be called again, if the node begins again.
pub fn run_until<F: Future<Output = io::Result<()>>>(
    config: Config,
    mut started: impl FnMut(&Server),
    mut stop: impl FnMut() -> F,
) -> Result<(), RunError> {
    loop {
        let home: SharedHome = Arc::new(Mutex::new(open(&config)?));
        let result = System::new().block_on(serve(&config, &home, &mut started, stop()));
        // With the system all actors are gone, and with them all handles on the home and its engine but this one.
        let home = Arc::into_inner(home).map(|home| home.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()));
        let Some(mut home) = home else {
            log::warn!("the data directory is still in use; it is left as by a crash");
            return result.map(|_| ());
        };
        match result {
            Ok(Some(ending)) => {
                ending.tell();
                match (ending.make_ready(&mut *home, draw())?, ending) {
                    (true, _) => home.close()?,
                    (false, Ending::Left { .. }) => return Ok(home.close()?),
                    (false, ending) => return Err(ending.into()),
                }
            }
            Ok(None) => return Ok(home.close()?),
            Err(error) => return home.close().map_err(RunError::Storage).and(Err(error)),
        }
    }
}

/// Serves until `stop`; answers why, if the node ended by itself.
async fn serve(
    config: &Config,
    home: &SharedHome,
    started: &mut impl FnMut(&Server),
    stop: impl Future<Output = io::Result<()>>,
) -> Result<Option<Ending>, RunError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let arbiters = match config.node.arbiters {
        0 => cores,
        arbiters => arbiters as usize,
    };
    let env = Env::real(arbiters);
    let mut stop = std::pin::pin!(stop);
    let result = tokio::select! {
        biased;
        stopped = &mut stop => stopped.map(|()| None).map_err(RunError::Signals),
        server = Server::start(config.clone(), home.clone(), None, env.clone()) => match server {
            Ok(server) => {
                if let Some(address) = server.address() {
                    log::info!("serving on {address} with {arbiters} arbiter(s)");
                }
                started(&server);
                let result = tokio::select! {
                    biased;
                    stopped = &mut stop => stopped.map(|()| None).map_err(RunError::Signals),
                    ending = server.ended() => Ok(Some(ending)),
                };
                server.stop().await;
                result
            }
            Err(error) => error.ending().map(Some).map_err(RunError::Serve),
        },
    };
    env.stop_arbiters();
    result
}

fn open(config: &Config) -> Result<Box<dyn Home>, StorageError> {
    if config.node.storage.engine == EngineKind::Memory {
        return Ok(Box::new(MemoryDirectory::default().open(draw())));
    }
    Ok(Box::new(open_disk(config)?))
}

/// Opens the data directory of a node that keeps one.
pub(super) fn open_disk(config: &Config) -> Result<DiskHome, StorageError> {
    let settings = &config.node.storage;
    let cluster = (!config.node.joins()).then(|| config.cluster.name.clone());
    let node = (config.node.id != NodeId(0)).then_some(config.node.id);
    let fjall =
        storage::fjall::Settings { cache_bytes: settings.blocks_bytes(), reserve_bytes: settings.disk_free_bytes_min };
    DiskHome::open(&config.node.data_dir, cluster, node, fjall, draw())
}

/// A store id that nobody has.
fn draw() -> StoreId {
    StoreId(rand::rngs::OsRng.unwrap_err().random())
}
