//! How a client is made.

use std::sync::Arc;
use std::time::Duration;

use super::topology::Topology;
use super::{Client, ClientError, servers};

/// What a [`Builder`] collects.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub servers: Vec<String>,
    pub cluster: Option<String>,
    pub name: String,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub dead_after: Duration,
    pub retries: u32,
    pub seed: Option<u64>,
}

/// Makes a [`Client`].
///
/// ```no_run
/// # async fn example() -> Result<(), kv::client::ClientError> {
/// use std::time::Duration;
///
/// use kv::client::Client;
///
/// let client = Client::builder()
///     .servers(["localhost:8000", "localhost:8001"])
///     .cluster("shop")
///     .timeout(Duration::from_secs(2))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until connect"]
pub struct Builder(Settings);

impl Default for Builder {
    fn default() -> Builder {
        Builder(Settings {
            servers: Vec::new(),
            cluster: None,
            name: env!("CARGO_PKG_NAME").into(),
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(1),
            dead_after: Duration::from_secs(1),
            retries: 3,
            seed: None,
        })
    }
}

impl Builder {
    /// Adds nodes from which the ring can be learnt, as `host:port` or `1|host:port`. One that lives is enough.
    pub fn servers<S: Into<String>>(mut self, servers: impl IntoIterator<Item = S>) -> Builder {
        self.0.servers.extend(servers.into_iter().map(S::into));
        self
    }

    /// The cluster that it must be; a node of another one refuses the connection. By default the first that answers.
    pub fn cluster(mut self, name: impl Into<String>) -> Builder {
        self.0.cluster = Some(name.into());
        self
    }

    /// A short name for the logs of the nodes.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.0.name = name.into();
        self
    }

    /// How long a request may take, with all its retries, unless it says so itself; 5 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.0.timeout = timeout;
        self
    }

    /// How long connecting to one node may take, greeting included; 1 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Builder {
        self.0.connect_timeout = timeout;
        self
    }

    /// A node that owes an answer and sends nothing for so long, not even the answer to a ping, counts as dead; 1 s by
    /// default. Raise it for slow or far links.
    pub fn dead_after(mut self, silence: Duration) -> Builder {
        self.0.dead_after = silence.max(Duration::from_millis(10));
        self
    }

    /// How often a request is tried again when surely nothing was done; 3 by default. Asking the next node when one cannot be
    /// reached is no retry; asking all of them once more is. Waiting for an overloaded node is bounded by the timeout alone.
    pub fn retries(mut self, retries: u32) -> Builder {
        self.0.retries = retries;
        self
    }

    /// Seed of everything that is random here, pauses between retries and dials: a simulation hands in its own.
    pub fn seed(mut self, seed: u64) -> Builder {
        self.0.seed = Some(seed);
        self
    }

    /// Learns the ring and returns the client.
    ///
    /// # Errors
    /// [`ClientError::Servers`] for an address that is none; [`ClientError::Connect`] if no node shows its ring in time.
    pub async fn connect(self) -> Result<Client, ClientError> {
        let mut settings = self.0;
        let list = settings.servers.join(",");
        settings.servers = servers::parse(&list)?.into_iter().map(|server| server.address).collect();
        Ok(Client { topology: Arc::new(Topology::discover(settings).await?) })
    }
}
