//! KV: a Dynamo-style replicated key-value store on actix actors.

#[cfg(all(feature = "sim", not(tokio_unstable)))]
compile_error!(
    "the simulation needs RUSTFLAGS=\"--cfg tokio_unstable\": without it a panicking actor is silent and select! is random"
);

pub mod core;
pub mod mutants;
pub mod wire;

#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod coordination;
#[cfg(feature = "server")]
pub mod node;
#[cfg(feature = "server")]
pub mod storage;
#[cfg(feature = "server")]
pub mod testing;
