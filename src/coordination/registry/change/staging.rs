//! What operators stage.

use crate::coordination::api::Session;
use crate::coordination::tree::{Change, CreateMode, Stat};
use crate::core::ring::change::{self, Action};
use crate::wire::change::StagedReport;

use super::super::access::{self, Attempts, Record, Written};
use super::super::error::Error;
use super::super::paths;
use super::super::view::View;
use super::records::PlanRecord;

/// Actions that may be staged at once: more than a cluster has nodes is a mistake.
const ACTIONS_MAX: usize = 4096;

/// Stages an action. It takes the place of earlier ones about the same node.
///
/// # Errors
/// Those of the service.
pub async fn stage(session: &dyn Session, action: Action) -> Result<StagedReport, Error> {
    edit(session, |actions| change::stage(actions, action.clone())).await
}

/// Forgets what is staged.
///
/// # Errors
/// Those of the service.
pub async fn clear(session: &dyn Session) -> Result<StagedReport, Error> {
    edit(session, std::mem::take).await
}

async fn edit(session: &dyn Session, edit: impl Fn(&mut Vec<Action>) -> Vec<Action>) -> Result<StagedReport, Error> {
    let path = paths::path(paths::PLAN)?;
    let mut attempts = Attempts::at(paths::PLAN);
    session.sync().await?;
    let mut written = None;
    loop {
        attempts.another()?;
        let before = access::read::<PlanRecord>(session, &path).await?;
        let version = version(before.as_ref());
        if let Some(record) = before.as_ref().map(|before| &before.value)
            && let Some((_, superseded)) = written.take_if(|(written, _)| written == record)
        {
            // Its outcome was unknown, and it happened.
            return Ok(StagedReport { version, actions: record.actions.clone(), superseded });
        }
        let mut record = before.as_ref().map(|before| before.value.clone()).unwrap_or_default();
        let superseded = edit(&mut record.actions);
        if record.actions.len() > ACTIONS_MAX {
            return Err(Error::Invalid { reason: format!("at most {ACTIONS_MAX} actions can be staged") });
        }
        if access::write(session, vec![replaced(&record, before.as_ref())?]).await? == Written::Yes {
            return Ok(StagedReport { version: version + 1, actions: record.actions, superseded });
        }
        written = Some((record, superseded));
    }
}

/// The version of what is staged, as operators name it.
pub(in super::super) fn version(staged: Option<&Record<PlanRecord>>) -> u64 {
    staged.map_or(0, |staged| staged.stat.version + 1)
}

/// What is staged, as it was read.
pub(super) fn of(view: &View, stat: Stat) -> Record<PlanRecord> {
    Record { value: view.staged.record.clone(), stat, revision: view.revision }
}

/// Puts a list of actions in the place of another.
pub(super) fn replaced(record: &PlanRecord, before: Option<&Record<PlanRecord>>) -> Result<Change, Error> {
    let path = paths::path(paths::PLAN)?;
    match before {
        Some(before) => access::set(path, record, &before.stat),
        None => access::create(path, record, CreateMode::Persistent),
    }
}
