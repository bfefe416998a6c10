//! A node as a program: storage on disk, real arbiters, signals.

use std::sync::Arc;

use actix_rt::System;
use tokio::signal::unix::{SignalKind, signal};

use super::server::{ServeError, Server};
use crate::config::{Config, EngineKind};
use crate::coordination::StaticList;
use crate::core::id::{ClusterId, Start, StoreId};
use crate::node::env::Env;
use crate::node::{StartError, Store};
use crate::storage::directory::Expected;
use crate::storage::memory::MemoryDisk;
use crate::storage::open::OpenStore;
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

/// What is open while a node runs and closed after it.
enum Opened {
    Disk(OpenStore),
    Memory,
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
    let (store, opened) = open(&config)?;
    let result = System::new().block_on(async {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let arbiters = match config.node.arbiters {
            0 => cores,
            arbiters => arbiters as usize,
        };
        let env = Env::real(arbiters);
        let coordination = Box::new(StaticList::new(&config.cluster));
        let result = match Server::start(Arc::new(config), store, coordination, env.clone()).await {
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
    match opened {
        Opened::Disk(store) => store.close().map_err(RunError::Storage).and(result),
        Opened::Memory => result,
    }
}

fn open(config: &Config) -> Result<(Store, Opened), StorageError> {
    let id = StoreId::of_static_node(&config.cluster.name, config.node.id);
    let settings = &config.node.storage;
    // A static list makes no cluster id, and tells no copy from its original.
    let (cluster, nonce) = (ClusterId::default(), 0);
    if settings.engine == EngineKind::Memory {
        let engine = Arc::new(MemoryDisk::new().open());
        let store =
            Store { cluster, start: Start { store: id, number: 1, nonce }, engine, free_space: Box::new(|| None) };
        return Ok((store, Opened::Memory));
    }
    let expected = Expected {
        cluster: config.cluster.name.clone(),
        node: config.node.id,
        store: id,
        engine: settings.engine.to_string(),
    };
    let fjall =
        storage::fjall::Settings { cache_bytes: settings.blocks_bytes(), reserve_bytes: settings.disk_free_bytes_min };
    let opened = storage::open::open(&config.node.data_dir, &expected, &fjall)?;
    if opened.discarded_bytes > 0 {
        log::warn!(
            "recovery dropped {} bytes of journal that no sync had confirmed, or that are damaged",
            opened.discarded_bytes
        );
    }
    if !opened.directory.was_clean() && opened.directory.start() > 1 {
        log::info!("the last stop was not orderly; recovered from the journal");
    }
    let path = config.node.data_dir.clone();
    let store = Store {
        cluster,
        start: Start { store: id, number: opened.directory.start(), nonce },
        engine: opened.engine.clone(),
        free_space: Box::new(move || storage::disk::free_bytes(&path).ok()),
    };
    Ok((store, Opened::Disk(opened)))
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> RunError {
        RunError::Serve(error.into())
    }
}
