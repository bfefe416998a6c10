//! The store over real files and over simulated ones.

mod damage;
mod incoming;
mod power;
mod restart;
mod suite;

use std::path::Path;

use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId};
use redb::Database;

use super::{FileError, LogStore, Machine, OpenError, PathError, at_path, existing, open};
use crate::coordination::nookeeper::types::{RaftId, Types};
use crate::coordination::state::{Action, Command};
use crate::coordination::tree::{Change, CreateMode, SessionId};

/// Opens the file of a replica, or makes it.
fn open_path(path: &Path) -> Result<(LogStore, Machine), PathError<OpenError>> {
    let database = if path.exists() { existing(path) } else { Database::create(path) };
    at_path(path, database.map_err(|error| FileError::from(error).into()).and_then(open))
}

/// The session that the first entry opens.
const SESSION: SessionId = SessionId(1);

fn log_id(term: u64, index: u64) -> LogId<RaftId> {
    LogId::new(CommittedLeaderId::new(term, RaftId::default()), index)
}

fn command(term: u64, index: u64, action: Action) -> Entry<Types> {
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(Command { now_ms: index, action }) }
}

/// An entry whose index decides what it does: the first opens [`SESSION`], all others create a node there.
fn entry(term: u64, index: u64) -> Entry<Types> {
    if index == 0 {
        return command(term, index, Action::Open { timeout_ms: 10_000 });
    }
    let data = vec![index as u8; (index % 7 * 300) as usize].into();
    let path = format!("/n{index}").parse().unwrap();
    let changes = vec![Change::Create { path, data, mode: CreateMode::Ephemeral }];
    command(term, index, Action::Write { session: SESSION, sequence: index, settled_below: index, changes })
}

/// Appends entries and applies them, as a leader without followers does.
async fn commit(log: &mut LogStore, machine: &mut Machine, entries: Vec<Entry<Types>>) {
    let last = entries.last().map(|entry| entry.log_id);
    log.blocking_append(entries.clone()).await.unwrap();
    log.save_committed(last).await.unwrap();
    machine.apply(entries).await.unwrap();
}
