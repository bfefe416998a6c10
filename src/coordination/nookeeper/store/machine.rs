//! The state machine and its snapshots, as the Raft crate asks for them.
//!
//! Only snapshots are stored. What was applied since the last one is applied again at a start, from the log.

use std::io::Cursor;
use std::sync::Arc;

use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{
    AnyError, Entry, ErrorSubject, ErrorVerb, LogId, OptionalSend, RaftSnapshotBuilder, StorageIOError,
    StoredMembership,
};
use redb::Durability;

use super::file::{File, FileError, Meta, SNAPSHOT_META};
use super::incoming::Incoming;
use super::log::{Outcome, on};
use super::replica::{Point, Replica};
use crate::coordination::nookeeper::types::{Endpoint, RaftId, Types};
use crate::coordination::state::{Reply, State};

/// Applies the log of one replica. Clones are the same.
#[derive(Clone)]
pub struct Machine {
    file: File,
    incoming: Incoming,
    replica: Arc<Replica>,
}

impl Machine {
    /// At the point of the snapshot in the file, or at the beginning.
    pub(super) fn open(file: File, incoming: Incoming) -> Result<Machine, FileError> {
        let point = stored_point(&file)?;
        Ok(Machine { file, incoming, replica: Arc::new(Replica::new(point)) })
    }

    /// What is applied, for readers.
    pub fn replica(&self) -> Arc<Replica> {
        self.replica.clone()
    }
}

/// The point of the log that the snapshot in the file was made at; without one the beginning.
pub(super) fn stored_point(file: &File) -> Result<Point, FileError> {
    let Some((meta, bytes)) = file.snapshot()? else { return Ok(Point::default()) };
    let damaged = |detail: String| FileError::Damaged { what: "the snapshot".to_owned(), detail };
    let state = State::restore(&bytes).map_err(|error| damaged(error.to_string()))?;
    Ok(Point { state, applied: meta.last_log_id, membership: meta.last_membership })
}

/// What a snapshot of a point is to be stored and sent with, and its bytes.
pub(super) fn snapshot_of(point: Point) -> Result<(Meta, Vec<u8>), FileError> {
    let bytes = point
        .state
        .snapshot()
        .map_err(|error| FileError::Unwritable { what: "the snapshot".to_owned(), detail: error.to_string() })?;
    // Replicas at one point make the same bytes, so the point names the snapshot.
    let snapshot_id = point.applied.map_or_else(|| "empty".to_owned(), |applied| applied.to_string());
    Ok((Meta { last_log_id: point.applied, last_membership: point.membership, snapshot_id }, bytes.into()))
}

impl RaftSnapshotBuilder<Types> for Machine {
    /// Holds the replica's lock while it copies the state, not while it makes bytes of it.
    async fn build_snapshot(&mut self) -> Outcome<Snapshot<Types>> {
        let build = || {
            let (meta, bytes) = snapshot_of(self.replica.point())?;
            self.file.change(Durability::Immediate, |changes| {
                // One from the leader may have been installed since.
                let is_newer = changes.get(SNAPSHOT_META)?.is_none_or(|stored| stored.last_log_id <= meta.last_log_id);
                if is_newer { changes.put_snapshot(&meta, &bytes) } else { Ok(()) }
            })?;
            Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) })
        };
        build().map_err(on(ErrorSubject::Snapshot(None), ErrorVerb::Write))
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Outcome<(Option<LogId<RaftId>>, StoredMembership<RaftId, Endpoint>)> {
        Ok((self.replica.applied(), self.replica.membership()))
    }

    async fn apply<I>(&mut self, entries: I) -> Outcome<Vec<Reply>>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        Ok(self.replica.apply(entries))
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Outcome<Box<Cursor<Vec<u8>>>> {
        self.incoming.begin();
        Ok(Box::default())
    }

    /// Stores it before it is seen: a restart must not fall behind what readers saw. The log that it covers goes with it.
    async fn install_snapshot(&mut self, meta: &Meta, snapshot: Box<Cursor<Vec<u8>>>) -> Outcome<()> {
        let bytes = snapshot.into_inner();
        let state = State::restore(&bytes)
            .map_err(|error| StorageIOError::read_snapshot(Some(meta.signature()), AnyError::new(&error)))?;
        let put = self.file.change(Durability::Immediate, |changes| {
            meta.last_log_id.map_or(Ok(()), |last| changes.purge(last))?;
            changes.put_snapshot(meta, &bytes)
        });
        put.map_err(on(ErrorSubject::Snapshot(Some(meta.signature())), ErrorVerb::Write))?;
        self.replica.jump(Point { state, applied: meta.last_log_id, membership: meta.last_membership.clone() });
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Outcome<Option<Snapshot<Types>>> {
        let stored = self.file.snapshot().map_err(on(ErrorSubject::Snapshot(None), ErrorVerb::Read))?;
        Ok(stored.map(|(meta, bytes)| Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) }))
    }
}
