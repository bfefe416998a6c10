//! The task behind a link: dial, greet, carry calls, and begin again.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::flight::Flight;
use super::health::Health;
use super::{Queued, Told};
use crate::wire::frame::{self, FrameLimits, FrameReader, GREETING};
use crate::wire::handshake::{Hello, Role, Welcome};
use crate::wire::message::{ToClient, ToNode};
use crate::wire::net::{self, Stream};

/// A batch is closed when it has so many bytes: a large value does not wait for more, and a small one not behind many.
const BATCH_BYTES: usize = 256 << 10;
/// A write buffer that grew beyond this is given back.
const BUFFER_KEPT: usize = 1 << 20;
/// First pause between dials in the background; it doubles up to the longest.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Longest pause between dials in the background.
const BACKOFF_LONGEST: Duration = Duration::from_secs(2);
/// How often silence is looked at, as a part of the silence that ends a connection.
const WATCHES: u32 = 5;
/// An idle connection is pinged when nothing was heard for so long; a node closes one that is idle for longer.
const IDLE_PING: Duration = Duration::from_secs(5);

/// How a link dials and when it gives up.
#[derive(Clone)]
pub(crate) struct Dialling {
    /// The program's name, for the node's log.
    pub name: String,
    /// The cluster it must be; set when it is learnt if the application left it open.
    pub cluster: Arc<OnceLock<String>>,
    /// For dialling and greeting together.
    pub connect_timeout: Duration,
    /// Silence in spite of pings that ends a connection.
    pub dead_after: Duration,
    /// Of the pauses between dials.
    pub seed: u64,
}

/// Lives until the last handle on the queue is gone.
pub(super) async fn run(address: String, dialling: Dialling, mut queue: mpsc::Receiver<Queued>, health: Arc<Health>) {
    let mut rng = SmallRng::seed_from_u64(dialling.seed);
    let mut pause: Option<Duration> = None;
    loop {
        let first = tokio::select! {
            biased;
            call = queue.recv() => match call {
                Some(call) => Some(call),
                None => return,
            },
            () = sleep(jittered(pause.unwrap_or_default(), &mut rng)), if pause.is_some() => None,
        };
        match dial(&address, &dialling).await {
            Ok(connection) => {
                health.up();
                pause = Some(BACKOFF_FIRST);
                let Some(reason) = connection.carry(first, &mut queue, &health, dialling.dead_after).await else {
                    return;
                };
                health.down();
                log::info!("connection to {address} ended: {reason}");
                refuse_queued(&mut queue, &reason);
            }
            Err(reason) => {
                health.down();
                log::debug!("cannot connect to {address}: {reason}");
                pause = Some(pause.map_or(BACKOFF_FIRST, |p| (p * 2).min(BACKOFF_LONGEST)));
                first.into_iter().for_each(|call| call.refuse(&reason));
                refuse_queued(&mut queue, &reason);
            }
        }
    }
}

/// What was not sent goes elsewhere now, not after the next dial.
fn refuse_queued(queue: &mut mpsc::Receiver<Queued>, reason: &str) {
    while let Ok(call) = queue.try_recv() {
        call.refuse(reason);
    }
}

/// Between half of it and all of it, so that many clients do not dial a returning node in one moment.
fn jittered(pause: Duration, rng: &mut SmallRng) -> Duration {
    pause.mul_f64(rng.random_range(0.5..1.0))
}

struct Connection {
    reader: FrameReader<Listening>,
    writer: WriteHalf<Stream>,
    flight: Arc<Flight>,
    frame_bytes_max: u32,
}

async fn dial(address: &str, dialling: &Dialling) -> Result<Connection, String> {
    match timeout(dialling.connect_timeout, greet(address, dialling)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no greeting within {} ms", dialling.connect_timeout.as_millis())),
    }
}

async fn greet(address: &str, dialling: &Dialling) -> io::Result<Connection> {
    let (read, mut writer) = tokio::io::split(net::connect(address).await?);
    let hello = Hello::new(dialling.cluster.get().cloned(), Role::Client { name: dialling.name.clone() });
    let mut out = BytesMut::new();
    frame::encode(&hello, GREETING.frame_bytes_max, &mut out);
    writer.write_all(&out).await?;
    let flight = Arc::new(Flight::new());
    let mut reader = FrameReader::new(Listening { read, flight: flight.clone() }, GREETING);
    match reader.read_one().await? {
        None => Err(io::Error::other("it closed the connection without a greeting")),
        Some(Welcome::Refused(refusal)) => Err(io::Error::other(refusal)),
        Some(Welcome::Keeper { .. }) => Err(io::Error::other("it answers as to another node")),
        Some(Welcome::Accepted { frame_bytes_max, in_flight_max, .. }) => {
            let limits = FrameLimits::default();
            reader.set_limits(FrameLimits { frame_bytes_max: frame_bytes_max.max(limits.frame_bytes_max), ..limits });
            flight.open(in_flight_max);
            Ok(Connection { reader, writer, flight, frame_bytes_max: frame_bytes_max.max(1) })
        }
    }
}

impl Connection {
    /// Carries calls until the connection breaks, and tells why it did; `None` when nobody has a handle any more.
    async fn carry(
        self,
        first: Option<Queued>,
        queue: &mut mpsc::Receiver<Queued>,
        health: &Health,
        dead_after: Duration,
    ) -> Option<String> {
        let Connection { reader, writer, flight, frame_bytes_max } = self;
        let reason = tokio::select! {
            biased;
            end = read(reader, &flight, health) => Some(end),
            silence = watch(&flight, dead_after) => Some(silence),
            end = write(writer, frame_bytes_max, first, queue, &flight) => end,
        };
        flight.lose_all(reason.as_deref().unwrap_or("the client closed"));
        reason
    }
}

/// Completes calls until the connection ends.
async fn read(mut reader: FrameReader<Listening>, flight: &Flight, health: &Health) -> String {
    let mut frames: Vec<Bytes> = Vec::new();
    loop {
        match reader.read(&mut frames).await {
            Ok(true) => {}
            Ok(false) => return flight.goodbye().unwrap_or_else(|| "the node closed the connection".into()),
            Err(error) => return error.to_string(),
        }
        for frame in frames.drain(..) {
            let messages: Vec<ToClient> = match frame::decode(&frame) {
                Ok(messages) => messages,
                Err(error) => return error.to_string(),
            };
            for message in messages {
                match message {
                    ToClient::Answer { id, epoch, result } => flight.complete(id, Told::Answer { epoch, result }),
                    ToClient::Shown { id, result } => flight.complete(id, Told::Shown(result)),
                    ToClient::Tree { id, result } => flight.complete(id, Told::Tree(result)),
                    ToClient::Listed { id, epoch, result } => flight.complete(id, Told::Listed { epoch, result }),
                    ToClient::Pong(_) => flight.pong(),
                    ToClient::Goodbye(reason) => {
                        health.down();
                        flight.say_goodbye(reason);
                    }
                }
            }
        }
    }
}

/// Ends when something is awaited and nothing was heard for `dead_after`.
async fn watch(flight: &Flight, dead_after: Duration) -> String {
    loop {
        sleep(dead_after / WATCHES).await;
        if flight.silence() >= dead_after {
            return format!("nothing was heard for {} ms", dead_after.as_millis());
        }
        flight.want_ping(IDLE_PING);
    }
}

/// Writes what is queued, as much at once as there is. `None`: nobody has a handle, and so nobody waits, any more.
async fn write(
    mut writer: WriteHalf<Stream>,
    frame_bytes_max: u32,
    first: Option<Queued>,
    queue: &mut mpsc::Receiver<Queued>,
    flight: &Flight,
) -> Option<String> {
    let mut next = first;
    let mut out = BytesMut::new();
    loop {
        if let Some(reason) = flight.goodbye() {
            // The node now knows that it has read everything; should it be gone, so does the reader.
            let _ = writer.shutdown().await;
            // The reader ends this connection; until then callers are sent elsewhere.
            next.take().into_iter().for_each(|call| call.refuse(&reason));
            while let Some(call) = queue.recv().await {
                call.refuse(&reason);
            }
            return None;
        }
        let mut batch: Vec<ToNode> = flight.take_ping().into_iter().collect();
        let mut bytes = 0;
        while bytes < BATCH_BYTES && flight.has_room() {
            let Some(call) = next.take().or_else(|| queue.try_recv().ok()) else { break };
            bytes += call.ask.weight();
            batch.extend(flight.admit(call));
        }
        if !batch.is_empty() {
            frame::encode(&batch, frame_bytes_max, &mut out);
            if let Err(error) = writer.write_all(&out).await {
                return Some(error.to_string());
            }
            out.clear();
            if out.capacity() > BUFFER_KEPT {
                out = BytesMut::new();
            }
            continue;
        }
        tokio::select! {
            biased;
            () = flight.changed.notified() => {}
            call = queue.recv(), if flight.has_room() => next = Some(call?),
        }
    }
}

/// A socket's reading half that notes that something was heard.
struct Listening {
    read: ReadHalf<Stream>,
    flight: Arc<Flight>,
}

impl AsyncRead for Listening {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.read).poll_read(cx, into);
        if into.filled().len() > before {
            self.flight.heard();
        }
        polled
    }
}
