//! Judging who calls.

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
    let is_behind = start.number < record.start || (start.number == record.start && start.nonce != record.nonce);
    if is_behind && !mutant!(RolledBackVoterTakesPart) {
        return Err(Verdict::RolledBack { store, shown: start.number, seen: record.start });
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
