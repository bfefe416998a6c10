//! Sockets, real or simulated: the seam for the network.
//!
//! In a build with feature `sim` the choice is made at run time, inside a simulated host or not, so
//! that one build serves both. TCP_NODELAY is set on every real socket: without it a quorum write waits for a delayed acknowledgement.

use std::io;
use std::net::SocketAddr;

use tokio_util::either::Either;

/// A connected stream.
#[cfg(not(feature = "sim"))]
pub type Stream = tokio::net::TcpStream;
/// A connected stream, real or simulated.
#[cfg(feature = "sim")]
pub type Stream = Either<tokio::net::TcpStream, turmoil::net::TcpStream>;

/// A listening socket.
#[cfg(not(feature = "sim"))]
pub struct Listener(tokio::net::TcpListener);
/// A listening socket, real or simulated.
#[cfg(feature = "sim")]
pub struct Listener(Either<tokio::net::TcpListener, turmoil::net::TcpListener>);

/// Connects to `host:port`, resolving the name anew.
pub async fn connect(address: &str) -> io::Result<Stream> {
    #[cfg(feature = "sim")]
    if turmoil::in_simulation() {
        return turmoil::net::TcpStream::connect(address).await.map(Either::Right);
    }
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(wrap(stream))
}

impl Listener {
    /// Listens on `host:port`.
    pub async fn bind(address: &str) -> io::Result<Listener> {
        #[cfg(feature = "sim")]
        if turmoil::in_simulation() {
            return turmoil::net::TcpListener::bind(address).await.map(|l| Listener(Either::Right(l)));
        }
        let listener = tokio::net::TcpListener::bind(address).await?;
        #[cfg(feature = "sim")]
        let listener = Either::Left(listener);
        Ok(Listener(listener))
    }

    /// The next connection and where it comes from.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        #[cfg(feature = "sim")]
        let real = match &self.0 {
            Either::Right(simulated) => return simulated.accept().await.map(|(s, a)| (Either::Right(s), a)),
            Either::Left(real) => real,
        };
        #[cfg(not(feature = "sim"))]
        let real = &self.0;
        let (stream, from) = real.accept().await?;
        stream.set_nodelay(true)?;
        Ok((wrap(stream), from))
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        #[cfg(feature = "sim")]
        return match &self.0 {
            Either::Left(real) => real.local_addr(),
            Either::Right(simulated) => simulated.local_addr(),
        };
        #[cfg(not(feature = "sim"))]
        self.0.local_addr()
    }
}

/// A stream between two event loops.
pub struct Detached(Either<std::net::TcpStream, Stream>);

/// Takes a stream off the event loop that it was made on. Nothing may be buffered of it.
pub fn detach(stream: Stream) -> io::Result<Detached> {
    #[cfg(feature = "sim")]
    let stream = match stream {
        Either::Left(real) => real,
        simulated => return Ok(Detached(Either::Right(simulated))),
    };
    stream.into_std().map(|stream| Detached(Either::Left(stream)))
}

impl Detached {
    /// Puts it on the event loop that is running.
    pub fn attach(self) -> io::Result<Stream> {
        match self.0 {
            Either::Left(real) => tokio::net::TcpStream::from_std(real).map(wrap),
            Either::Right(simulated) => Ok(simulated),
        }
    }
}

#[cfg(feature = "sim")]
fn wrap(stream: tokio::net::TcpStream) -> Stream {
    Either::Left(stream)
}

#[cfg(not(feature = "sim"))]
fn wrap(stream: tokio::net::TcpStream) -> Stream {
    stream
}
