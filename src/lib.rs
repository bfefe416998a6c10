//! KV: a Dynamo-style replicated key-value store on actix actors.

pub mod core;
pub mod wire;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod storage;
