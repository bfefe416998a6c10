//! Dialling another node: connect, greet, and look at the answer, all within one patience.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::frame::{self, FrameReader, GREETING};
use super::handshake::{Hello, Refusal, Welcome};
use super::net::{self, Stream};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody answers there, or what answers breaks off.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Somebody answers who does not want this caller.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Connecting and greeting took too long together.
    #[error("no answer in {} ms", .0.as_millis())]
    Silent(Duration),
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> io::Error {
        match error {
            DialError::Io(error) => error,
            DialError::Refused(refusal) => io::Error::other(refusal),
            DialError::Silent(_) => io::Error::new(io::ErrorKind::TimedOut, error.to_string()),
        }
    }
}

/// Connects to `host:port` and greets. What answers is never [`Welcome::Refused`]; nothing after it has been read.
pub async fn dial(address: &str, hello: &Hello, patience: Duration) -> Result<(Welcome, Stream), DialError> {
    timeout(patience, greet(address, hello)).await.unwrap_or(Err(DialError::Silent(patience)))
}

async fn greet(address: &str, hello: &Hello) -> Result<(Welcome, Stream), DialError> {
    let mut greeting = BytesMut::new();
    frame::encode(hello, GREETING.frame_bytes_max, &mut greeting);
    let mut stream = net::connect(address).await?;
    stream.write_all(&greeting).await?;
    let mut reader = FrameReader::new(stream, GREETING);
    match reader.read_one().await? {
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection without a greeting").into()),
        Some(Welcome::Refused(refusal)) => Err(refusal.into()),
        Some(welcome) => Ok((welcome, reader.into_inner()?)),
    }
}
