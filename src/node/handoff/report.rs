//! How far the deliveries are, and why they wait.

use std::collections::BTreeSet;

use actix::prelude::*;

use super::Handoff;
use crate::core::id::StoreId;
use crate::node::env::now;
use crate::node::stats::Counter;
use crate::wire::report::{HintReport, HintsReport};

/// How is it?
#[derive(Message, Clone, Copy)]
#[rtype(result = "HintsReport")]
pub struct ReportHints;

impl Handoff {
    fn report(&self) -> HintsReport {
        let (backlogs, missed) = (self.parts.hints.backlogs(), self.parts.missed.targets());
        let waiting = backlogs.targets().map(|(target, _)| target);
        let targets: BTreeSet<StoreId> = waiting.chain(missed.keys().copied()).collect();
        let (budget, wall_ms) = (self.parts.hints.budget(), self.parts.env.wall_ms());
        let report = |target: StoreId| {
            let backlog = backlogs.targets().find(|(other, _)| *other == target).map(|(_, backlog)| backlog.clone());
            let (backlog, bytes_per_s) = (backlog.unwrap_or_default(), self.rate(target));
            HintReport {
                store: target,
                node: self.parts.ring.load().ring.node_of(target),
                keys: backlog.keys,
                bytes: backlog.bytes,
                oldest_s: wall_ms.saturating_sub(backlog.oldest_ms()) / 1000,
                missed_partitions: missed.get(&target).copied().unwrap_or(0),
                bytes_per_s,
                waiting: bytes_per_s.is_none().then(|| self.why(target)),
            }
        };
        HintsReport {
            targets: targets.into_iter().map(report).collect(),
            bytes: backlogs.bytes(),
            bytes_max: budget.bytes_max,
            target_bytes_max: budget.target_bytes_max,
            refused: self.parts.stats.counted(Counter::HintsRefused),
        }
    }

    /// How fast a target takes what it is sent, if it is sent anything.
    fn rate(&self, target: StoreId) -> Option<u64> {
        let delivery = self.deliveries.get(&target)?;
        let seconds = delivery.begun.elapsed().as_secs_f64();
        Some((delivery.bytes as f64 / seconds.max(0.001)) as u64)
    }

    /// Why nothing is being delivered to a target.
    fn why(&self, target: StoreId) -> String {
        let is_reachable = self.parts.health.load().binary_search(&target).is_ok();
        match (self.retries.get(&target), self.parts.ring.load().ring.member(target)) {
            (Some(retry), _) if retry.at > now() => {
                let seconds = (retry.at - now()).as_secs() + 1;
                format!("{}; tried again in {seconds} s", retry.reason)
            }
            (_, None) => "it is no member any more, and one of those who own the keys now is down".into(),
            (_, Some(member)) if !is_reachable => format!("node {} is down", member.node),
            (_, Some(_)) => "it begins in a moment".into(),
        }
    }
}

impl Handler<ReportHints> for Handoff {
    type Result = MessageResult<ReportHints>;

    fn handle(&mut self, _: ReportHints, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.report())
    }
}
