//! A connection of the floor: eight bytes of header (length of the payload, number), then the payload.
//!
//! Sending is batched by turn: whoever has something to say appends it to an [`Outbox`]; when all tasks that were ready in this turn of the
//! event loop have run, the [`Flusher`] writes each outbox with one system call.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

const HEADER: usize = 8;
/// How much is read at once, at most.
const READ_CHUNK: usize = 64 << 10;
/// The largest payload, so that a stray connection cannot make a process allocate without limit.
pub const PAYLOAD_BYTES_MAX: u32 = 16 << 20;

/// A numbered message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The caller's number.
    pub id: u32,
    /// The value, or nothing.
    pub payload: Bytes,
}

/// Splits a connection, with TCP_NODELAY: else a reply waits for a delayed acknowledgement.
pub fn open(stream: TcpStream, flusher: &Rc<Flusher>) -> io::Result<(Inbox, Rc<Outbox>)> {
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    let inbox = Inbox { read, buffer: BytesMut::with_capacity(READ_CHUNK) };
    let outbox = Outbox { write, buffer: RefCell::default(), queued: Cell::new(false), flusher: flusher.clone() };
    Ok((inbox, Rc::new(outbox)))
}

/// The receiving half.
#[derive(Debug)]
pub struct Inbox {
    read: OwnedReadHalf,
    buffer: BytesMut,
}

impl Inbox {
    /// Waits for bytes and appends the messages that are then whole; one system call. `false`: the connection ended.
    pub async fn read(&mut self, messages: &mut Vec<Message>) -> io::Result<bool> {
        self.buffer.reserve(READ_CHUNK);
        if self.read.read_buf(&mut self.buffer).await? == 0 {
            return Ok(false);
        }
        while let Some(message) = take(&mut self.buffer)? {
            messages.push(message);
        }
        Ok(true)
    }
}

fn take(buffer: &mut BytesMut) -> io::Result<Option<Message>> {
    let Some(mut header) = buffer.get(..HEADER) else { return Ok(None) };
    let (length, id) = (header.get_u32(), header.get_u32());
    if length > PAYLOAD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a payload of {length} bytes")));
    }
    if buffer.len() < HEADER + length as usize {
        return Ok(None);
    }
    buffer.advance(HEADER);
    Ok(Some(Message { id, payload: buffer.split_to(length as usize).freeze() }))
}

/// The sending half.
#[derive(Debug)]
pub struct Outbox {
    write: OwnedWriteHalf,
    buffer: RefCell<BytesMut>,
    queued: Cell<bool>,
    flusher: Rc<Flusher>,
}

impl Outbox {
    /// Sends at the end of this turn.
    pub fn send(self: &Rc<Self>, id: u32, payload: &[u8]) {
        let mut buffer = self.buffer.borrow_mut();
        buffer.put_u32(payload.len() as u32);
        buffer.put_u32(id);
        buffer.put_slice(payload);
        if !self.queued.replace(true) {
            self.flusher.queue.borrow_mut().push(self.clone());
            self.flusher.wake.notify_one();
        }
    }

    /// Writes what was appended; once, unless the socket's buffer is full.
    async fn flush(&self) -> io::Result<()> {
        self.queued.set(false);
        let mut pending = self.buffer.take();
        while pending.has_remaining() {
            match self.write.try_write(&pending) {
                Ok(written) => pending.advance(written),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.write.writable().await?,
                Err(e) => return Err(e),
            }
        }
        pending.clear();
        let mut buffer = self.buffer.borrow_mut();
        if buffer.is_empty() {
            *buffer = pending;
        }
        Ok(())
    }
}

/// Writes a thread's outboxes at the end of each turn.
#[derive(Default, Debug)]
pub struct Flusher {
    queue: RefCell<Vec<Rc<Outbox>>>,
    wake: Notify,
}

impl Flusher {
    /// Runs for ever. The scheduler of one thread runs woken tasks in order, so this one comes after all that were ready
    /// when it was woken.
    pub async fn run(self: Rc<Self>) {
        loop {
            self.wake.notified().await;
            let queue = self.queue.take();
            for outbox in &queue {
                // The reading half of a broken connection ends, and tells.
                let _ = outbox.flush().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_whole() {
        let mut stream = BytesMut::new();
        for (id, payload) in [(7u32, &b"value"[..]), (8, b"")] {
            stream.put_u32(payload.len() as u32);
            stream.put_u32(id);
            stream.put_slice(payload);
        }
        let mut part = stream.split_to(10);
        assert_eq!(take(&mut part).unwrap(), None);
        part.unsplit(stream);
        assert_eq!(take(&mut part).unwrap(), Some(Message { id: 7, payload: Bytes::from_static(b"value") }));
        assert_eq!(take(&mut part).unwrap(), Some(Message { id: 8, payload: Bytes::new() }));
        assert_eq!(take(&mut part).unwrap(), None);
    }

    #[test]
    fn a_huge_length_is_refused() {
        assert!(take(&mut BytesMut::from(&[0xff; 8][..])).is_err());
    }
}
