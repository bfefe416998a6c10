//! What operators are told.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::id::{NodeId, Partition, StoreId};
use crate::core::ring::change::{Direction, Moves, NodePlan, Party, Plan, Suspect, why};
use crate::core::ring::{Motion, Slice};
use crate::wire::change::{
    ChangeReport, DownReport, NodePlanReport, Phases, PlanReport, RefusalReport, StoreProgress, WAITING_SHOWN_MAX,
    WaitingReport,
};

use super::super::view::View;
use super::next::{judged, suspects};
use super::records::ChangeRecord;
use super::situation::{facts, plan, situation, target};

/// What the staged actions would move. Bytes are for the caller to estimate.
pub fn plan_report(view: &View) -> PlanReport {
    let Plan { nodes, refusals, owners, .. } = plan(view);
    let before = situation(view, Direction::Forward).owners;
    let moved = before.iter().zip(&owners).filter(|(before, after)| before != after).count() as u32;
    let replicas = nodes.iter().map(|node| node.arriving.len() as u32).sum();
    let refusals = refusals.into_iter();
    PlanReport {
        version: view.staged.version,
        epoch: view.ring.epoch,
        partitions: view.cluster.partitions,
        actions: view.staged.record.actions.clone(),
        nodes: nodes.into_iter().map(node_report).collect(),
        moved,
        replicas,
        refusals: refusals.map(|r| RefusalReport { can_be_forced: r.can_be_forced(), refusal: r }).collect(),
        running: view.running().map(|change| change.number),
    }
}

fn node_report(node: NodePlan) -> NodePlanReport {
    let to_own = node.to_own();
    let NodePlan { before, after, owned, arriving, leaving } = node;
    let weight = (before.share(), after.share());
    let Party { node, store, standing, zone, is_live, .. } = before;
    NodePlanReport {
        node,
        store,
        is_live,
        standing: (standing, after.standing),
        zone: (zone, after.zone),
        weight,
        owned: (owned, to_own),
        arriving,
        leaving,
        arriving_bytes: None,
    }
}

/// How the change is that runs, or the last one was; `None` if there never was one.
pub fn progress(view: &View) -> Option<ChangeReport> {
    let change = view.change.as_ref()?;
    let slices = view.ring.named_slices();
    let moves = directed(change);
    let (waiting, waiting_left_off) = if change.is_running() { waiting(view, &slices) } else { (vec![], 0) };
    let phase = |(partition, (_, goal)): (&Partition, &(Vec<StoreId>, Vec<StoreId>))| {
        if change.is_running() {
            slices.get(partition.0 as usize).map(|slice| phase(slice, goal))
        } else {
            Some(Phase::Done)
        }
    };
    let mut phases = Phases::default();
    for phase in moves.iter().filter_map(phase) {
        *phase.count(&mut phases) += 1;
    }
    Some(ChangeReport {
        number: change.number,
        origin: change.origin,
        through: change.through,
        actions: change.actions.clone(),
        direction: change.direction,
        committed_ms: change.committed_ms,
        ended_ms: change.ended_ms,
        epoch: view.ring.epoch,
        phases,
        waiting,
        waiting_left_off,
        stores: stores(view, change, &moves, &slices),
    })
}

/// From where to where, the way the change goes now.
fn directed(change: &ChangeRecord) -> Moves {
    let moves = change.moves().into_iter();
    match change.direction {
        Direction::Forward => moves.collect(),
        Direction::TurningBack => moves.map(|(partition, (before, goal))| (partition, (goal, before))).collect(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    ToDo,
    Pending,
    Switched,
    Draining,
    Done,
}

impl Phase {
    fn count(self, phases: &mut Phases) -> &mut u32 {
        match self {
            Phase::ToDo => &mut phases.to_do,
            Phase::Pending => &mut phases.pending,
            Phase::Switched => &mut phases.switched,
            Phase::Draining => &mut phases.draining,
            Phase::Done => &mut phases.done,
        }
    }
}

fn phase(slice: &Slice, goal: &[StoreId]) -> Phase {
    match &slice.motion {
        Some(Motion::Pending(_)) => Phase::Pending,
        Some(Motion::Switched(_)) => Phase::Switched,
        None if slice.owners != goal => Phase::ToDo,
        None if !slice.draining.is_empty() => Phase::Draining,
        None => Phase::Done,
    }
}

/// What partitions wait for, those that merely wait for their turn left out.
fn waiting(view: &View, slices: &[Slice]) -> (Vec<WaitingReport>, u32) {
    let (target, facts) = (target(view), facts(view));
    let all = slices.iter().enumerate().filter_map(|(p, slice)| {
        let partition = Partition(p as u16);
        let waits = why(slice, partition, &target, &facts)?;
        Some(WaitingReport { partition, since: slice.since, waits })
    });
    let mut waiting: Vec<WaitingReport> = all.filter(|report| !report.waits.is_idle()).collect();
    let left_off = waiting.len().saturating_sub(WAITING_SHOWN_MAX) as u32;
    waiting.truncate(WAITING_SHOWN_MAX);
    (waiting, left_off)
}

/// How many partitions come to a store and go from it: how many have, and how many are to.
#[derive(Default)]
struct Count {
    arrived: (u32, u32),
    drained: (u32, u32),
}

fn stores(view: &View, change: &ChangeRecord, moves: &Moves, slices: &[Slice]) -> Vec<StoreProgress> {
    let mut counts: BTreeMap<StoreId, Count> = BTreeMap::new();
    for (partition, (from, to)) in moves {
        // Once the change has ended everything has.
        let slice = slices.get(partition.0 as usize).filter(|_| change.is_running());
        for store in to.iter().filter(|store| !from.contains(store)) {
            let (done, all) = &mut counts.entry(*store).or_default().arrived;
            *done += u32::from(slice.is_none_or(|slice| slice.owners.contains(store)));
            *all += 1;
        }
        for store in from.iter().filter(|store| !to.contains(store)) {
            let (done, all) = &mut counts.entry(*store).or_default().drained;
            *done += u32::from(slice.is_none_or(|slice| !slice.named().any(|named| named == store)));
            *all += 1;
        }
    }
    let live: BTreeSet<StoreId> = view.live.values().map(|live| live.store).collect();
    let progress = counts.into_iter().map(|(store, Count { arrived, drained })| StoreProgress {
        store,
        node: view.stores.get(&store).map_or(NodeId(0), |record| record.node),
        is_live: live.contains(&store),
        arrived,
        drained,
    });
    let mut progress: Vec<StoreProgress> = progress.collect();
    progress.sort_by_key(|progress| (progress.node, progress.store));
    progress
}

/// Members that are down, and why they are not removed yet.
pub fn down_report(view: &View, now_ms: u64) -> Vec<DownReport> {
    let after_ms = view.cluster.auto_remove_after_ms;
    let situation = situation(view, Direction::Forward);
    let report = |(store, suspect): (StoreId, Suspect)| DownReport {
        node: suspect.node,
        store,
        since_ms: now_ms.saturating_sub(suspect.down_ms),
        hold: after_ms.and_then(|after_ms| judged(view, &situation, suspect, after_ms).err()),
        is_automatic: after_ms.is_some(),
    };
    suspects(view, now_ms).into_iter().map(report).collect()
}
