//! The way back when a majority of the voters is lost for good.
//!
//! An operator chooses the surviving replica that got furthest, and its file is rewritten while it is stopped: it becomes the
//! only voter of a new generation, and all others, also survivors, begin anew as learners of it. What the lost majority
//! acknowledged and this replica never got is gone; nothing that comes after can be mistaken for it (see [`State::recover`]).
//!
//! The replica may hold entries that it does not know to be committed. They are kept: the majority may have acknowledged
//! them. If it did not, their senders were told that the outcome is unknown.
//!
//! [`State::recover`]: crate::coordination::state::State::recover

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use openraft::{CommittedLeaderId, LogId, Membership, StoredMembership, Vote};
use redb::{Database, Durability};

use super::file::{COMMITTED, File, FileError, OpenError, PURGED, VOTE};
use super::machine::{snapshot_of, stored_point};
use super::replica::Point;
use super::{PathError, at_path};
use crate::coordination::nookeeper::types::{Endpoint, RaftId};
use crate::coordination::state::GenerationError;
use crate::coordination::tree::{Revision, SessionId};

/// What a stopped replica holds, for whoever has to choose the one to recover.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survey {
    /// How many recoveries there were before.
    pub generation: u32,
    /// The last entry that it holds. Of two replicas of one generation the one whose entry has the higher term got further; of
    /// one term, the one with the higher index.
    pub last: LogId<RaftId>,
    /// The revision that the tree has with it.
    pub revision: Revision,
    /// Who votes by what it knows.
    pub voters: BTreeMap<RaftId, Endpoint>,
}

/// What a recovery came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// The last entry that the replica held; what came after it is lost.
    pub last: LogId<RaftId>,
    /// The revision that the tree had with it.
    pub before: Revision,
    /// The revision that it has now.
    pub revision: Revision,
    /// The sessions that were ended.
    pub ended: Vec<SessionId>,
}

/// Why a file was not rewritten. It is as before.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// It cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It holds nothing, so that recovering it would make an empty cluster of one that is perhaps not lost.
    #[error("it holds nothing to recover; choose the replica that got furthest")]
    Empty,
    /// The generation does not rise.
    #[error(transparent)]
    Generation(#[from] GenerationError),
}

impl From<FileError> for RecoverError {
    fn from(error: FileError) -> RecoverError {
        RecoverError::Open(error.into())
    }
}

/// Makes the file of a stopped replica that of the only voter, `own`, of a new generation. It happens whole or not at all.
///
/// # Errors
/// [`RecoverError`].
pub fn recover(database: Database, own: RaftId, endpoint: Endpoint) -> Result<Recovered, RecoverError> {
    let file = File::open(database)?;
    let (mut point, last) = latest(&file)?;
    let before = point.state.tree().revision();
    let ended = point.state.recover(own.generation)?;
    let revision = point.state.tree().revision();

    let voted = file.get(VOTE)?.map_or(0, |vote| vote.leader_id().term);
    let term = last.leader_id.term.max(voted) + 1;
    let recovered = LogId::new(CommittedLeaderId::new(term, own), last.index + 1);
    let membership = Membership::new(vec![BTreeSet::from([own])], BTreeMap::from([(own, endpoint)]));
    point.applied = Some(recovered);
    point.membership = StoredMembership::new(Some(recovered), membership);
    let (meta, snapshot) = snapshot_of(point)?;
    file.change(Durability::Immediate, |changes| {
        changes.remove(..)?;
        changes.put(VOTE, &Vote::new(term, own))?;
        changes.put(PURGED, &recovered)?;
        changes.put(COMMITTED, &Some(recovered))?;
        changes.put_snapshot(&meta, &snapshot)
    })?;
    Ok(Recovered { last, before, revision, ended })
}

/// The point after all entries of a file, and the last of them.
fn latest(file: &File) -> Result<(Point, LogId<RaftId>), RecoverError> {
    let mut point = stored_point(file)?;
    let next = point.applied.map_or(0, |applied| applied.index + 1);
    for (entry, index) in file.entries(next.., u64::MAX)?.into_iter().zip(next..) {
        if entry.log_id.index != index {
            let detail = format!("it goes on with {}", entry.log_id.index);
            return Err(FileError::Damaged { what: format!("the log before entry {index}"), detail }.into());
        }
        point.apply(entry);
    }
    let last = point.applied.ok_or(RecoverError::Empty)?;
    Ok((point, last))
}

/// Looks into the file of a stopped replica; nothing in it changes.
///
/// # Errors
/// [`RecoverError`].
pub fn survey(database: Database) -> Result<Survey, RecoverError> {
    let (point, last) = latest(&File::open(database)?)?;
    let membership = point.membership.membership();
    let endpoint = |id| membership.get_node(&id).map(|endpoint| (id, endpoint.clone()));
    Ok(Survey {
        generation: point.state.generation(),
        last,
        revision: point.state.tree().revision(),
        voters: membership.voter_ids().filter_map(endpoint).collect(),
    })
}

/// [`survey`] of a file that is there.
///
/// # Errors
/// [`PathError`], which names the file.
pub fn survey_path(path: &Path) -> Result<Survey, PathError<RecoverError>> {
    at_path(path, existing(path).and_then(survey))
}

/// [`recover`] for a file that is there.
///
/// # Errors
/// [`PathError`], which names the file.
pub fn recover_path(path: &Path, own: RaftId, endpoint: Endpoint) -> Result<Recovered, PathError<RecoverError>> {
    at_path(path, existing(path).and_then(|database| recover(database, own, endpoint)))
}

fn existing(path: &Path) -> Result<Database, RecoverError> {
    Ok(super::existing(path).map_err(FileError::from)?)
}
