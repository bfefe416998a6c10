//! `kv-cli cluster commit`.

use clap::Args;
use kv::client::ClientError;
use kv::core::ring::change::Action;
use kv::wire::change::{ChangeAnswer, ChangeFailure, ChangeRequest, PlanReport};
use kv::wire::tree::TreeFailure;
use serde_json::json;

use super::ask::{Changes, strange};
use super::planned::planned;
use super::{brief, confirm, plan};
use crate::cluster::Where;
use crate::exit::{CliError, Exit};
use crate::output::{Output, note};

const AFTER_HELP: &str = "\
Shows the plan, asks, and commits exactly that: if somebody has staged something else meanwhile, or committed, nothing is done and \
the error says what. From then on the nodes move the partitions by themselves; nothing waits for this command.

Examples:
  kv-cli cluster commit
  kv-cli cluster commit --yes && kv-cli cluster watch
  kv-cli cluster commit --force      also what is refused but can be forced";

/// Begin what is staged
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Commit {
    /// Insist on what is refused
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Commit {
    /// Commits what was shown.
    pub async fn run(self, at: Where, output: &mut Output) -> Result<Exit, CliError> {
        let changes = Changes::at(&at).await?;
        let planned = planned(&changes).await?;
        if !output.is_json() {
            plan::print(&planned, &changes.cluster, output);
        }
        if let Some(refused) = refused(&planned.plan, self.force) {
            return Err(refused);
        }
        if !confirm::confirmed("Commit this?", self.yes, output)? {
            note(format_args!("nothing was committed"));
            return Ok(Exit::Usage);
        }
        let version = planned.plan.version;
        let committed = match changes.ask(ChangeRequest::Commit { version, force: self.force }).await {
            Ok(ChangeAnswer::Committed { number, replicas }) => (number, replicas),
            Ok(_) => return Err(strange()),
            Err(error) => return Err(lost(error, &changes).await),
        };
        let (number, replicas) = committed;
        if output.is_json() {
            output.json(&json!({ "committed": number, "replicas": replicas, "plan": plan::as_json(&planned) }));
        } else {
            output.line(format_args!(
                "change {number} is under way: {replicas} replicas are copied; `kv-cli{} cluster watch` shows it",
                changes.cluster
            ));
        }
        Ok(Exit::Done)
    }
}

/// Why the nodes would refuse it, without asking them.
fn refused(plan: &PlanReport, force: bool) -> Option<CliError> {
    if let Some(number) = plan.running
        && !plan.actions.iter().all(|action| matches!(action, Action::Remove { .. }))
    {
        return Some(CliError::Usage(format!("change {number} is under way; one follows after the other")));
    }
    let refusals = plan.refusals.iter().filter(|refusal| !force || !refusal.can_be_forced);
    let refusals: Vec<String> = refusals.map(|refusal| refusal.refusal.to_string()).collect();
    (!refusals.is_empty()).then(|| CliError::Usage(format!("the plan is refused: {}", refusals.join("; "))))
}

/// Adds to an error what others have done meanwhile, if that is why.
async fn lost(error: CliError, changes: &Changes) -> CliError {
    let CliError::Advised { error, advice } = error else { return error };
    let won = match &error {
        ClientError::Tree(TreeFailure::Change(ChangeFailure::Running { .. })) => {
            let running = changes.progress().await.ok().flatten().filter(|change| change.ended_ms.is_none());
            running.map(|change| format!("Under way is {}; it was {}.\n", brief::told(&change), brief::origin(&change)))
        }
        ClientError::Tree(TreeFailure::Change(ChangeFailure::PlanChanged { .. })) => {
            changes.plan().await.ok().map(|plan| match &plan.actions[..] {
                [] => "Nothing is staged any more: somebody cleared it, or committed it.\n".into(),
                actions => format!("Staged now: {}.\n", brief::actions(actions)),
            })
        }
        _ => None,
    };
    CliError::Advised { error, advice: won.unwrap_or_default() + &advice }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::explained::tests::plan_of;
    use kv::core::id::NodeId;

    #[test]
    fn force_insists_only_on_what_can_be_forced() {
        let leave = plan_of(&[Action::Leave { node: NodeId(3) }]);
        assert!(refused(&leave, false).unwrap().to_string().contains("2 owners"));
        assert!(refused(&leave, true).is_none());
        let unknown = plan_of(&[Action::Join { node: NodeId(9) }]);
        assert!(refused(&unknown, true).unwrap().to_string().contains("node 9 is no member"));
    }

    #[test]
    fn one_change_follows_another_but_for_removals() {
        let mut join = plan_of(&[Action::Join { node: NodeId(4) }]);
        assert!(refused(&join, false).is_none());
        join.running = Some(3);
        assert!(refused(&join, false).unwrap().to_string().contains("change 3 is under way"));
        join.actions = vec![Action::Remove { node: NodeId(2) }];
        assert!(refused(&join, false).is_none());
    }
}
