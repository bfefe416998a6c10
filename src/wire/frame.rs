//! Frames: a length, then MessagePack.
//!
//! Four bytes, big-endian: the length of what follows, at most `frame_bytes_max`, and in the highest bit whether the
//! message goes on in the next frame. An object larger than a frame travels so, in pieces. Lengths are
//! checked before anything is allocated for them; what a connection can make a node hold is `message_bytes_max`.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::core::blob;

/// Bytes of a frame's header.
const HEADER: usize = 4;
/// Set in a header if the message goes on in the next frame.
const CONTINUES: u32 = 1 << 31;
/// How much is read from a socket at once, at most; a buffer starts at a sixteenth of it.
const READ_CHUNK: usize = 64 << 10;

/// How large frames and messages may get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameLimits {
    /// Bytes of one frame without its header.
    pub frame_bytes_max: u32,
    /// Bytes of all pieces of one message.
    pub message_bytes_max: u32,
}

impl Default for FrameLimits {
    fn default() -> Self {
        FrameLimits { frame_bytes_max: 4 << 20, message_bytes_max: 256 << 20 }
    }
}

/// The first frame of a connection is a greeting, and no greeting is longer than this.
pub const GREETING: FrameLimits = FrameLimits { frame_bytes_max: 1024, message_bytes_max: 1024 };

/// What is wrong with a frame. The connection cannot be used after it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// A length over the limit.
    #[error("a frame of {bytes} bytes, the limit is {limit}")]
    TooLong {
        /// Announced.
        bytes: u64,
        /// Allowed.
        limit: u32,
    },
    /// Not the MessagePack that was expected.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// The connection ended inside a frame.
    #[error("the connection ended inside a frame")]
    Truncated,
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// Appends `message` to `out`, in as many frames as it needs.
pub fn encode<T: Serialize + ?Sized>(message: &T, frame_bytes_max: u32, out: &mut BytesMut) {
    let start = out.len();
    out.put_u32(0);
    rmp_serde::encode::write(&mut out.writer(), message).expect("messages serialize into memory");
    let length = out.len() - start - HEADER;
    if length <= frame_bytes_max as usize {
        out[start..start + HEADER].copy_from_slice(&(length as u32).to_be_bytes());
        return;
    }
    let whole = out.split_off(start).freeze().slice(HEADER..);
    let pieces = whole.chunks(frame_bytes_max as usize);
    let last = pieces.len() - 1;
    for (i, piece) in pieces.enumerate() {
        let more = if i < last { CONTINUES } else { 0 };
        out.put_u32(piece.len() as u32 | more);
        out.put_slice(piece);
    }
}

/// Reads a message out of a frame; its blobs are slices of `frame`.
pub fn decode<T: DeserializeOwned>(frame: &Bytes) -> Result<T, FrameError> {
    blob::within(frame, || rmp_serde::from_slice(frame)).map_err(|e| FrameError::Malformed(e.to_string()))
}

/// Cuts a byte stream into messages.
#[derive(Debug)]
pub struct Splitter {
    limits: FrameLimits,
    pieces: BytesMut,
}

impl Splitter {
    /// For a connection with these limits.
    pub fn new(limits: FrameLimits) -> Splitter {
        Splitter { limits, pieces: BytesMut::new() }
    }

    /// Takes the next whole message off the front of `input`, if there is one.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        while let Some(header) = input.get(..HEADER) {
            let header = u32::from_be_bytes(header.try_into().expect("four bytes"));
            let length = (header & !CONTINUES) as usize;
            self.check(length)?;
            if input.len() < HEADER + length {
                return Ok(None);
            }
            input.advance(HEADER);
            let piece = input.split_to(length);
            if header & CONTINUES == 0 && self.pieces.is_empty() {
                return Ok(Some(piece.freeze()));
            }
            self.pieces.extend_from_slice(&piece);
            if header & CONTINUES == 0 {
                return Ok(Some(std::mem::take(&mut self.pieces).freeze()));
            }
        }
        Ok(None)
    }

    fn check(&self, length: usize) -> Result<(), FrameError> {
        let FrameLimits { frame_bytes_max, message_bytes_max } = self.limits;
        if length > frame_bytes_max as usize {
            return Err(FrameError::TooLong { bytes: length as u64, limit: frame_bytes_max });
        }
        if self.pieces.len() + length > message_bytes_max as usize {
            return Err(FrameError::TooLong { bytes: (self.pieces.len() + length) as u64, limit: message_bytes_max });
        }
        Ok(())
    }

    fn mid_message(&self) -> bool {
        !self.pieces.is_empty()
    }
}

/// Reads messages from a socket: one system call, then every message that it brought.
#[derive(Debug)]
pub struct FrameReader<R> {
    io: R,
    buffer: BytesMut,
    splitter: Splitter,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `io`.
    pub fn new(io: R, limits: FrameLimits) -> FrameReader<R> {
        FrameReader { io, buffer: BytesMut::with_capacity(READ_CHUNK / 16), splitter: Splitter::new(limits) }
    }

    /// Other limits from here on: the greeting's are smaller than what follows.
    pub fn set_limits(&mut self, limits: FrameLimits) {
        self.splitter = Splitter::new(limits);
    }

    /// The socket, if nothing is buffered of it.
    pub fn into_inner(self) -> io::Result<R> {
        if self.buffer.is_empty() { Ok(self.io) } else { Err(io::Error::other("it spoke before it was welcomed")) }
    }

    /// The socket, to write to.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.io
    }

    /// Waits for bytes and appends all messages that are then whole to `messages`. `false`: the connection ended, properly.
    /// Cancel-safe.
    pub async fn read(&mut self, messages: &mut Vec<Bytes>) -> io::Result<bool> {
        let before = messages.len();
        loop {
            while let Some(message) = self.splitter.next(&mut self.buffer)? {
                messages.push(message);
            }
            if messages.len() > before {
                return Ok(true);
            }
            if self.buffer.len() == self.buffer.capacity() {
                self.buffer.reserve(READ_CHUNK);
            }
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                let clean = self.buffer.is_empty() && !self.splitter.mid_message();
                return if clean { Ok(false) } else { Err(FrameError::Truncated.into()) };
            }
        }
    }

    /// Waits for exactly one message and leaves what came with it for later. `None`: the connection ended.
    pub async fn read_one<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(message) = self.splitter.next(&mut self.buffer)? {
                return Ok(Some(decode(&message)?));
            }
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Truncated.into()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: FrameLimits = FrameLimits { frame_bytes_max: 64, message_bytes_max: 1000 };

    fn split_all(stream: &[u8], step: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let (mut splitter, mut input, mut found) = (Splitter::new(SMALL), BytesMut::new(), vec![]);
        for chunk in stream.chunks(step.max(1)) {
            input.extend_from_slice(chunk);
            while let Some(message) = splitter.next(&mut input)? {
                found.push(decode::<Vec<u8>>(&message)?);
            }
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_messages(
            sent in proptest::collection::vec(proptest::collection::vec(0u8..128, 0..300), 0..6), step in 1usize..200,
        ) {
            let mut stream = BytesMut::new();
            sent.iter().for_each(|m| encode(m, SMALL.frame_bytes_max, &mut stream));
            prop_assert_eq!(split_all(&stream, step).unwrap(), sent);
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), step in 1usize..50) {
            let _ = split_all(&bytes, step);
        }
    }

    #[test]
    fn lengths_are_refused_before_they_are_read() {
        let (mut splitter, mut input) = (Splitter::new(SMALL), BytesMut::from(&(1u32 << 30).to_be_bytes()[..]));
        assert_eq!(splitter.next(&mut input), Err(FrameError::TooLong { bytes: 1 << 30, limit: 64 }));
        assert!(input.capacity() < 1 << 20);
    }

    #[test]
    fn endless_pieces_are_refused() {
        let (mut splitter, mut input) = (Splitter::new(SMALL), BytesMut::new());
        for _ in 0..100 {
            input.put_u32(64 | CONTINUES);
            input.put_bytes(0, 64);
        }
        assert_eq!(splitter.next(&mut input), Err(FrameError::TooLong { bytes: 1024, limit: 1000 }));
    }
}
