//! One connection to a node, greeted.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kv::wire::frame::{self, FrameLimits, FrameReader, GREETING};
use kv::wire::handshake::{Hello, Role, Welcome};
use kv::wire::message::{ToClient, ToNode};
use kv::wire::report::{Inspect, Inspection};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::BenchError;

/// How long a node may take to greet or to show something, and how long a loop waits for any answer at all.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection in the role of a client.
#[derive(Debug)]
pub struct Connection {
    address: String,
    reader: FrameReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    frame_bytes_max: u32,
    frames: Vec<Bytes>,
    out: BytesMut,
}

impl Connection {
    /// Connects and greets.
    pub async fn open(address: &str) -> Result<Connection, BenchError> {
        let connecting = timeout(PATIENCE, Connection::greet(address)).await;
        let opened = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        opened.map_err(BenchError::io(format!("connect to {address}")))
    }

    async fn greet(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (read, mut writer) = stream.into_split();
        let (mut reader, mut out) = (FrameReader::new(read, GREETING), BytesMut::new());
        let hello = Hello::new(None, Role::Client { name: "kv-bench".into() });
        frame::encode(&hello, GREETING.frame_bytes_max, &mut out);
        writer.write_all_buf(&mut out).await?;
        let frame_bytes_max = match reader.read_one().await? {
            Some(Welcome::Accepted { frame_bytes_max, .. }) => frame_bytes_max,
            Some(Welcome::Refused(refusal)) => return Err(io::Error::other(refusal)),
            Some(Welcome::Keeper { .. }) => return Err(io::ErrorKind::InvalidData.into()),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        reader.set_limits(FrameLimits::default());
        Ok(Connection { address: address.into(), reader, writer, frame_bytes_max, frames: Vec::new(), out })
    }

    /// Sends a batch as one message.
    pub async fn send(&mut self, batch: &[ToNode]) -> io::Result<()> {
        frame::encode(batch, self.frame_bytes_max, &mut self.out);
        self.writer.write_all_buf(&mut self.out).await
    }

    /// Waits for answers, for up to [`PATIENCE`], and takes all that have come. `false`: the connection ended.
    pub async fn receive(&mut self, answers: &mut Vec<ToClient>) -> io::Result<bool> {
        let reading = timeout(PATIENCE, self.reader.read(&mut self.frames)).await;
        let open = reading.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        for frame in self.frames.drain(..) {
            answers.append(&mut frame::decode::<Vec<ToClient>>(&frame)?);
        }
        Ok(open)
    }

    /// Asks the node to show something, on a connection that has no calls in flight.
    pub async fn inspect(&mut self, what: Inspect) -> Result<Inspection, BenchError> {
        let asked = format!("ask {} for its {what:?}", self.address);
        let mut answers = Vec::new();
        let exchange = async {
            self.send(&[ToNode::Inspect { id: 0, what }]).await?;
            while answers.is_empty() && self.receive(&mut answers).await? {}
            answers.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        };
        match exchange.await {
            Ok(ToClient::Shown { result: Ok(inspection), .. }) => Ok(*inspection),
            Ok(ToClient::Shown { result: Err(failure), .. }) => Err(BenchError::Cluster(format!("{asked}: {failure}"))),
            Ok(other) => Err(BenchError::Cluster(format!("{asked}: it said {other:?}"))),
            Err(source) => Err(BenchError::Io { what: asked, source }),
        }
    }
}
