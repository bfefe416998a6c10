//! One multiplexed connection to one node.
//!
//! A [`Link`] is a bounded queue in front of a task. The task dials when somebody first calls, greets, then writes whatever
//! is queued as one frame at a time, and completes calls by their numbers as answers arrive, in any order. When the connection
//! breaks, what was sent is *lost* (nobody can tell what came of it), what was not is handed back as *not sent*, and the task
//! dials again in the background, so that callers need not find out by themselves when the node is back.
//!
//! Exactly one side decides whether a call was sent: the writer *claims* it when it encodes it, a caller whose time is over
//! claims it to *withdraw* it.

mod connection;
mod flight;
mod health;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::core::id::Epoch;
use crate::core::request::{Answer, Failure, Operation, Request};
use crate::wire::list::{ListPage, ListRequest};
use crate::wire::message::ToNode;
use crate::wire::report::{Inspect, Inspection};
use crate::wire::tree::{TreeAnswer, TreeFailure, TreeRequest};

pub(crate) use connection::Dialling;
use health::Health;
pub(crate) use health::Rank;

/// Calls that wait to be written to one node; who finds the queue full waits within its own deadline.
const QUEUE: usize = 1024;
/// The node is told the whole time that is left and may use it up; its answer then still has to arrive.
const ANSWER_GRACE: Duration = Duration::from_millis(250);

/// What a node is asked.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// An operation, and the ring by which the node was chosen.
    Call { epoch: Epoch, request: Request },
    /// A report.
    Inspect(Inspect),
    /// Something of the coordination service.
    Tree(TreeRequest),
    /// A page of a listing.
    List(ListRequest),
}

/// What it answered.
#[derive(Debug)]
pub(crate) enum Told {
    /// To a call.
    Answer { epoch: Epoch, result: Result<Answer, Failure> },
    /// To an inspection.
    Shown(Result<Box<Inspection>, Failure>),
    /// To a question to the coordination service.
    Tree(Result<Box<TreeAnswer>, TreeFailure>),
    /// To the question for a page of a listing.
    Listed { epoch: Epoch, result: Result<ListPage, Failure> },
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LinkError {
    /// Not a byte of the call was written.
    NotSent(String),
    /// It was written, then the connection broke.
    Lost(String),
    /// Its time is over.
    Late {
        /// Whether it was written.
        sent: bool,
    },
}

/// A handle on the connection to one node.
pub(crate) struct Link {
    address: String,
    queue: mpsc::Sender<Queued>,
    health: Arc<Health>,
}

/// A call on its way to the writer.
struct Queued {
    ask: Ask,
    deadline: Instant,
    claim: Claim,
    reply: oneshot::Sender<Result<Told, LinkError>>,
}

/// Taken once: by the writer to send, or by the caller to withdraw.
#[derive(Clone, Default)]
struct Claim(Arc<AtomicBool>);

impl Claim {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl Link {
    /// Starts the task; it does not dial before the first call. It ends when the last handle is gone.
    pub fn open(address: String, dialling: Dialling) -> Arc<Link> {
        let (queue, calls) = mpsc::channel(QUEUE);
        let health = Arc::new(Health::default());
        tokio::spawn(connection::run(address.clone(), dialling, calls, health.clone()));
        Arc::new(Link { address, queue, health })
    }

    /// Where the node is dialled.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How promising it is to ask this node now.
    pub fn rank(&self) -> Rank {
        self.health.rank()
    }

    /// Whether a call could be written at once.
    pub fn is_connected(&self) -> bool {
        self.health.is_up()
    }

    /// It took too long: others are asked first for a while.
    pub fn was_slow(&self) {
        self.health.slow();
    }

    /// Asks and waits for the answer. With `patience`, a call that cannot be sent for so long because there is no connection yet
    /// is withdrawn: there are others to ask. The dial goes on for those who come later.
    pub async fn ask(&self, ask: Ask, deadline: Instant, patience: Option<Duration>) -> Result<Told, LinkError> {
        let (reply, mut answer) = oneshot::channel();
        let claim = Claim::default();
        let queued = Queued { ask, deadline, claim: claim.clone(), reply };
        match timeout_at(deadline, self.queue.send(queued)).await {
            Err(_) => return Err(LinkError::Late { sent: false }),
            Ok(Err(_)) => return Err(LinkError::NotSent("its connection's task has ended".into())),
            Ok(Ok(())) => {}
        }
        let due = deadline + ANSWER_GRACE;
        let mut answered = None;
        if let Some(patience) = patience.filter(|_| !self.health.is_up()) {
            answered = timeout_at(due.min(Instant::now() + patience), &mut answer).await.ok();
            if answered.is_none() && !self.health.is_up() && claim.take() {
                self.was_slow();
                return Err(LinkError::NotSent(format!("no greeting within {} ms", patience.as_millis())));
            }
        }
        let answered = match answered {
            None => timeout_at(due, answer).await,
            Some(answered) => Ok(answered),
        };
        match answered {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) if Instant::now() >= deadline => Err(LinkError::Late { sent: !claim.take() }),
            Ok(Err(_)) if claim.take() => Err(LinkError::NotSent("the connection ended before it was sent".into())),
            Ok(Err(_)) => Err(LinkError::Lost("the connection's task ended".into())),
            Err(_) => {
                self.was_slow();
                Err(LinkError::Late { sent: !claim.take() })
            }
        }
    }
}

impl Queued {
    fn refuse(self, reason: &str) {
        // A caller that gave up has dropped its end, and that is all right.
        let _ = self.reply.send(Err(LinkError::NotSent(reason.into())));
    }
}

impl Ask {
    /// The message, with the time that is left when it is written.
    fn message(self, id: u64, left: Duration) -> ToNode {
        let left_ms = left.as_millis().clamp(1, u32::MAX as u128) as u32;
        match self {
            Ask::Inspect(what) => ToNode::Inspect { id, what },
            Ask::Tree(request) => ToNode::Tree { id, timeout_ms: left_ms, request },
            Ask::List(request) => ToNode::List { id, timeout_ms: left_ms, request },
            Ask::Call { epoch, mut request } => {
                request.options.timeout_ms = Some(left_ms);
                ToNode::Call { id, epoch: Some(epoch), request }
            }
        }
    }

    /// Roughly the bytes of its message: what a batch is measured by.
    fn weight(&self) -> usize {
        const FIXED: usize = 64;
        match self {
            Ask::Inspect(_) => FIXED,
            Ask::Tree(request) => FIXED + request.data_bytes(),
            Ask::List(request) => {
                FIXED + request.bucket.len() + request.prefix.len() + request.cursor.as_ref().map_or(0, |c| c.len())
            }
            Ask::Call { request, .. } => {
                let key = request.operation.key();
                let carried = match &request.operation {
                    Operation::Get { .. } => 0,
                    Operation::Put { value, context, .. } => value.len() + context.as_ref().map_or(0, |c| c.len()),
                    Operation::Delete { context, .. } => context.as_ref().map_or(0, |c| c.len()),
                };
                FIXED + key.bucket.len() + key.name.len() + carried
            }
        }
    }
}
