//! What clients asked of the service, what they were told, and when.
//!
//! Things that happen get rising [`Place`]s, whoever they happen to, so *before* is one comparison; the time of each is kept
//! beside it, for promises that are about time.

mod print;

use std::time::Duration;

use bytes::Bytes;
use kv::coordination::api::{Error, Read};
use kv::coordination::tree::{Content, CreateMode, Listing, Path, Refusal, Revision, SessionId, Stat};
use kv::coordination::watch::Watched;

/// Microseconds since the history began.
pub type Micros = u64;

/// Where in the history something happened.
pub type Place = usize;

/// One thread of control: it asks, waits for the answer or gives up, and asks again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub u32);

/// Names a watch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WatchNumber(pub u32);

/// Names an operation: its place in the list of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OperationId(pub usize);

/// What was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    Open { timeout: Duration },
    Renew,
    Close,
    Create { path: Path, data: Bytes, mode: CreateMode },
    Set { path: Path, data: Bytes, expected: Option<u64> },
    Delete { path: Path, expected: Option<u64> },
    Get { path: Path },
    Exists { path: Path },
    Children { path: Path },
    Sync,
    Watch { path: Path, watched: Watched, watch: WatchNumber },
    Changed { watch: WatchNumber },
}

impl Call {
    /// Whether it may change the tree.
    pub fn is_write(&self) -> bool {
        matches!(self, Call::Create { .. } | Call::Set { .. } | Call::Delete { .. })
    }

    /// The data that it would put into the tree.
    pub fn data(&self) -> Option<&Bytes> {
        match self {
            Call::Create { data, .. } | Call::Set { data, .. } => Some(data),
            _ => None,
        }
    }

    /// The node it is about.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Call::Create { path, .. }
            | Call::Set { path, .. }
            | Call::Delete { path, .. }
            | Call::Get { path }
            | Call::Exists { path }
            | Call::Children { path }
            | Call::Watch { path, .. } => Some(path),
            Call::Open { .. } | Call::Renew | Call::Close | Call::Sync | Call::Changed { .. } => None,
        }
    }
}

/// What was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Opened { timeout: Duration },
    Done,
    Created { path: Path, stat: Stat },
    Set(Stat),
    Content(Read<Content>),
    Stat(Read<Option<Stat>>),
    Listing(Read<Listing>),
    Failed(Error),
}

/// How an operation ended for who asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It has not: who asked is waiting still.
    Pending,
    /// Who asked waits no longer, or died.
    Abandoned(Place),
    /// By an answer.
    Answered(Place, Answer),
}

/// Something that was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    pub client: ClientId,
    /// Through which session; of [`Call::Open`] the one that was opened.
    pub session: Option<SessionId>,
    pub call: Call,
    pub invoked: Place,
    pub end: End,
}

impl Operation {
    /// The answer, and where it came.
    pub fn answer(&self) -> Option<(Place, &Answer)> {
        match &self.end {
            End::Answered(place, answer) => Some((*place, answer)),
            End::Pending | End::Abandoned(_) => None,
        }
    }

    /// Where it ended for who asked.
    pub fn ended(&self) -> Option<Place> {
        match self.end {
            End::Pending => None,
            End::Abandoned(place) | End::Answered(place, _) => Some(place),
        }
    }

    /// Where it was answered that it was done.
    pub fn succeeded(&self) -> Option<Place> {
        self.answer().filter(|(_, answer)| !matches!(answer, Answer::Failed(_))).map(|(place, _)| place)
    }

    /// The revision of a write that was acknowledged. A delete is not told it.
    pub fn written(&self) -> Option<Revision> {
        match self.answer()?.1 {
            Answer::Created { stat, .. } | Answer::Set(stat) => Some(stat.modified),
            _ => None,
        }
    }

    /// At which revision it read.
    pub fn read(&self) -> Option<Revision> {
        match self.answer()?.1 {
            Answer::Content(read) => Some(read.revision),
            Answer::Stat(read) => Some(read.revision),
            Answer::Listing(read) => Some(read.revision),
            _ => None,
        }
    }

    /// Whether what it asked was surely not done: the service said so.
    pub fn surely_failed(&self) -> bool {
        match self.answer() {
            Some((_, Answer::Failed(error))) => !may_have_happened(error),
            _ => false,
        }
    }
}

/// Whether a write that was answered so may have changed something all the same.
fn may_have_happened(error: &Error) -> bool {
    match error {
        Error::OutcomeUnknown { .. } | Error::Refused(Refusal::GivenUp { .. }) => true,
        Error::Refused(_) | Error::SessionExpired | Error::ConnectionLoss { .. } => false,
    }
}

/// A replica's whole state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replica {
    pub name: String,
    /// The last entry of the log in it.
    pub applied: u64,
    /// Its bytes.
    pub state: Bytes,
}

/// All of it.
#[derive(Clone, Default, Debug)]
pub struct History {
    operations: Vec<Operation>,
    /// When each place was.
    times: Vec<Micros>,
    replicas: Vec<Replica>,
    /// What happened to the service, for people.
    notes: Vec<(Place, String)>,
}

impl History {
    /// Somebody asks.
    pub fn invoke(&mut self, at: Micros, client: ClientId, session: Option<SessionId>, call: Call) -> OperationId {
        let invoked = self.place(at);
        self.operations.push(Operation { client, session, call, invoked, end: End::Pending });
        OperationId(self.operations.len() - 1)
    }

    /// Is answered.
    pub fn answer(&mut self, at: Micros, operation: OperationId, answer: Answer) {
        let place = self.place(at);
        self.operations[operation.0].end = End::Answered(place, answer);
    }

    /// A session was opened, by the answer to that call.
    pub fn opened(&mut self, at: Micros, operation: OperationId, session: SessionId, timeout: Duration) {
        self.answer(at, operation, Answer::Opened { timeout });
        self.operations[operation.0].session = Some(session);
    }

    /// Or waits no longer; an operation that has ended stays as it is.
    pub fn abandon(&mut self, at: Micros, operation: OperationId) {
        if self.operations[operation.0].end == End::Pending {
            let place = self.place(at);
            self.operations[operation.0].end = End::Abandoned(place);
        }
    }

    /// A replica was looked at.
    pub fn replica(&mut self, replica: Replica) {
        self.replicas.push(replica);
    }

    /// Something happened to the service.
    pub fn note(&mut self, at: Micros, what: String) {
        let place = self.place(at);
        self.notes.push((place, what));
    }

    /// All operations, in the order in which they were asked.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// One of them.
    pub fn operation(&self, id: OperationId) -> &Operation {
        &self.operations[id.0]
    }

    /// All operations with their names.
    pub fn named(&self) -> impl Iterator<Item = (OperationId, &Operation)> {
        self.operations.iter().enumerate().map(|(index, operation)| (OperationId(index), operation))
    }

    /// All replicas that were looked at.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// When something happened.
    pub fn time(&self, place: Place) -> Micros {
        self.times[place]
    }

    /// The first place that is not before that time; the end if there is none.
    pub fn first_at(&self, time: Micros) -> Place {
        self.times.partition_point(|at| *at < time)
    }

    fn place(&mut self, at: Micros) -> Place {
        // A host that is being torn down has no clock any more.
        self.times.push(self.times.last().map_or(at, |last| at.max(*last)));
        self.times.len() - 1
    }
}
