//! Messages on their way to one connection.
//!
//! Whoever has something to say appends it, from any arbiter, and never waits. The connection's writer takes all that is
//! there at once: one frame, one system call, however many messages gathered while it was busy. What an outbox may hold is
//! bounded, by its own limits or by those on what it answers.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use bytes::BytesMut;
use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::env::{Moment, now};
use crate::wire::frame;

/// Bytes of messages that go into one frame, unless a single one is larger.
const FRAME_TARGET: usize = 256 << 10;

/// How many bytes a message holds on to, roughly.
pub trait Weigh {
    /// Bytes.
    fn weight(&self) -> usize;

    /// It has waited for so long before it is written: what it says of the time that is left is so much less.
    fn waited(&mut self, _waited: Duration) {}
}

/// How much an outbox holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutboxLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes.
    pub bytes: usize,
}

impl OutboxLimits {
    /// For answers: their number is bounded by that of the calls in flight.
    pub const UNBOUNDED: OutboxLimits = OutboxLimits { messages: usize::MAX, bytes: usize::MAX };
}

/// Why a message was not taken. It is given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotTaken {
    /// The connection is gone.
    Closed,
    /// The limit is reached.
    Full,
}

#[derive(Debug)]
struct Queue<M> {
    /// Each with when it came.
    messages: Vec<(Moment, M)>,
    bytes: usize,
    closed: bool,
}

/// A bounded queue that is emptied in one go.
#[derive(Debug)]
pub struct Outbox<M> {
    queue: Mutex<Queue<M>>,
    wake: Notify,
    drained: Notify,
    limits: OutboxLimits,
}

impl<M: Weigh> Outbox<M> {
    /// An empty one.
    pub fn new(limits: OutboxLimits) -> Outbox<M> {
        let queue = Mutex::new(Queue { messages: vec![], bytes: 0, closed: false });
        Outbox { queue, wake: Notify::new(), drained: Notify::new(), limits }
    }

    /// Appends a message.
    pub fn push(&self, message: M) -> Result<(), (M, NotTaken)> {
        let mut queue = self.lock();
        let bytes = queue.bytes + message.weight();
        if queue.closed {
            return Err((message, NotTaken::Closed));
        }
        // One message always fits: an object may be larger than the limit.
        if !queue.messages.is_empty() && (queue.messages.len() >= self.limits.messages || bytes > self.limits.bytes) {
            return Err((message, NotTaken::Full));
        }
        queue.bytes = bytes;
        queue.messages.push((now(), message));
        let first = queue.messages.len() == 1;
        drop(queue);
        if first {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes nothing more; the writer finishes what is there and ends.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until less than `bytes` wait to be written: who asks faster than he listens is not listened to.
    pub async fn below(&self, bytes: usize) {
        while self.lock().bytes >= bytes {
            self.drained.notified().await;
        }
    }

    /// Waits for messages and takes them all; `None` once closed and empty.
    async fn take(&self) -> Option<Vec<M>> {
        loop {
            {
                let mut queue = self.lock();
                if !queue.messages.is_empty() {
                    queue.bytes = 0;
                    let messages = std::mem::take(&mut queue.messages);
                    drop(queue);
                    return Some(messages.into_iter().map(aged(now())).collect());
                }
                if queue.closed {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue<M>> {
        self.queue.lock().expect("no panic while an outbox is locked")
    }
}

impl<M: Weigh + Serialize> Outbox<M> {
    /// Writes all that is appended to `io`, until the outbox is closed and empty, or the connection breaks or takes nothing
    /// for `stall`.
    pub async fn write_to(
        &self,
        io: &mut (impl AsyncWrite + Unpin),
        frame_bytes_max: u32,
        stall: Duration,
    ) -> io::Result<()> {
        let mut buffer = BytesMut::new();
        while let Some(messages) = self.take().await {
            let mut rest = messages.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(batch(rest));
                frame::encode(now, frame_bytes_max, &mut buffer);
                rest = later;
            }
            while !buffer.is_empty() {
                let written = timeout(stall, io.write_buf(&mut buffer)).await;
                if written.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the other side does not read"))?? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            }
            self.drained.notify_one();
            if buffer.capacity() > 4 * FRAME_TARGET {
                buffer = BytesMut::new();
            }
        }
        io.shutdown().await
    }
}

/// A message as it is at `now`, having come at some moment.
fn aged<M: Weigh>(now: Moment) -> impl Fn((Moment, M)) -> M {
    move |(came, mut message)| {
        message.waited(now.saturating_duration_since(came));
        message
    }
}

/// How many of `messages` go into one frame: at least one.
fn batch<M: Weigh>(messages: &[M]) -> usize {
    let mut bytes = 0;
    let fitting = messages.iter().take_while(|m| {
        bytes += m.weight();
        bytes <= FRAME_TARGET
    });
    fitting.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for String {
        fn weight(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn limits_bind_but_for_the_first() {
        let outbox = Outbox::new(OutboxLimits { messages: 2, bytes: 4 });
        assert!(outbox.push("a large one".to_string()).is_ok());
        assert_eq!(outbox.push("x".into()).unwrap_err().1, NotTaken::Full);
        outbox.close();
        assert_eq!(outbox.push("x".into()).unwrap_err().1, NotTaken::Closed);
    }

    /// Says how long it has waited.
    #[derive(Serialize)]
    struct Aging(u64);

    impl Weigh for Aging {
        fn weight(&self) -> usize {
            1
        }

        fn waited(&mut self, waited: Duration) {
            self.0 = waited.as_millis() as u64;
        }
    }

    #[tokio::test]
    async fn each_message_is_told_how_long_it_has_waited() {
        let outbox = Outbox::new(OutboxLimits::UNBOUNDED);
        assert!(outbox.push(Aging(0)).is_ok());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(outbox.push(Aging(0)).is_ok());
        let waited: Vec<u64> = outbox.take().await.expect("two").into_iter().map(|message| message.0).collect();
        assert!(waited[0] >= 20 && waited[1] < waited[0], "{waited:?}");
    }

    #[tokio::test]
    async fn all_that_waits_is_one_frame() {
        let outbox = Outbox::new(OutboxLimits::UNBOUNDED);
        (0..3).for_each(|i| outbox.push(i.to_string()).unwrap());
        outbox.close();
        let mut written = vec![];
        outbox.write_to(&mut written, 1 << 20, Duration::from_secs(1)).await.unwrap();
        let message = frame::Splitter::new(frame::FrameLimits::default()).next(&mut written.as_slice().into()).unwrap();
        assert_eq!(frame::decode::<Vec<String>>(&message.unwrap()).unwrap(), ["0", "1", "2"]);
    }
}
