//! A node as a program: storage on disk, real arbiters, signals.

use std::sync::Arc;

use actix_rt::System;
use tokio::signal::unix::{SignalKind, signal};

use super::server::{ServeError, Server};
use crate::config::{Config, EngineKind};
use crate::coordination::StaticList;
use crate::core::id::{ClusterId, Start, StoreId};
use crate::node::env::Env;
use crate::node::lease::Lease;
use crate::node::{StartError, Store};
use crate::storage::home::disk::DiskHome;
use crate::storage::home::memory::MemoryDirectory;
use crate::storage::home::{Home, Joined};
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
    Signals(#[from] std::io::Error),
}

/// Runs a node until SIGTERM or SIGINT.
pub fn run(config: Config) -> Result<(), RunError> {
    run_until(config, |_| (), async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let name = tokio::select! {
            biased;
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        log::info!("{name}: stopping");
        Ok(())
    })
}

/// Runs a node until `stop`, telling `started` when its door is open. Blocks.
pub fn run_until(
    config: Config,
    started: impl FnOnce(&Server),
    stop: impl Future<Output = std::io::Result<()>>,
) -> Result<(), RunError> {
    let mut home = open(&config)?;
    let store = store_of(home.as_mut())?;
    let result = System::new().block_on(async {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let arbiters = match config.node.arbiters {
            0 => cores,
            arbiters => arbiters as usize,
        };
        let env = Env::real(arbiters);
        let coordination = Box::new(StaticList::new(&config.cluster));
        // A static list never changes.
        let lease = Lease::unending();
        let result = match Server::start(Arc::new(config), store, coordination, env.clone(), lease).await {
            Ok(server) => {
                if let Some(address) = server.address() {
                    log::info!("serving on {address} with {arbiters} arbiter(s)");
                }
                started(&server);
                let stopped = stop.await;
                server.stop().await;
                stopped.map_err(RunError::Signals)
            }
            Err(error) => Err(error.into()),
        };
        env.stop_arbiters();
        result
    });
    // With the system all actors are gone, and with them all handles on the engine but this one.
    home.close().map_err(RunError::Storage).and(result)
}

fn open(config: &Config) -> Result<Box<dyn Home>, StorageError> {
    let id = StoreId::of_static_node(&config.cluster.name, config.node.id);
    let settings = &config.node.storage;
    let mut home: Box<dyn Home> = match settings.engine {
        EngineKind::Memory => Box::new(MemoryDirectory::default().open(id)),
        EngineKind::Fjall => {
            let fjall = storage::fjall::Settings {
                cache_bytes: settings.blocks_bytes(),
                reserve_bytes: settings.disk_free_bytes_min,
            };
            Box::new(DiskHome::open(
                &config.node.data_dir,
                Some(config.cluster.name.clone()),
                Some(config.node.id),
                fjall,
                id,
            )?)
        }
    };
    // In a static list every node names every store by itself.
    let (name, node) = (config.cluster.name.clone(), config.node.id);
    home.adopt(Joined { cluster: ClusterId::default(), name, node }, id)?;
    Ok(home)
}

fn store_of(home: &mut dyn Home) -> Result<Store, StorageError> {
    // A static list makes no cluster id, and tells no copy from its original.
    let (cluster, nonce) = (ClusterId::default(), 0);
    let start = Start { store: home.identity().store, number: home.identity().start, nonce };
    Ok(Store { cluster, start, engine: home.open_engine()?, free_space: home.free_space() })
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> RunError {
        RunError::Serve(error.into())
    }
}
