//! How a history is printed: one line for each thing that happened.

use std::collections::BTreeMap;
use std::fmt;

use kv::coordination::api::Read;
use kv::coordination::tree::Stat;

use super::{Answer, Call, End, History, Operation, OperationId, Place};

/// The same seed must print the same history.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut lines: BTreeMap<Place, String> = self.notes.iter().cloned().collect();
        for (id, operation) in self.named() {
            lines.insert(operation.invoked, format!("{id} {}", asked(operation)));
            match &operation.end {
                End::Pending => None,
                End::Abandoned(place) => lines.insert(*place, format!("{id} is given up")),
                End::Answered(place, answer) => lines.insert(*place, format!("{id} is answered: {answer}")),
            };
        }
        lines.iter().try_for_each(|(place, line)| writeln!(f, "{:>11} µs  {line}", self.time(*place)))
    }
}

impl History {
    /// One operation on one line, with its beginning and end.
    pub fn story(&self, id: OperationId) -> String {
        let operation = self.operation(id);
        let began = self.time(operation.invoked);
        let end = match &operation.end {
            End::Pending => "and waits".to_owned(),
            End::Abandoned(place) => format!("gives up at {} µs", self.time(*place)),
            End::Answered(place, answer) => format!("at {} µs: {answer}", self.time(*place)),
        };
        format!("{began:>11} µs  {id} {}; {end}", asked(operation))
    }
}

fn asked(operation: &Operation) -> String {
    let session = operation.session.map(|session| format!(" ({session})")).unwrap_or_default();
    format!("client {}{session}: {}", operation.client.0, operation.call)
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let at = |expected: &Option<u64>| expected.map(|version| format!(" at version {version}")).unwrap_or_default();
        match self {
            Call::Open { timeout } => write!(f, "open for {timeout:?}"),
            Call::Renew => f.write_str("renew"),
            Call::Close => f.write_str("close"),
            Call::Create { path, data, mode } => write!(f, "create {path} as {mode:?} with {data:?}"),
            Call::Set { path, data, expected } => write!(f, "set {path}{} to {data:?}", at(expected)),
            Call::Delete { path, expected } => write!(f, "delete {path}{}", at(expected)),
            Call::Get { path } => write!(f, "get {path}"),
            Call::Exists { path } => write!(f, "exists {path}"),
            Call::Children { path } => write!(f, "children of {path}"),
            Call::Sync => f.write_str("sync"),
            Call::Watch { path, watched, watch } => write!(f, "watch {} of {path}: {watched:?}", watch.0),
            Call::Changed { watch } => write!(f, "await watch {}", watch.0),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Answer::Opened { timeout } => write!(f, "opened for {timeout:?}"),
            Answer::Done => f.write_str("done"),
            Answer::Created { path, stat } => write!(f, "created {path}, {}", Brief(stat)),
            Answer::Set(stat) => write!(f, "set, {}", Brief(stat)),
            Answer::Content(Read { value, revision }) => {
                write!(f, "{:?}, {}, read at revision {revision}", value.data, Brief(&value.stat))
            }
            Answer::Stat(Read { value: Some(stat), revision }) => {
                write!(f, "{}, read at revision {revision}", Brief(stat))
            }
            Answer::Stat(Read { value: None, revision }) => write!(f, "nothing, read at revision {revision}"),
            Answer::Listing(Read { value, revision }) => write!(f, "{:?}, read at revision {revision}", value.names),
            Answer::Failed(error) => write!(f, "{error}"),
        }
    }
}

/// What of a node's stat says which write made it.
struct Brief<'a>(&'a Stat);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Stat { created, modified, version, owner, .. } = self.0;
        write!(f, "version {version} of revision {modified}, created at {created}")?;
        owner.map_or(Ok(()), |owner| write!(f, " by {owner}"))
    }
}
