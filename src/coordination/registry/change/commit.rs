//! Beginning a change, and turning it back.

use std::collections::BTreeSet;

use crate::coordination::api::Session;
use crate::coordination::tree::{Change, CreateMode};
use crate::core::id::{NodeId, Partition};
use crate::core::ring::change::{self, Action, Direction, Moves, Origin, Plan, Refusal, Situation, Standing};
use crate::wire::change::ChangeFailure;

use super::super::access::{self, Attempts, Record, Written};
use super::super::error::Error;
use super::super::paths;
use super::super::view::{Versions, View, read_with_versions};
use super::records::{ChangeRecord, MemberChange, PlanRecord, Terms};
use super::situation::situation;
use super::staging;

/// Begins what is staged, if that is still what the operator looked at: `version` of it. `force` insists on what is refused but can be
/// forced. `through` is the node that is asked.
///
/// While a change runs, only removals of nodes that are down can be committed: that change then does without them.
///
/// # Errors
/// [`Error::Change`] if another change runs, if something else is staged by now, or if the plan is refused.
pub async fn commit(
    session: &dyn Session,
    version: u64,
    force: bool,
    through: NodeId,
    now_ms: u64,
) -> Result<ChangeRecord, Error> {
    let mut attempts = Attempts::at(paths::CHANGE);
    let mut tried: Option<ChangeRecord> = None;
    loop {
        attempts.another()?;
        session.sync().await?;
        let (view, versions) = read_with_versions(session).await?;
        if let Some(ours) = tried.take_if(|tried| view.change.as_ref() == Some(tried)) {
            return Ok(ours);
        }
        let change = committed(&view, version, force, through, now_ms)?;
        let staged = versions.plan.clone().map(|stat| staging::of(&view, stat));
        let nothing = PlanRecord { actions: vec![], ..view.staged.record.clone() };
        let writes = vec![
            written(&change, &versions)?,
            staging::replaced(&nothing, staged.as_ref())?,
            Change::Check { path: paths::path(paths::RING)?, expected: Some(versions.ring.version) },
        ];
        if access::write(session, writes).await? == Written::Yes {
            return Ok(change);
        }
        tried = Some(change);
    }
}

/// The change that is staged, as it would begin now.
fn committed(
    view: &View,
    version: u64,
    force: bool,
    through: NodeId,
    now_ms: u64,
) -> Result<ChangeRecord, ChangeFailure> {
    let actions = &view.staged.record.actions;
    if let Some(running) = view.running()
        && (view.staged.version != version || !may_amend(view, actions))
    {
        let ChangeRecord { number, origin, through, .. } = *running;
        return Err(ChangeFailure::Running { number, origin, through });
    }
    if view.staged.version != version {
        return Err(ChangeFailure::PlanChanged { expected: version, found: view.staged.version });
    }
    if actions.is_empty() {
        return Err(ChangeFailure::Refused(vec![Refusal::Nothing]));
    }
    let forward = situation(view, Direction::Forward);
    let plan = change::plan(&forward, actions);
    if plan.refusals.iter().any(|refusal| !force || !refusal.can_be_forced()) {
        return Err(ChangeFailure::Refused(plan.refusals));
    }
    Ok(match view.running() {
        Some(running) => amended(view, running, plan),
        None => begun(view, &forward, &plan, (Origin::Operator, through), actions.clone(), now_ms),
    })
}

/// A change that begins now.
pub(super) fn begun(
    view: &View,
    situation: &Situation,
    plan: &Plan,
    by: (Origin, NodeId),
    actions: Vec<Action>,
    now_ms: u64,
) -> ChangeRecord {
    let number = view.change.as_ref().map_or(0, |change| change.number) + 1;
    let both = situation.parties.iter().zip(&plan.parties).filter(|(before, after)| before != after);
    let members = both.map(|(before, after)| MemberChange {
        store: before.store,
        before: Terms { standing: before.standing, weight: before.weight, zone: before.zone.clone() },
        after: Terms { standing: after.standing, weight: after.weight, zone: after.zone.clone() },
    });
    ChangeRecord::begun(number, by, actions, members.collect(), &plan.moves(&situation.owners), now_ms)
}

/// Whether a change that runs can take these actions up: all remove nodes that are down.
fn may_amend(view: &View, actions: &[Action]) -> bool {
    let is_down = |node: &NodeId| !view.live.contains_key(node);
    !actions.is_empty() && actions.iter().all(|action| matches!(action, Action::Remove { node } if is_down(node)))
}

/// The change that runs, without the nodes that `plan` removes. Turning it back does without them as well.
fn amended(view: &View, running: &ChangeRecord, plan: Plan) -> ChangeRecord {
    let removals = &view.staged.record.actions;
    let before = change::plan(&situation(view, Direction::TurningBack), removals);
    let moved: BTreeSet<Partition> = running.moves().into_keys().collect();
    let both = before.owners.into_iter().zip(plan.owners).enumerate();
    let now = view.ring.named_slices();
    let moves: Moves = both
        .map(|(p, both)| (Partition(p as u16), both))
        .filter(|(p, (before, after))| {
            // Where it moved before it may be under way, wherever it is to end.
            moved.contains(p) || before != after || now.get(p.0 as usize).is_none_or(|slice| slice.owners != *after)
        })
        .collect();
    let mut change = running.clone().with_moves(&moves);
    change.actions.extend(removals.iter().cloned());
    for party in plan.parties.into_iter().filter(|party| party.standing == Standing::Removed) {
        let removed = Terms { standing: Standing::Removed, weight: party.weight, zone: party.zone };
        change.members.retain(|member| member.store != party.store);
        change.members.push(MemberChange { store: party.store, before: removed.clone(), after: removed });
    }
    change
}

/// Turns a change back that runs: its goal is what was before it. Turned back already, it stays so.
///
/// # Errors
/// [`ChangeFailure::NoChange`] if it does not run, or not any more.
pub async fn turn_back(session: &dyn Session, number: u64) -> Result<ChangeRecord, Error> {
    let path = paths::path(paths::CHANGE)?;
    let mut attempts = Attempts::at(paths::CHANGE);
    session.sync().await?;
    loop {
        attempts.another()?;
        let record = access::read::<ChangeRecord>(session, &path).await?;
        let Some(Record { value, stat, .. }) = record.filter(|r| r.value.number == number && r.value.is_running())
        else {
            return Err(ChangeFailure::NoChange { number }.into());
        };
        if value.direction == Direction::TurningBack {
            return Ok(value);
        }
        let turned = ChangeRecord { direction: Direction::TurningBack, ..value };
        access::write(session, vec![access::set(path.clone(), &turned, &stat)?]).await?;
    }
}

/// Puts a change in the place of the last one.
pub(super) fn written(change: &ChangeRecord, versions: &Versions) -> Result<Change, Error> {
    let path = paths::path(paths::CHANGE)?;
    match &versions.change {
        Some(stat) => access::set(path, change, stat),
        None => access::create(path, change, CreateMode::Persistent),
    }
}
