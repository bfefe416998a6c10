//! The log and the vote, as the Raft crate asks for them.

use std::fmt::Debug;
use std::ops::RangeBounds;

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{
    AnyError, Entry, ErrorSubject, ErrorVerb, LogId, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote,
};
use redb::Durability;

use super::file::{COMMITTED, File, FileError, PURGED, SNAPSHOT_META, VOTE};
use super::incoming::Incoming;
use crate::coordination::nookeeper::types::{RaftId, Types};

/// Entries are sent to a follower until they have this many bytes. The last of them may be a mebibyte longer, the largest write.
const BATCH_BYTES: u64 = 1 << 20;

/// The log of one replica. Clones are the same.
///
/// Each call is done when it returns: what it wrote is on the disk. So all of this blocks its thread while the disk syncs;
/// that thread is the service's own, and waits for nothing but this disk.
#[derive(Clone)]
pub struct LogStore {
    pub(super) file: File,
    pub(super) incoming: Incoming,
}

/// What a call of the Raft crate comes to. It stops the replica at the first error.
pub(super) type Outcome<T> = Result<T, StorageError<RaftId>>;

/// Says what the crate was doing when the file failed.
pub(super) fn on(subject: ErrorSubject<RaftId>, verb: ErrorVerb) -> impl FnOnce(FileError) -> StorageError<RaftId> {
    move |error| StorageIOError::new(subject, verb, AnyError::new(&error)).into()
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Outcome<Vec<Entry<Types>>> {
        self.file.entries(range, u64::MAX).map_err(on(ErrorSubject::Logs, ErrorVerb::Read))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Outcome<Vec<Entry<Types>>> {
        self.file.entries(start..end, BATCH_BYTES).map_err(on(ErrorSubject::Logs, ErrorVerb::Read))
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Outcome<LogState<Types>> {
        let state = || {
            let purged = self.file.get(PURGED)?;
            let last = self.file.last_entry()?.map(|entry| entry.log_id);
            Ok(LogState { last_purged_log_id: purged, last_log_id: last.or(purged) })
        };
        state().map_err(on(ErrorSubject::Logs, ErrorVerb::Read))
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<RaftId>) -> Outcome<()> {
        let put = self.file.change(Durability::Immediate, |changes| changes.put(VOTE, vote));
        put.map_err(on(ErrorSubject::Vote, ErrorVerb::Write))
    }

    async fn read_vote(&mut self) -> Outcome<Option<Vote<RaftId>>> {
        self.file.get(VOTE).map_err(on(ErrorSubject::Vote, ErrorVerb::Read))
    }

    /// Not synced: it reaches the disk with the next entry. A replica that forgot it after a power failure begins further
    /// back and is told again by the leader.
    async fn save_committed(&mut self, committed: Option<LogId<RaftId>>) -> Outcome<()> {
        let put = self.file.change(Durability::None, |changes| changes.put(COMMITTED, &committed));
        put.map_err(on(ErrorSubject::Logs, ErrorVerb::Write))
    }

    async fn read_committed(&mut self) -> Outcome<Option<LogId<RaftId>>> {
        Ok(self.file.get(COMMITTED).map_err(on(ErrorSubject::Logs, ErrorVerb::Read))?.flatten())
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Types>) -> Outcome<()>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let append = self
            .file
            .change(Durability::Immediate, |changes| entries.into_iter().try_for_each(|entry| changes.append(&entry)));
        append.map_err(on(ErrorSubject::Logs, ErrorVerb::Write))?;
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId<RaftId>) -> Outcome<()> {
        let remove = self.file.change(Durability::Immediate, |changes| changes.remove(from.index..));
        remove.map_err(on(ErrorSubject::Logs, ErrorVerb::Delete))
    }

    /// Up to an incoming snapshot nothing is removed yet.
    async fn purge(&mut self, to: LogId<RaftId>) -> Outcome<()> {
        let purge = || {
            let stored = self.file.get(SNAPSHOT_META)?.and_then(|meta| meta.last_log_id);
            if self.incoming.is_possible() && stored < Some(to) {
                return Ok(());
            }
            self.file.change(Durability::Immediate, |changes| changes.purge(to))
        };
        purge().map_err(on(ErrorSubject::Logs, ErrorVerb::Delete))
    }
}
