//! When the pages are read of which [`Trees`] are made.

use std::time::Duration;

use actix::prelude::*;

use super::exchange::BUDGET;
use super::messages::ReplicaReply;
use super::tree::Trees;
use super::{Replica, Turn};
use crate::core::id::Partition;
use crate::node::env::now;
use crate::node::stats::{Counter, Gauge, Stats};
use crate::wire::exchange::{LeavesAnswer, SumsAnswer};
use crate::wire::message::ReplicaError;

/// Writes come first while more than this part of the disk's queue is full.
const BUSY_DIVISOR: u64 = 4;
/// The least time between two pages that are read for trees.
const REST_MIN: Duration = Duration::from_millis(1);

impl Replica {
    /// Tells a partition's leaves. If they must be made, the first page is read at once: a small partition has no more.
    pub(super) fn leaves(
        &mut self,
        turn: &mut Turn,
        id: u64,
        partition: Partition,
        ctx: &mut Context<Replica>,
    ) -> Result<(), ReplicaError> {
        self.check_partition(partition)?;
        let leaves = self.leaf_count();
        let mut answer = self.change_trees(|trees| trees.ask(partition, leaves));
        if matches!(answer, Ok(LeavesAnswer::Building { .. })) && self.build_first_page(ctx) {
            answer = self.change_trees(|trees| trees.ask(partition, leaves));
        }
        turn.now.push(ReplicaReply::Leaves { id, result: answer.map_err(ReplicaError::Unreadable) });
        Ok(())
    }

    /// Tells sums of a partition's leaves, likewise. One that is busy with writes is asked again later: requests come first.
    pub(super) fn sums(
        &mut self,
        turn: &mut Turn,
        id: u64,
        (partition, depth, nodes): (Partition, u32, &[u32]),
        ctx: &mut Context<Replica>,
    ) -> Result<(), ReplicaError> {
        self.check_partition(partition)?;
        if self.parts.disk.waiting_bytes() as u64 > self.parts.limits.disk_queue_bytes_max / BUSY_DIVISOR {
            return Err(ReplicaError::Overloaded("limits.disk_queue_bytes_max".into()));
        }
        let leaves = self.leaf_count();
        let mut answer = self.change_trees(|trees| trees.sums(partition, leaves, depth, nodes));
        if matches!(answer, Ok(SumsAnswer::Building { .. })) && self.build_first_page(ctx) {
            answer = self.change_trees(|trees| trees.sums(partition, leaves, depth, nodes));
        }
        turn.now.push(ReplicaReply::Sums { id, result: answer.map_err(ReplicaError::Unreadable) });
        Ok(())
    }

    /// Begins to read a partition again, beside the tree that is kept of it.
    pub(super) fn verify(&mut self, partition: Partition, ctx: &mut Context<Replica>) -> Result<(), ReplicaError> {
        self.check_partition(partition)?;
        self.change_trees(|trees| trees.verify(partition));
        self.build_first_page(ctx);
        Ok(())
    }

    /// Returns whether a page was read.
    fn build_first_page(&mut self, ctx: &mut Context<Replica>) -> bool {
        let may = self.trees.is_unfinished() && !self.trees_rest;
        if may {
            self.build_trees(ctx);
        }
        may
    }

    /// Reads a page, rests for as long as it took, so that trees never take more than half of an arbiter's time, and goes on.
    fn build_trees(&mut self, ctx: &mut Context<Replica>) {
        let begun = now();
        let engine = self.parts.engine.clone();
        let before = Size::of(&self.trees);
        let found = self.trees.read_on(&*engine, &self.pending, BUDGET);
        self.note_size(before);
        found.damaged.iter().for_each(|stored| {
            self.note_damaged(stored);
        });
        if let Some(partition) = found.gap {
            self.note_gap(partition);
        }
        if let Some((partition, wrong)) = found.verified {
            self.count(Counter::MerkleVerified);
            if wrong > 0 {
                self.rotten(partition, wrong);
            }
        }
        self.submit_marks(ctx.address().recipient());
        self.trees_rest = true;
        ctx.run_later(begun.elapsed().max(REST_MIN), |this, ctx| {
            this.trees_rest = false;
            if this.trees.is_unfinished() {
                this.build_trees(ctx);
            }
        });
    }

    /// A write may be there or not.
    pub(super) fn distrust_trees(&mut self) {
        self.change_trees(Trees::distrust);
    }

    /// It is not known what one tree should say.
    pub(super) fn distrust_tree(&mut self, partition: Partition) {
        self.change_trees(|trees| trees.forget(partition));
    }

    fn change_trees<T>(&mut self, change: impl FnOnce(&mut Trees) -> T) -> T {
        let before = Size::of(&self.trees);
        let result = change(&mut self.trees);
        self.note_size(before);
        result
    }

    fn note_size(&self, before: Size) {
        Size::of(&self.trees).note(&self.parts.stats, before);
    }
}

/// What the gauges show of trees.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    bytes: usize,
    whole: usize,
    building: usize,
}

impl Size {
    pub fn of(trees: &Trees) -> Size {
        let (whole, building) = trees.count();
        Size { bytes: trees.bytes(), whole, building }
    }

    /// Shows that it was `before` and is this.
    pub fn note(self, stats: &Stats, before: Size) {
        let shift = |gauge, now: usize, before: usize| stats.shift(gauge, now as i64 - before as i64);
        shift(Gauge::MerkleBytes, self.bytes, before.bytes);
        shift(Gauge::MerkleTrees, self.whole, before.whole);
        shift(Gauge::MerkleTreesBuilding, self.building, before.building);
    }
}
