//! The library for applications.
//!
//! A [`Client`] learns from any one node who owns what, and from then on sends each key straight to an owner. It keeps one
//! connection per node, on which all its clones pipeline: whatever is asked while a frame is being written travels together in the next.
//!
//! ```
//! # #[cfg(feature = "server")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use kv::client::Client;
//!
//! let servers = ["localhost:8000", "localhost:8001", "localhost:8002"];
//! # let cluster = kv::testing::Cluster::start(3).await?;
//! # let servers = cluster.servers();
//! let client = Client::connect(servers).await?;
//! client.put("foo", "bar").w(3).await?;
//! let read = client.get("foo").r(2).await?;
//! assert_eq!(read.value().map(|v| &v[..]), Some(&b"bar"[..]));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "server"))]
//! # fn main() {}
//! ```
//!
//! # A request's way
//!
//! 1. An operation is described ([`Get`], [`Put`], [`Delete`]) and awaited.
//! 2. The topology picks the node: the key's favourite owner, another one if that is down or slow, then anybody.
//! 3. The link to that node queues the call (bounded; a full queue is waited for), writes it with everything else that is queued, and
//!    completes it when the answer comes.
//! 4. What came of it is judged: a result, a reason to ask elsewhere, to learn the ring again, or to wait.
//!
//! # What is tried again
//!
//! Reads, freely. Writes, only if surely nothing was done: not a byte was sent, or the node said so. A write whose
//! connection broke after it was sent ends in [`ClientError::OutcomeUnknown`]: it may take effect. Read the key, then decide.
//!
//! # Nodes that do not answer
//!
//! A refused or broken connection turns requests to other nodes at once. A node that is stopped, or behind a network
//! that swallows everything, is told by its silence: as long as it owes answers it is pinged, and after a second without a sign of life
//! ([`Builder::dead_after`]) its connection is closed. A read that waits for 200 ms on a node that does answer pings is also
//! sent to another one.
//!
//! # Listing
//!
//! [`Client::keys`] and [`Client::entries`] go through a bucket page by page, each live key once, also while nodes come and go. Nothing but
//! the place is kept in between, here and in the nodes.
//!
//! What it does not do: it keeps no cache, resolves no conflict, and promises no order between requests that are in flight together.

mod answer;
mod batch;
mod builder;
mod context;
mod dispatch;
mod error;
mod link;
mod list;
mod operation;
mod retry;
pub mod servers;
mod topology;
mod tree;

use std::sync::Arc;

use tokio::time::Instant;

pub use answer::{Read, Written};
pub use builder::Builder;
pub use context::{BadContext, Context};
pub use error::ClientError;
pub use list::{Entry, Listing, Page};
pub use operation::{Answering, Delete, Get, Put};

pub use crate::core::bucket::{BlindWrite, QuorumSize};
pub use crate::core::request::{Failure, Value};

use crate::core::id::NodeId;
use crate::wire::report::{Inspect, Inspection, RingReport};

/// An application's access to a cluster. Clones share the connections; the last one to go closes them.
///
/// Made and used inside a tokio runtime; its connections live on the runtime that made it.
#[derive(Clone)]
pub struct Client {
    topology: Arc<topology::Topology>,
}

impl Client {
    /// Connects with the defaults of [`Builder`] to the cluster that these servers, `host:port`, belong to.
    ///
    /// # Errors
    /// As [`Builder::connect`].
    pub async fn connect<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> Result<Client, ClientError> {
        Client::builder().servers(servers).connect().await
    }

    /// Begins a client with other settings than the default.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The ring and the buckets, as they are known now.
    pub fn ring(&self) -> Arc<RingReport> {
        self.topology.view().report.clone()
    }

    /// Asks one node for a report; for tools.
    ///
    /// # Errors
    /// [`ClientError::UnknownNode`] if not even a ring that was just asked for knows it, [`ClientError::Connect`] if it cannot be reached.
    pub async fn inspect(&self, node: NodeId, what: Inspect) -> Result<Inspection, ClientError> {
        let timeout = self.topology.settings().timeout;
        let link = self.topology.node(node, Instant::now() + timeout).await?;
        dispatch::inspect(&link, what, timeout).await
    }

    /// Asks any node for a report.
    pub async fn inspect_any(&self, what: Inspect) -> Result<Inspection, ClientError> {
        dispatch::inspect_any(&self.topology, what).await
    }
}
