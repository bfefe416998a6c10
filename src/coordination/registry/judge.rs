//! Judging who calls.
//!
//! Each node judges by its own copy of the tree, at every greeting, so a store that was rolled back is refused by those who know
//! a later start of it and by nobody else. For a voter of the embedded service that is enough if a majority of the voters,
//! *without* the one that came back, have applied a later start: then it and those who do not know are no majority, and can
//! neither elect nor acknowledge. In other words: a copy of a voter's disk is told once the voter was started again after the
//! copy was made, and that start has reached the others. A copy of the latest start looks like a restart and cannot be told; who
//! restores a backup of a voter gives it an empty directory instead.

use crate::coordination::tree::Tree;
use crate::core::id::Start;
use crate::mutant;

use super::access;
use super::error::{Error, Verdict};
use super::paths;
use super::records::{StoreRecord, StoreState};

/// Judges a start by what is registered of its store. A later start than the registered one is fine: it is about to be registered.
///
/// Whether one that is behind runs beside the original, as a clone, or alone, as what came of a backup, is not seen here.
///
/// # Errors
/// A [`Verdict`].
pub fn judge(registered: Option<&StoreRecord>, start: Start) -> Result<(), Verdict> {
    let store = start.store;
    let Some(record) = registered else { return Err(Verdict::Unknown { store }) };
    if record.state == StoreState::Replaced {
        let by = record.replaced_by.unwrap_or(store);
        return Err(Verdict::Replaced { store, node: record.node, by });
    }
    if record.state == StoreState::Forgotten {
        return Err(Verdict::Forgotten { store });
    }
    let is_behind = start.number < record.start || (start.number == record.start && start.nonce != record.nonce);
    if is_behind && !mutant!(RolledBackVoterTakesPart) {
        return Err(Verdict::RolledBack { store, shown: start.number, seen: record.start });
    }
    if record.state == StoreState::Left && start.number == record.start {
        return Err(Verdict::Left { store, node: record.node });
    }
    Ok(())
}

/// Judges a start by a node's own copy of the tree, which may be old.
///
/// # Errors
/// [`Error::Verdict`], or [`Error::Malformed`] if the store's record is none.
pub fn judge_by(tree: &Tree, start: Start) -> Result<(), Error> {
    let path = paths::store(start.store)?;
    let record = match tree.get(&path) {
        Ok(content) => Some(access::decode::<StoreRecord>(&path, &content.data)?),
        Err(_) => None,
    };
    Ok(judge(record.as_ref(), start)?)
}
