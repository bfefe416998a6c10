//! The door: accepts, greets, and passes each connection to the arbiter that will serve it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::timeout;

use super::native;
use crate::node::admission::{Admission, Permit};
use crate::node::stats::Counter;
use crate::node::{NodeHandle, inbound};
use crate::wire::frame::{self, FrameReader, GREETING};
use crate::wire::handshake::{Hello, Refusal, Role, Welcome};
use crate::wire::net::{self, Listener, Stream};

/// How long to wait after a failure to accept, such as no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `stop` says so. Applications' connections hold on to `stop` until all that they asked is
/// answered.
pub async fn accept(node: NodeHandle, listener: Listener, mut stop: watch::Receiver<bool>) {
    let permits = Admission::new(node.config.node.limits.connections_max);
    let next = std::sync::Arc::new(AtomicU64::new(0));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                node.stats.count(Counter::Connections);
                let greeting = Greeting {
                    node: node.clone(),
                    from,
                    permit: permits.admit(),
                    arbiter: next.fetch_add(1, Ordering::Relaxed) as usize,
                    stop: stop.clone(),
                };
                actix_rt::spawn(greeting.greet(stream));
            }
            Err(error) => {
                log::error!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

struct Greeting {
    node: NodeHandle,
    from: SocketAddr,
    permit: Option<Permit>,
    arbiter: usize,
    stop: watch::Receiver<bool>,
}

impl Greeting {
    async fn greet(self, stream: Stream) {
        let patience = Duration::from_millis(self.node.config.node.limits.handshake_timeout_ms);
        let mut stop = self.stop.clone();
        let greeted = tokio::select! {
            biased;
            // Whoever was not welcomed has asked for nothing yet.
            _ = stop.changed() => return,
            greeted = timeout(patience, self.exchange(stream)) => greeted.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no greeting in {} ms", patience.as_millis())))
            }),
        };
        let (stats, from) = (self.node.stats.clone(), self.from);
        let served = greeted.and_then(|greeted| greeted.map(|(role, stream)| self.pass_on(role, stream)).transpose());
        if let Err(error) = served {
            stats.count(Counter::ConnectionErrors);
            log::info!("connection from {from} closed: {error}");
        }
    }

    /// Hello and Welcome. `None`: the caller went away without a word, as a port check does.
    async fn exchange(&self, stream: Stream) -> io::Result<Option<(Role, Stream)>> {
        let mut reader = FrameReader::new(stream, GREETING);
        let (answer, role) = match reader.read_one::<Hello>().await {
            Ok(None) => return Ok(None),
            Ok(Some(hello)) => match self.judge(&hello) {
                Ok(welcome) => (welcome, Ok(hello.role)),
                Err(refusal) => (Welcome::Refused(refusal.clone()), Err(io::Error::other(refusal))),
            },
            Err(error) => (Welcome::Refused(Refusal::NotKv), Err(error)),
        };
        let mut greeting = BytesMut::new();
        frame::encode(&answer, GREETING.frame_bytes_max, &mut greeting);
        reader.get_mut().write_all(&greeting).await?;
        match role {
            Ok(role) => Ok(Some((role, reader.into_inner()?))),
            Err(error) => {
                // The refusal is to arrive before the connection ends.
                let _ = reader.get_mut().shutdown().await;
                Err(error)
            }
        }
    }

    fn judge(&self, hello: &Hello) -> Result<Welcome, Refusal> {
        let (cluster, limits) = (&self.node.config.cluster, &self.node.config.node.limits);
        let version = hello.agree(&cluster.name)?;
        if let Role::Keeper(_) = &hello.role {
            return Err(Refusal::Starting { reason: "it serves no coordination yet".into() });
        }
        if let Role::Peer { cluster: id, start, callee, .. } = &hello.role {
            if *id != self.node.cluster {
                return Err(Refusal::OtherCluster { id: self.node.cluster });
            }
            if *callee != self.node.start.store {
                return Err(Refusal::Store { node: self.node.config.node.id, store: self.node.start.store });
            }
            if self.node.ring.load().ring.member(start.store).is_none() {
                return Err(Refusal::NotAMember { store: start.store });
            }
        } else if self.permit.is_none() {
            return Err(Refusal::TooManyConnections { limit: limits.connections_max });
        }
        Ok(Welcome::Accepted {
            version,
            cluster: cluster.name.clone(),
            node: self.node.config.node.id,
            store: self.node.start.store,
            frame_bytes_max: limits.frame_bytes_max,
            in_flight_max: limits.connection_calls_max,
        })
    }

    fn pass_on(self, role: Role, stream: Stream) -> io::Result<()> {
        let Greeting { node, from, permit, arbiter, stop } = self;
        let stream = net::detach(stream)?;
        let arbiter = match &role {
            Role::Peer { arbiter, .. } => *arbiter as usize,
            Role::Client { .. } | Role::Keeper(_) => arbiter,
        } % node.env.arbiters();
        let env = node.env.clone();
        env.spawn(arbiter, move || async move {
            // Taken for as long as the connection is open.
            let _permit = permit;
            let stats = node.stats.clone();
            let served = match (stream.attach(), role) {
                (Ok(stream), Role::Peer { start, .. }) => {
                    // Other nodes' links last as long as the node.
                    drop(stop);
                    inbound::serve(node, arbiter, start.store, stream).await
                }
                (Ok(stream), Role::Client { .. }) => native::serve(node, arbiter, stream, stop).await,
                (Ok(_), Role::Keeper(_)) => Ok(()),
                (Err(error), _) => Err(error),
            };
            if let Err(error) = served {
                stats.count(Counter::ConnectionErrors);
                log::info!("connection from {from} closed: {error}");
            }
        });
        Ok(())
    }
}
