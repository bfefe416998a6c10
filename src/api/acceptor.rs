//! The door: accepts, greets, and passes each connection to whoever will serve it.
//!
//! It opens before the node serves anything, because nodes must hear each other to agree on who they are: until then links
//! of the coordination service pass, and all others are told what the node waits for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::timeout;

use super::native;
use crate::config::NodeLimits;
use crate::core::id::StoreId;
use crate::node::admission::{Admission, Permit};
use crate::node::bootstrap::{Present, Reception};
use crate::node::env::Env;
use crate::node::stats::{Counter, Stats};
use crate::node::{NodeHandle, inbound};
use crate::wire::frame::{self, FrameReader, GREETING};
use crate::wire::handshake::{Hello, Keeper, Refusal, Role, Welcome};
use crate::wire::net::{self, Detached, Listener, Stream};

/// How long to wait after a failure to accept, such as no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// What the door needs to know.
#[derive(Clone)]
pub struct Door {
    /// Who is let in.
    pub reception: Arc<Reception>,
    /// The node, once it serves.
    pub node: watch::Receiver<Option<NodeHandle>>,
    /// Of connections and greetings.
    pub limits: NodeLimits,
    /// What is counted.
    pub stats: Arc<Stats>,
    /// Where connections go.
    pub env: Env,
}

/// Accepts connections until `stop` says so. Applications' connections hold on to `stop` until all that they asked is
/// answered.
pub async fn accept(door: Door, listener: Listener, mut stop: watch::Receiver<bool>) {
    let permits = Admission::new(door.limits.connections_max);
    let next = Arc::new(AtomicU64::new(0));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                door.stats.count(Counter::Connections);
                let greeting = Greeting {
                    door: door.clone(),
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
    door: Door,
    from: SocketAddr,
    permit: Option<Permit>,
    arbiter: usize,
    stop: watch::Receiver<bool>,
}

/// A caller that is let in.
enum Guest {
    Client(NodeHandle),
    Peer { node: NodeHandle, store: StoreId, arbiter: usize, _present: Present },
    Keeper(Keeper),
}

impl Greeting {
    async fn greet(self, stream: Stream) {
        let patience = Duration::from_millis(self.door.limits.handshake_timeout_ms);
        let mut stop = self.stop.clone();
        let greeted = tokio::select! {
            biased;
            // Whoever was not welcomed has asked for nothing yet.
            _ = stop.changed() => return,
            greeted = timeout(patience, self.exchange(stream)) => greeted.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no greeting in {} ms", patience.as_millis())))
            }),
        };
        let (stats, from) = (self.door.stats.clone(), self.from);
        let pass_on = |(guest, stream)| self.pass_on(guest, stream);
        if let Err(error) = greeted.and_then(|greeted| greeted.map(pass_on).transpose()) {
            stats.count(Counter::ConnectionErrors);
            let is_early =
                error.get_ref().is_some_and(|inner| matches!(inner.downcast_ref(), Some(Refusal::Starting { .. })));
            // While the node starts, the others knock again and again.
            let level = if is_early { log::Level::Debug } else { log::Level::Info };
            log::log!(level, "connection from {from} closed: {error}");
        }
    }

    /// Hello and Welcome. `None`: the caller went away without a word, as a port check does.
    async fn exchange(&self, stream: Stream) -> io::Result<Option<(Guest, Stream)>> {
        let mut reader = FrameReader::new(stream, GREETING);
        let (answer, greeted) = match reader.read_one::<Hello>().await {
            Ok(None) => return Ok(None),
            Ok(Some(hello)) => match self.judge(&hello) {
                Ok((welcome, guest)) => (welcome, Ok(guest)),
                Err(refusal) => (Welcome::Refused(refusal.clone()), Err(io::Error::other(refusal))),
            },
            Err(error) => (Welcome::Refused(Refusal::NotKv), Err(error)),
        };
        let mut greeting = BytesMut::new();
        frame::encode(&answer, GREETING.frame_bytes_max, &mut greeting);
        reader.get_mut().write_all(&greeting).await?;
        match greeted {
            Ok(guest) => Ok(Some((guest, reader.into_inner()?))),
            Err(error) => {
                // The refusal is to arrive before the connection ends.
                let _ = reader.get_mut().shutdown().await;
                Err(error)
            }
        }
    }

    fn judge(&self, hello: &Hello) -> Result<(Welcome, Guest), Refusal> {
        let reception = &self.door.reception;
        let name = reception.name();
        let version = hello.agree(name.as_ref().map(|name| name.as_str()))?;
        let ready = || self.door.node.borrow().clone().ok_or_else(|| reception.starting());
        match &hello.role {
            Role::Keeper(other) => {
                reception.judge_caller(other, self.door.env.wall_ms())?;
                let cluster = name.map(|name| name.to_string()).unwrap_or_default();
                Ok((Welcome::Keeper { version, cluster, keeper: reception.me() }, Guest::Keeper(other.clone())))
            }
            Role::Peer { cluster, start, callee, arbiter, .. } => {
                reception.judge_peer(*cluster, *start)?;
                let node = ready()?;
                if *callee != node.start.store {
                    return Err(Refusal::Store { node: node.config.node.id, store: node.start.store });
                }
                if node.ring.load().ring.member(start.store).is_none() {
                    return Err(Refusal::NotAMember { store: start.store });
                }
                let _present = reception.enter(*start, &self.from.to_string())?;
                let welcome = accepted(version, &node);
                Ok((welcome, Guest::Peer { node, store: start.store, arbiter: *arbiter as usize, _present }))
            }
            Role::Client { .. } => {
                if self.permit.is_none() {
                    return Err(Refusal::TooManyConnections { limit: self.door.limits.connections_max });
                }
                let node = ready()?;
                Ok((accepted(version, &node), Guest::Client(node)))
            }
        }
    }

    fn pass_on(self, guest: Guest, stream: Stream) -> io::Result<()> {
        let Greeting { door, from, permit, arbiter, stop } = self;
        let stream = net::detach(stream)?;
        let arbiter = match &guest {
            Guest::Peer { arbiter, .. } => *arbiter,
            _ => arbiter,
        } % door.env.arbiters();
        let env = door.env.clone();
        env.spawn(arbiter, move || async move {
            // Taken for as long as the connection is open.
            let _permit = permit;
            if let Err(error) = serve(&door, guest, arbiter, stream, stop).await {
                door.stats.count(Counter::ConnectionErrors);
                log::info!("connection from {from} closed: {error}");
            }
        });
        Ok(())
    }
}

/// Serves a connection to its end. An application holds on to `stop`: the node waits for it.
async fn serve(
    door: &Door,
    guest: Guest,
    arbiter: usize,
    stream: Detached,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    match guest {
        Guest::Client(node) => native::serve(node, arbiter, stream.attach()?, stop).await,
        Guest::Peer { node, store, _present, .. } => {
            drop(stop);
            inbound::serve(node, arbiter, store, stream.attach()?).await
        }
        Guest::Keeper(keeper) => {
            drop(stop);
            door.reception.serve(keeper, stream, door.env.wall_ms()).await
        }
    }
}

fn accepted(version: u16, node: &NodeHandle) -> Welcome {
    let limits = &node.config.node.limits;
    Welcome::Accepted {
        version,
        cluster: node.config.cluster.name.clone(),
        node: node.config.node.id,
        store: node.start.store,
        frame_bytes_max: limits.frame_bytes_max,
        in_flight_max: limits.connection_calls_max,
    }
}
