//! What is to be written next.

use crate::core::id::{Epoch, NodeId, Partition, StoreId};
use crate::core::ring::Slice;
use crate::core::ring::change::{
    self, Action, Advance, Direction, Hold, Origin, Plan, Situation, Standing, Step, Suspect, advance, arrivals,
    may_remove,
};

use super::super::records::{ClusterRecord, RingMember, RingRecord, StoreRecord, StoreState, Was};
use super::super::view::View;
use super::commit::begun;
use super::records::{ChangeRecord, Terms, TransferRecord};
use super::situation::{facts, has_heirs_waiting, inheritances, situation, target};

/// Records that are set beside the ring in one write; the rest follows in the next.
const RECORDS_MAX: usize = 256;

/// How a node drives changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The node.
    pub node: NodeId,
    /// How many partitions may be pending at once for each arriving store.
    pub window: u32,
}

/// One write. All of it is made under the versions that it was decided on, or nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Note who is down since when, or is back.
    Down(Vec<(StoreId, StoreRecord)>),
    /// Take partitions one step on, or members to the terms of the change.
    Ring {
        /// The new ring.
        ring: RingRecord,
        /// What happens to partitions.
        steps: Vec<(Partition, Step)>,
        /// Stores on whose word it happens.
        said: Vec<StoreId>,
    },
    /// Nothing is left to do.
    End {
        /// The ring without those who have left.
        ring: RingRecord,
        /// The change as it is kept.
        change: Box<ChangeRecord>,
        /// What becomes of those who have left.
        stores: Vec<(StoreId, StoreRecord)>,
        /// Who votes instead of them, if one of them did.
        cluster: Option<Box<ClusterRecord>>,
    },
    /// Begin a change without an operator.
    Begin {
        /// Which.
        change: Box<ChangeRecord>,
        /// Stores that must not have come back meanwhile.
        stores: Vec<StoreId>,
    },
    /// Forget what stores said in a change that is over.
    Tidy(Vec<(StoreId, Option<TransferRecord>)>),
}

/// What is to be written next; `None` if everything is as it should be, or waits. `now_ms` is the time since 1970.
pub fn next(view: &View, settings: &Settings, now_ms: u64) -> Option<Next> {
    let down = noticed(view, now_ms);
    if !down.is_empty() {
        return Some(Next::Down(down));
    }
    match view.running() {
        Some(change) => step(view, change, settings).or_else(|| end(view, change, now_ms)),
        None => inherit(view, settings, now_ms).or_else(|| remove(view, settings, now_ms)).or_else(|| tidy(view)),
    }
}

/// Members that are down and were not noticed yet, or are back.
fn noticed(view: &View, now_ms: u64) -> Vec<(StoreId, StoreRecord)> {
    let present = view.ring.members.iter().filter(|member| member.is_present());
    let changed = present.filter_map(|member| {
        let record = view.stores.get(&member.store)?;
        let down_since_ms = match (view.is_live(member), record.down_since_ms) {
            (false, None) => Some(now_ms),
            (true, Some(_)) => None,
            _ => return None,
        };
        Some((member.store, StoreRecord { down_since_ms, ..record.clone() }))
    });
    changed.take(RECORDS_MAX).collect()
}

/// The ring after the steps that are due.
fn step(view: &View, change: &ChangeRecord, settings: &Settings) -> Option<Next> {
    let epoch = Epoch { counter: view.ring.epoch.counter + 1, ..view.ring.epoch };
    let before = view.ring.named_slices();
    let advanced = advance(&before, &target(view), &facts(view), epoch, settings.window);
    let Advance { slices, steps } = advanced.unwrap_or_else(|| Advance { slices: before.clone(), steps: vec![] });
    let members: Vec<RingMember> = view.ring.members.iter().map(|member| on_terms(member, change, &slices)).collect();
    if steps.is_empty() && members == view.ring.members {
        return None;
    }
    let said = steps.iter().flat_map(|(partition, step)| match step {
        Step::Switched => arrivals(&before[partition.0 as usize]).map(|(_, store, _)| store).collect(),
        Step::Drained(store) => vec![*store],
        Step::Pending | Step::TurnedBack | Step::Retired => vec![],
    });
    let mut said: Vec<StoreId> = said.collect();
    said.sort_unstable();
    said.dedup();
    let ring = RingRecord { epoch, members, ..view.ring.clone() }.with_slices(&slices);
    Some(Next::Ring { ring, steps, said })
}

/// A member as the change would have it. Whoever has places is no guest, whatever he was before or will be.
fn on_terms(member: &RingMember, change: &ChangeRecord, slices: &[Slice]) -> RingMember {
    let mut new = member.clone();
    if member.standing == Standing::Replaced {
        return new;
    }
    if let Some(Terms { standing, weight, zone }) = change.terms(member.store).cloned() {
        (new.standing, new.weight, new.zone) = (standing, weight, zone);
    }
    let has_place = |slice: &Slice| slice.owners.iter().chain(slice.others()).any(|store| *store == member.store);
    if new.standing == Standing::Guest && slices.iter().any(has_place) {
        new.standing = Standing::Owner;
    }
    new
}

/// The end of a change that has reached its goal.
fn end(view: &View, change: &ChangeRecord, now_ms: u64) -> Option<Next> {
    let (target, slices) = (target(view), view.ring.named_slices());
    if !slices.iter().enumerate().all(|(p, slice)| target.is_reached(Partition(p as u16), slice)) {
        return None;
    }
    let mut ring = view.ring.clone();
    let goes = |member: &&RingMember| {
        matches!(member.standing, Standing::Leaving | Standing::Removed | Standing::Replaced)
            && !view.ring.names(member.store)
    };
    let gone: Vec<RingMember> = view.ring.members.iter().filter(goes).cloned().collect();
    let mut stores = vec![];
    for member in &gone {
        ring.remove(member.store);
        let state = if member.standing == Standing::Leaving { StoreState::Left } else { StoreState::Removed };
        if let Some(record) = view.stores.get(&member.store).filter(|record| record.state.is_awaited()) {
            let RingMember { address, zone, weight, .. } = member.clone();
            let was = Some(Was { address, zone, weight });
            stores.push((member.store, StoreRecord { state, since_ms: now_ms, was, ..record.clone() }));
        }
    }
    if !gone.is_empty() {
        ring.epoch.counter += 1;
    }
    let change = ChangeRecord { ended_ms: Some(now_ms), ..change.clone() };
    let cluster = voting_without(view, &gone).map(Box::new);
    Some(Next::End { ring, change: change.into(), stores, cluster })
}

/// The cluster with other voters in the place of those who have left; `None` if none of them voted, or there is nobody else.
fn voting_without(view: &View, gone: &[RingMember]) -> Option<ClusterRecord> {
    let mut cluster = view.cluster.clone();
    let has_gone = |node: NodeId| {
        let is_gone = |member: &&RingMember| gone.iter().any(|gone| gone.store == member.store);
        gone.iter().any(|member| member.node == node) && view.present(node).is_none_or(|member| is_gone(&member))
    };
    for i in 0..cluster.voters.len() {
        if !has_gone(cluster.voters[i]) {
            continue;
        }
        let owners =
            view.ring.members.iter().filter(|member| member.standing == Standing::Owner && view.is_live(member));
        let others = owners.map(|member| member.node).filter(|node| !cluster.voters.contains(node) && !has_gone(*node));
        if let Some(node) = others.min() {
            cluster.voters[i] = node;
        }
    }
    (cluster != view.cluster).then_some(cluster)
}

/// A change by which stores take the places of those that their nodes lost.
fn inherit(view: &View, settings: &Settings, now_ms: u64) -> Option<Next> {
    if !has_heirs_waiting(view) {
        return None;
    }
    let situation = situation(view, Direction::Forward);
    let plan = change::plan(&situation, &[]);
    let are_live = plan.nodes.iter().filter(|node| !node.arriving.is_empty()).all(|node| node.after.is_live);
    if !are_live || plan.refusals.iter().any(|refusal| !refusal.can_be_forced()) {
        return None;
    }
    let actions = inheritances(&view.ring, &target(view));
    let change = begun(view, &situation, &plan, (Origin::Automatic, settings.node), actions, now_ms);
    Some(Next::Begin { change: change.into(), stores: vec![] })
}

/// The removal of a node that is taken to be gone.
fn remove(view: &View, settings: &Settings, now_ms: u64) -> Option<Next> {
    let after_ms = view.cluster.auto_remove_after_ms?;
    let suspects = suspects(view, now_ms);
    if suspects.is_empty() {
        return None;
    }
    let situation = situation(view, Direction::Forward);
    suspects.into_iter().find_map(|(store, suspect)| {
        let plan = judged(view, &situation, suspect, after_ms).ok()?;
        let actions = vec![Action::Remove { node: suspect.node }];
        let change = begun(view, &situation, &plan, (Origin::Automatic, settings.node), actions, now_ms);
        Some(Next::Begin { change: change.into(), stores: vec![store] })
    })
}

/// Members that are down, by node, with their stores.
pub(super) fn suspects(view: &View, now_ms: u64) -> Vec<(StoreId, Suspect)> {
    let down = view.ring.members.iter().filter(|member| member.is_present() && !view.is_live(member));
    let mut suspects: Vec<(StoreId, Suspect)> = down
        .filter_map(|member| {
            let since_ms = view.stores.get(&member.store)?.down_since_ms?;
            Some((member.store, Suspect { node: member.node, down_ms: now_ms.saturating_sub(since_ms) }))
        })
        .collect();
    suspects.sort_by_key(|(_, suspect)| suspect.node);
    suspects
}

/// Whether a node may be removed without an operator, and what that would move.
pub(super) fn judged(view: &View, situation: &Situation, suspect: Suspect, after_ms: u64) -> Result<Plan, Hold> {
    let unsynced = view.transfers.iter().flat_map(|(store, record)| record.needs_sync.iter().map(|p| (*store, *p)));
    let running = view.running().map(|change| change.number);
    may_remove(situation, suspect, &unsynced.collect(), running, after_ms)
}

/// What stores said in a change that is over.
fn tidy(view: &View) -> Option<Next> {
    let said = view.transfers.iter().filter(|(_, record)| !record.arrived.is_empty() || !record.drained.is_empty());
    let tidied = said.map(|(store, record)| {
        let kept = TransferRecord { arrived: Default::default(), drained: Default::default(), ..record.clone() };
        (*store, (kept != TransferRecord::default()).then_some(kept))
    });
    let tidied: Vec<_> = tidied.take(RECORDS_MAX).collect();
    (!tidied.is_empty()).then_some(Next::Tidy(tidied))
}
