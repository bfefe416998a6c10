//! The closed loop of one connection: for every answer a new request, one write for all answers of a read.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use indicatif::ProgressBar;
use kv::core::bucket::BlindWrite;
use kv::core::key::Key;
use kv::core::request::{Answer, Failure, Operation, Options, Request};
use kv::wire::message::{ToClient, ToNode};
use rand::Rng;
use rand::rngs::SmallRng;

use super::connection::Connection;
use crate::measure::Recorder;

/// Which request comes next, and whether one does.
#[derive(Debug)]
pub enum Source {
    /// A write of each key, once; the connections of a node share the cursor.
    Each(Rc<Cell<usize>>),
    /// Random keys until a time.
    Random {
        /// Seeded by the connection's number, so that a run can be repeated.
        random: SmallRng,
        /// How many of a hundred are reads.
        read_percent: u8,
        /// No request is sent after it.
        until: Instant,
    },
}

impl Source {
    /// The index of a key, and whether to read it.
    fn next(&mut self, keys: usize, now: Instant) -> Option<(usize, bool)> {
        match self {
            Source::Each(cursor) => {
                let index = cursor.get();
                cursor.set(index + 1);
                (index < keys).then_some((index, false))
            }
            Source::Random { random, read_percent, until } => {
                (now < *until).then(|| (random.random_range(0..keys), random.random_range(0..100) < *read_percent))
            }
        }
    }
}

/// One connection's loop.
#[derive(Debug)]
pub struct Loop {
    /// Greeted.
    pub connection: Connection,
    /// What to send.
    pub source: Source,
    /// The keys that go to this node; at least one.
    pub keys: Rc<[Key]>,
    /// What every write writes.
    pub value: Bytes,
    /// The quorums of every request.
    pub options: Options,
    /// When each request in flight was sent; a request's id is its index here.
    pub sent: Vec<Instant>,
    /// Shared by all loops.
    pub recorder: Rc<RefCell<Recorder>>,
    /// Moves with every answer.
    pub progress: Option<ProgressBar>,
}

impl Loop {
    /// Runs until the source is dry and all is answered, or the connection ends.
    pub async fn run(mut self) {
        let mut outstanding = 0;
        if let Err(error) = self.exchange(&mut outstanding).await {
            let kind = if error.kind() == io::ErrorKind::TimedOut { "no answer" } else { "connection lost" };
            log::warn!("{kind}: {error}");
            self.recorder.borrow_mut().failed(kind, outstanding.max(1));
        }
    }

    async fn exchange(&mut self, outstanding: &mut u64) -> io::Result<()> {
        let (mut free, mut batch, mut answers): (Vec<usize>, _, _) = ((0..self.sent.len()).collect(), vec![], vec![]);
        loop {
            let now = Instant::now();
            for slot in free.drain(..) {
                let Some(call) = self.next_call(slot, now) else { continue };
                batch.push(call);
                *outstanding += 1;
            }
            if !batch.is_empty() {
                self.connection.send(&batch).await?;
                batch.clear();
            }
            if *outstanding == 0 {
                return Ok(());
            }
            let open = self.connection.receive(&mut answers).await?;
            let now = Instant::now();
            for answer in answers.drain(..) {
                let slot = self.take(answer, now)?;
                *outstanding -= 1;
                free.push(slot);
            }
            if !open {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn next_call(&mut self, slot: usize, now: Instant) -> Option<ToNode> {
        let (index, read) = self.source.next(self.keys.len(), now)?;
        let key = self.keys[index].clone();
        let operation = if read {
            Operation::Get { key }
        } else {
            let blind = Some(BlindWrite::Supersede);
            Operation::Put { key, value: self.value.clone(), context: None, ttl_ms: None, blind }
        };
        self.sent[slot] = now;
        Some(ToNode::Call {
            id: slot as u64,
            epoch: None,
            request: Request { operation, options: self.options.clone() },
        })
    }

    /// Records an answer; gives back the slot of its request.
    fn take(&self, answer: ToClient, now: Instant) -> io::Result<usize> {
        let ToClient::Answer { id, result, .. } = answer else {
            return Err(io::Error::other(format!("the node said {answer:?}")));
        };
        let slot = id as usize;
        let sent = *self.sent.get(slot).ok_or_else(|| io::Error::other(format!("an answer to call {id}")))?;
        let mut recorder = self.recorder.borrow_mut();
        match result {
            Ok(Answer::Read { values, .. }) if values.is_empty() => recorder.failed("not found", 1),
            Ok(_) => recorder.met(sent, now),
            Err(failure) => {
                log::debug!("{failure}");
                recorder.failed(kind(&failure), 1);
            }
        }
        if let Some(progress) = &self.progress {
            progress.inc(1);
        }
        Ok(slot)
    }
}

fn kind(failure: &Failure) -> &'static str {
    match failure {
        Failure::Invalid(_) => "invalid",
        Failure::BadContext(_) => "bad context",
        Failure::TooLarge { .. } => "too large",
        Failure::TooMany { .. } => "too many siblings or context entries",
        Failure::QuorumNotMet { .. } => "quorum not met",
        Failure::RingMayBeStale { .. } => "ring may be stale",
        Failure::Timeout { .. } => "timeout",
        Failure::OutcomeUnknown(_) => "outcome unknown",
        Failure::Overloaded { .. } => "overloaded",
        Failure::Moved { .. } => "moved",
        Failure::ShuttingDown => "shutting down",
        Failure::Unavailable { .. } => "unavailable",
        Failure::NotCovered { .. } => "not covered",
    }
}
