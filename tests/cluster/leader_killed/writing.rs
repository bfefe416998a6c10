//! A client that changes nodes of the tree by their versions, and writes down what it asks and is told.

use std::fmt;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kv::client::{Client, ClientError};
use kv::coordination::api::{Error, Read};
use kv::coordination::tree::{Content, CreateMode, Path, Refusal, Revision, SessionId, Stat};
use kv::wire::tree::{NodeStat, TreeAnswer, TreeFailure, TreeRequest};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use super::record::Record;
use crate::history::{Answer, Call, ClientId};

/// The nodes: few, so that writers meet.
const PATHS: [&str; 5] = ["/a", "/b", "/c", "/d", "/e"];
/// The longest pause between two calls, in milliseconds.
const PAUSE_MS_MAX: u64 = 20;
/// How often a node is deleted rather than set.
const DELETING: f64 = 0.1;

/// The client. It has no session of its own: whichever node it asks does as it says, in that node's session. So nothing that is
/// promised to a session is recorded as promised.
pub struct Writer {
    client: Client,
    record: Arc<Record>,
    id: ClientId,
    rng: StdRng,
    done: Done,
}

/// What writers have done.
#[derive(Default)]
pub struct Done {
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Writes that the service refused, mostly because another was faster.
    refused: usize,
    /// Writes of which nobody knows what came of them.
    unknown: usize,
    /// Calls that were surely not carried out.
    unavailable: usize,
    /// Reads.
    reads: usize,
}

impl Writer {
    /// The number tells it from others.
    pub fn new(client: Client, record: Arc<Record>, number: u32) -> Writer {
        let (id, rng) = (ClientId(number), StdRng::seed_from_u64(number.into()));
        Writer { client, record, id, rng, done: Done::default() }
    }

    /// Until it is stopped.
    pub async fn run(mut self, stop: Arc<AtomicBool>) -> Done {
        while !stop.load(Ordering::Relaxed) {
            let path: Path = PATHS.choose(&mut self.rng).expect("paths").parse().expect("a path");
            self.change(path).await;
            sleep(Duration::from_millis(self.rng.random_range(0..=PAUSE_MS_MAX))).await;
        }
        self.done
    }

    /// Reads every node, until each has been read.
    pub async fn look_at_all(mut self) {
        for path in PATHS {
            while matches!(self.get(path.parse().expect("a path")).await, Answer::Failed(Error::ConnectionLoss { .. }))
            {
            }
        }
    }

    /// Reads a node and changes what it read, if nobody else does.
    async fn change(&mut self, path: Path) {
        let write = match self.get(path.clone()).await {
            Answer::Content(read) => {
                let expected = Some(read.value.stat.version);
                if self.rng.random_bool(DELETING) {
                    Call::Delete { path, expected }
                } else {
                    Call::Set { path, data: self.record.next_data(), expected }
                }
            }
            Answer::Failed(Error::Refused(Refusal::NoNode { .. })) => {
                Call::Create { path, data: self.record.next_data(), mode: CreateMode::Persistent }
            }
            _ => return,
        };
        let request = request(&write);
        match self.ask(write, request).await {
            Answer::Failed(Error::Refused(_)) => self.done.refused += 1,
            Answer::Failed(Error::OutcomeUnknown { .. }) => self.done.unknown += 1,
            Answer::Failed(_) => {}
            _ => self.done.acknowledged += 1,
        }
    }

    /// A read that sees all that was acknowledged before.
    async fn get(&mut self, path: Path) -> Answer {
        self.done.reads += 1;
        // One question to the node, which is these two.
        self.record.call(self.id, Call::Sync, async { Answer::Done }).await;
        let request = TreeRequest::Get { path: path.to_string(), sync: true };
        self.ask(Call::Get { path }, request).await
    }

    async fn ask(&mut self, call: Call, request: TreeRequest) -> Answer {
        let answer = async { self.client.tree(request).await.map_or_else(|error| Answer::Failed(failed(error)), told) };
        let answer = self.record.call(self.id, call, answer).await;
        self.done.unavailable += usize::from(matches!(answer, Answer::Failed(Error::ConnectionLoss { .. })));
        answer
    }
}

fn request(write: &Call) -> TreeRequest {
    match write.clone() {
        Call::Create { path, data, .. } => {
            TreeRequest::Create { path: path.to_string(), data, sequential: false, held: false }
        }
        Call::Set { path, data, expected } => TreeRequest::Set { path: path.to_string(), data, expected },
        Call::Delete { path, expected } => TreeRequest::Delete { path: path.to_string(), expected },
        other => panic!("{other} is no write"),
    }
}

fn told(answer: TreeAnswer) -> Answer {
    match answer {
        TreeAnswer::Node(node) => {
            let value = Content { data: node.data, stat: stat(&node.stat) };
            Answer::Content(Read { value, revision: Revision(node.revision) })
        }
        // A create of a path that is there is refused, so this one made version 0.
        TreeAnswer::Written { path, stat: written } if written.created == written.modified => {
            Answer::Created { path: path.parse().expect("a path"), stat: stat(&written) }
        }
        TreeAnswer::Written { stat: written, .. } => Answer::Set(stat(&written)),
        TreeAnswer::Deleted => Answer::Done,
        other => panic!("{other:?}"),
    }
}

fn stat(stat: &NodeStat) -> Stat {
    Stat {
        created: Revision(stat.created),
        modified: Revision(stat.modified),
        version: stat.version,
        children_version: stat.children_version,
        owner: stat.owner.map(SessionId),
        data_bytes: stat.data_bytes,
        children: stat.children,
    }
}

fn failed(error: ClientError) -> Error {
    let path = |path: String| path.parse::<Path>().expect("a path");
    match error {
        error if error.outcome_unknown() => Error::OutcomeUnknown { cause: error.to_string() },
        ClientError::Tree(TreeFailure::NoNode { path: missing }) => Refusal::NoNode { path: path(missing) }.into(),
        ClientError::Tree(TreeFailure::NodeExists { path: present }) => {
            Refusal::NodeExists { path: path(present) }.into()
        }
        ClientError::Tree(TreeFailure::BadVersion { path: present, expected, .. }) => {
            Refusal::BadVersion { path: path(present), expected }.into()
        }
        error if error.retryable() => Error::ConnectionLoss { cause: error.to_string() },
        error => panic!("{error}"),
    }
}

impl Add for Done {
    type Output = Done;

    fn add(self, other: Done) -> Done {
        Done {
            acknowledged: self.acknowledged + other.acknowledged,
            refused: self.refused + other.refused,
            unknown: self.unknown + other.unknown,
            unavailable: self.unavailable + other.unavailable,
            reads: self.reads + other.reads,
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Done { acknowledged, refused, unknown, unavailable, reads } = self;
        write!(
            f,
            "{acknowledged} writes acknowledged, {refused} refused by version, {unknown} of unknown outcome, {reads} reads; \
             {unavailable} calls surely not carried out"
        )
    }
}
