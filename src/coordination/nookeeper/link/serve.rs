//! The answering end of a link.

use std::future::Future;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Envelope, IDLE, LIMITS};
use crate::wire::frame::{self, FrameReader};
use crate::wire::net::Stream;

/// Calls of one connection that are answered at the same time. While there are more, nothing is read from it.
const AT_ONCE_MAX: usize = 1024;
/// Answers that wait to be written.
const ANSWERS_MAX: usize = 256;

/// Answers the calls of an accepted connection until it ends; each as soon as it can, in any order. A call that `answer`
/// makes nothing of is malformed and ends the connection.
pub(in crate::coordination::nookeeper) async fn serve<A, F>(stream: Stream, answer: A) -> io::Result<()>
where
    A: Fn(Bytes) -> F,
    F: Future<Output = Option<Bytes>> + Send + 'static,
{
    let (read, mut write) = split(stream);
    let (answers, mut answered) = mpsc::channel(ANSWERS_MAX);
    tokio::select! {
        biased;
        result = receive(FrameReader::new(read, LIMITS), answer, answers) => result,
        result = send(&mut write, &mut answered) => result,
    }
}

async fn receive<A, F>(
    mut reader: FrameReader<ReadHalf<Stream>>,
    answer: A,
    answers: mpsc::Sender<Envelope>,
) -> io::Result<()>
where
    A: Fn(Bytes) -> F,
    F: Future<Output = Option<Bytes>> + Send + 'static,
{
    let mut messages = vec![];
    // They end with the connection: nobody is left who could be answered.
    let mut at_work: JoinSet<io::Result<()>> = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(done) = at_work.join_next() => done.map_err(io::Error::other)??,
            // The caller ends a link that is idle. If it could not say so, this end must not wait for ever.
            read = timeout(2 * IDLE, reader.read(&mut messages)), if at_work.len() < AT_ONCE_MAX => match read {
                Ok(Ok(true)) => (),
                Ok(Ok(false)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the caller fell silent")),
            },
        }
        for message in messages.drain(..) {
            let Envelope { call, body } = frame::decode(&message)?;
            let (answer, answers) = (answer(body), answers.clone());
            at_work.spawn(async move {
                let Some(body) = answer.await else {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a call that cannot be understood"));
                };
                // If the writer has ended, so will the reader.
                let _ = answers.send(Envelope { call, body }).await;
                Ok(())
            });
        }
    }
}

async fn send(write: &mut WriteHalf<Stream>, answered: &mut mpsc::Receiver<Envelope>) -> io::Result<()> {
    let (mut out, mut batch) = (BytesMut::new(), vec![]);
    while answered.recv_many(&mut batch, ANSWERS_MAX).await > 0 {
        for envelope in batch.drain(..) {
            frame::encode(&envelope, LIMITS.frame_bytes_max, &mut out);
        }
        write.write_all_buf(&mut out).await?;
    }
    Ok(())
}
