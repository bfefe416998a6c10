//! An application's connection, in native frames.
//!
//! One task reads and hands on, in one batch, all the calls that one read brought; another writes the answers, whatever
//! has gathered, in one frame. The connection is not read while it has as many calls in flight as it may, or while its
//! answers pile up unread.
//!
//! When the node stops it says goodbye and goes on reading for a moment: what the application sent before it heard that
//! is served like everything else, so that no outcome is unknown only because a node was stopped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, split};
use tokio::sync::{Notify, watch};
use tokio::time::timeout_at;

use crate::core::id::Epoch;
use crate::core::request::{Answer, Failure};
use crate::node::NodeHandle;
use crate::node::clerk::Visit;
use crate::node::coordinator::messages::{Answers, Call, Calls};
use crate::node::env::now;
use crate::node::inspector::Show;
use crate::node::lister::messages::List;
use crate::node::outbox::{Outbox, OutboxLimits, Weigh};
use crate::node::stats::Counter;
use crate::wire::frame::{self, FrameReader};
use crate::wire::list::ListRequest;
use crate::wire::message::{ToClient, ToNode};
use crate::wire::net::Stream;
use crate::wire::report::Inspect;
use crate::wire::tree::TreeRequest;

/// How long an application is listened to after the goodbye, if it does not end its side of the connection by itself.
const LAST_CALLS: Duration = Duration::from_millis(500);

/// Serves an application until it goes, breaks the protocol, or the node stops. Holds on to `stop` until the last
/// answer is written.
pub async fn serve(node: NodeHandle, arbiter: usize, stream: Stream, stop: watch::Receiver<bool>) -> io::Result<()> {
    let (read, mut write) = split(stream);
    let limits = node.config.node.limits.clone();
    let idle = Duration::from_millis(limits.idle_timeout_ms);
    let answers = Arc::new(SessionAnswers {
        outbox: Outbox::new(OutboxLimits::UNBOUNDED),
        in_flight: AtomicU32::new(0),
        answered: Notify::new(),
    });
    let visit = Arc::new(Visit::new(node.clerk.clone()));
    let session = Session { node, arbiter, answers: answers.clone(), idle, visit: visit.clone() };
    let reader = FrameReader::new(read, limits.frames());
    let served = tokio::select! {
        biased;
        result = session.receive(reader, stop.clone()) => {
            match result {
                // What was asked is still answered.
                Ok(()) => {
                    answers.outbox.close();
                    answers.outbox.write_to(&mut write, limits.frame_bytes_max, idle).await
                }
                error => error,
            }
        }
        result = answers.outbox.write_to(&mut write, limits.frame_bytes_max, idle) => result,
    };
    visit.leave().await;
    served
}

/// Where the answers of one connection go.
struct SessionAnswers {
    outbox: Outbox<ToClient>,
    in_flight: AtomicU32,
    answered: Notify,
}

impl SessionAnswers {
    fn push(&self, message: ToClient) {
        // A connection that is gone wants no answer.
        let _ = self.outbox.push(message);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.answered.notify_one();
    }

    /// Waits until less than `limit` calls are in flight.
    async fn below(&self, limit: u32) {
        while self.in_flight.load(Ordering::Relaxed) >= limit {
            self.answered.notified().await;
        }
    }
}

impl Answers for SessionAnswers {
    fn answer(&self, id: u64, epoch: Epoch, result: Result<Answer, Failure>) {
        self.push(ToClient::Answer { id, epoch, result });
    }
}

struct Session {
    node: NodeHandle,
    arbiter: usize,
    answers: Arc<SessionAnswers>,
    idle: Duration,
    visit: Arc<Visit>,
}

impl Session {
    async fn receive<R: AsyncRead + Unpin>(
        &self,
        mut reader: FrameReader<R>,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let limits = &self.node.config.node.limits;
        let mut frames = vec![];
        let mut last_calls_until = None;
        loop {
            self.answers.below(limits.connection_calls_max).await;
            self.answers.outbox.below(limits.link_queue_bytes_max as usize).await;
            let until = last_calls_until.unwrap_or_else(|| now() + self.idle);
            let more = tokio::select! {
                biased;
                _ = stop.changed(), if last_calls_until.is_none() => {
                    let _ = self.answers.outbox.push(ToClient::Goodbye("the node is stopping".into()));
                    last_calls_until = Some(now() + LAST_CALLS);
                    self.visit.hurry();
                    continue;
                }
                read = timeout_at(until, reader.read(&mut frames)) => read,
            };
            let more = match more {
                Ok(read) => read?,
                Err(_) if last_calls_until.is_some() => false,
                Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "idle (limits.idle_timeout_ms)")),
            };
            if !more {
                self.visit.hurry();
                self.answers.below(1).await;
                return Ok(());
            }
            let mut calls = vec![];
            for frame in frames.drain(..) {
                for message in frame::decode::<Vec<ToNode>>(&frame)? {
                    self.sort(message, &mut calls);
                }
            }
            if !calls.is_empty() {
                self.node.coordinators[self.arbiter].do_send(Calls(calls));
            }
        }
    }

    fn sort(&self, message: ToNode, calls: &mut Vec<Call>) {
        match message {
            ToNode::Call { id, request, .. } => {
                self.answers.in_flight.fetch_add(1, Ordering::Relaxed);
                let Some(permit) = self.node.admission.admit() else {
                    self.node.stats.count(Counter::Overloaded);
                    let epoch = self.node.ring.load().ring.epoch;
                    return self.answers.answer(id, epoch, Err(self.node.overloaded()));
                };
                let arrived = now();
                let longest = Duration::from_millis(self.node.config.node.timing.request_timeout_ms);
                let wanted = request.options.timeout_ms.map(|ms| Duration::from_millis(ms as u64));
                let deadline = arrived + wanted.unwrap_or(longest);
                let caller = self.answers.clone();
                calls.push(Call { id, request, caller, permit, arrived, deadline, forwarded: None });
            }
            ToNode::Inspect { id, what } => self.show(id, what),
            ToNode::Tree { id, timeout_ms, request } => self.ask_tree(id, timeout_ms, request),
            ToNode::List { id, timeout_ms, request } => self.list(id, timeout_ms, request),
            ToNode::Ping(ping) => {
                let _ = self.answers.outbox.push(ToClient::Pong(ping));
            }
        }
    }

    fn show(&self, id: u64, what: Inspect) {
        self.answers.in_flight.fetch_add(1, Ordering::Relaxed);
        let (answers, inspector) = (self.answers.clone(), self.node.inspector.clone());
        actix_rt::spawn(async move {
            let shown = inspector.send(Show(what)).await;
            answers.push(ToClient::Shown { id, result: shown.map(Box::new).map_err(|_| Failure::ShuttingDown) });
        });
    }

    fn list(&self, id: u64, timeout_ms: u32, request: ListRequest) {
        self.answers.in_flight.fetch_add(1, Ordering::Relaxed);
        let Some(permit) = self.node.admission.admit() else {
            self.node.stats.count(Counter::Overloaded);
            let epoch = self.node.ring.load().ring.epoch;
            return self.answers.push(ToClient::Listed { id, epoch, result: Err(self.node.overloaded()) });
        };
        let deadline = now() + Duration::from_millis(timeout_ms.into());
        let (answers, ring, lister) = (self.answers.clone(), self.node.ring.clone(), self.node.lister.clone());
        actix_rt::spawn(async move {
            let result = lister.send(List { request, deadline, permit }).await.unwrap_or(Err(Failure::ShuttingDown));
            answers.push(ToClient::Listed { id, epoch: ring.load().ring.epoch, result });
        });
    }

    fn ask_tree(&self, id: u64, timeout_ms: u32, request: TreeRequest) {
        self.answers.in_flight.fetch_add(1, Ordering::Relaxed);
        let (answers, visit) = (self.answers.clone(), self.visit.clone());
        actix_rt::spawn(async move {
            let result = visit.perform(request, Duration::from_millis(timeout_ms.into())).await;
            answers.push(ToClient::Tree { id, result: result.map(Box::new) });
        });
    }
}

impl Weigh for ToClient {
    fn weight(&self) -> usize {
        const OVERHEAD: usize = 64;
        OVERHEAD
            + match self {
                ToClient::Answer { result: Ok(Answer::Read { values, .. }), .. } => {
                    values.iter().map(|value| value.bytes.len() + OVERHEAD).sum()
                }
                ToClient::Tree { result: Ok(answer), .. } => answer.weight(),
                ToClient::Listed { result: Ok(page), .. } => page.weight(),
                _ => 0,
            }
    }
}
