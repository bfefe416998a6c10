//! Many calls on one connection.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::dial::Wire;
use super::{CallError, Envelope, IDLE, LIMITS, Waiting};
use crate::coordination::nookeeper::timing::Timing;
use crate::wire::frame::{self, FrameReader};
use crate::wire::net::Stream;

/// Calls that are written at once.
const BATCH: usize = 32;
/// Calls that wait for an answer, those whose callers have given up included; more are refused.
const SENT_MAX: usize = 4096;
/// Parts of the time of silence after which a peer is taken for dead: it is counted in our own beats, so that a replica that
/// was stopped for a while does not blame the others for it.
const BEATS: u32 = 4;

/// The calls that were sent and have no answer.
#[derive(Default)]
struct Sent(Mutex<BTreeMap<u64, oneshot::Sender<Result<Bytes, CallError>>>>);

impl Sent {
    /// Nothing under this lock can panic half-way.
    fn calls(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Result<Bytes, CallError>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries calls until nobody has called for a while; an error if the connection broke before.
pub(super) async fn carry(
    (mut reader, mut write): Wire,
    first: Waiting,
    calls: &mut mpsc::Receiver<Waiting>,
    heard: &watch::Sender<Option<Instant>>,
    timing: &Timing,
) -> io::Result<()> {
    heard.send_replace(Some(Instant::now()));
    let sent = Sent::default();
    let ended = tokio::select! {
        biased;
        result = receive(&mut reader, &sent, heard) => result,
        result = send(&mut write, first, calls, &sent) => result,
        error = watch_over(&sent, heard, timing) => Err(error),
    };
    let reason = ended.as_ref().err().map_or_else(|| "the link was idle".into(), io::Error::to_string);
    for answer in std::mem::take(&mut *sent.calls()).into_values() {
        let _ = answer.send(Err(CallError::Lost(reason.clone())));
    }
    ended
}

async fn receive(
    reader: &mut FrameReader<ReadHalf<Stream>>,
    sent: &Sent,
    heard: &watch::Sender<Option<Instant>>,
) -> io::Result<()> {
    let mut messages = vec![];
    while reader.read(&mut messages).await? {
        heard.send_replace(Some(Instant::now()));
        for message in messages.drain(..) {
            let Envelope { call, body } = frame::decode(&message)?;
            if let Some(answer) = sent.calls().remove(&call) {
                // Who has given up needs no answer.
                let _ = answer.send(Ok(body));
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the other replica"))
}

async fn send(
    write: &mut WriteHalf<Stream>,
    first: Waiting,
    calls: &mut mpsc::Receiver<Waiting>,
    sent: &Sent,
) -> io::Result<()> {
    let (mut number, mut out, mut batch) = (0, BytesMut::new(), vec![first]);
    loop {
        for call in batch.drain(..).filter(|call| !call.answer.is_closed()) {
            if sent.calls().len() >= SENT_MAX {
                call.refuse("too many calls wait for an answer");
                continue;
            }
            let Waiting { body, answer } = call;
            number += 1;
            sent.calls().insert(number, answer);
            frame::encode(&Envelope { call: number, body }, LIMITS.frame_bytes_max, &mut out);
        }
        write.write_all_buf(&mut out).await?;
        match timeout(IDLE, calls.recv_many(&mut batch, BATCH)).await {
            Ok(1..) => (),
            // Nobody is left who could call.
            Ok(0) => return Ok(()),
            Err(_) if sent.calls().is_empty() => return Ok(()),
            Err(_) => (),
        }
    }
}

/// Returns when calls wait and nothing was heard for the time of silence. Calls whose callers have given up count as well:
/// a living peer answers them all.
async fn watch_over(sent: &Sent, heard: &watch::Sender<Option<Instant>>, timing: &Timing) -> io::Error {
    let mut beats = tokio::time::interval(timing.silence() / BEATS);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut silent, mut oldest, mut last_heard) = (0, None, None);
    loop {
        beats.tick().await;
        let (waits, heard) = (sent.calls().keys().next().copied(), *heard.borrow());
        silent = if waits.is_some() && waits == oldest && heard == last_heard { silent + 1 } else { 0 };
        (oldest, last_heard) = (waits, heard);
        if silent >= BEATS {
            let message = format!("silent for {} ms while calls wait", timing.silence().as_millis());
            return io::Error::new(io::ErrorKind::TimedOut, message);
        }
    }
}
