//! Changes of the ring, for operators. What may be changed is the registry's to judge.

use super::Clerk;
use crate::coordination::api::Session;
use crate::coordination::registry::{self, change};
use crate::wire::change::{ChangeAnswer, ChangeRequest};
use crate::wire::tree::{TreeAnswer, TreeFailure};

impl Clerk {
    /// Carries out what is asked about ring changes.
    pub(super) async fn change(
        &self,
        session: &dyn Session,
        request: ChangeRequest,
    ) -> Result<TreeAnswer, TreeFailure> {
        let answer = self.changed(session, request).await.map_err(|error| self.tell_registry(error))?;
        Ok(TreeAnswer::Change(Box::new(answer)))
    }

    async fn changed(&self, session: &dyn Session, request: ChangeRequest) -> Result<ChangeAnswer, registry::Error> {
        Ok(match request {
            ChangeRequest::Stage(action) => ChangeAnswer::Staged(change::stage(session, action).await?),
            ChangeRequest::Clear => ChangeAnswer::Staged(change::clear(session).await?),
            ChangeRequest::Plan => ChangeAnswer::Plan(change::plan_report(&current(session).await?)),
            ChangeRequest::Commit { version, force } => {
                let record = change::commit(session, version, force, self.node, self.wall_ms()).await?;
                let replicas = record
                    .moves()
                    .into_values()
                    .map(|(before, after)| after.iter().filter(|store| !before.contains(store)).count() as u32);
                ChangeAnswer::Committed { number: record.number, replicas: replicas.sum() }
            }
            ChangeRequest::TurnBack { number } => {
                change::turn_back(session, number).await?;
                progress(session).await?
            }
            ChangeRequest::Progress => progress(session).await?,
            ChangeRequest::Forget { store } => {
                let node = change::forget(session, store, self.wall_ms()).await?;
                ChangeAnswer::Forgotten { store, node }
            }
            ChangeRequest::AutoRemove { after_ms } => {
                change::set_auto_remove_after(session, after_ms).await?;
                ChangeAnswer::AutoRemove { after_ms }
            }
        })
    }
}

async fn progress(session: &dyn Session) -> Result<ChangeAnswer, registry::Error> {
    Ok(ChangeAnswer::Change(change::progress(&current(session).await?).map(Box::new)))
}

/// The registry with all that was written through other nodes a moment ago.
async fn current(session: &dyn Session) -> Result<registry::View, registry::Error> {
    session.sync().await?;
    registry::read(session).await
}
