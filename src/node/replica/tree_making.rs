//! When the pages are read of which [`Trees`] are made.

use std::time::Duration;

use actix::prelude::*;

use super::exchange::BUDGET;
use super::messages::ReplicaReply;
use super::tree::Trees;
use super::{Replica, Turn};
use crate::core::id::Partition;
use crate::node::env::now;
use crate::node::stats::Gauge;
use crate::wire::message::ReplicaError;

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
        if self.trees.is_unfinished() && !self.trees_rest {
            self.build_trees(ctx);
            answer = self.change_trees(|trees| trees.ask(partition, leaves));
        }
        turn.now.push(ReplicaReply::Leaves { id, result: answer.map_err(ReplicaError::Unreadable) });
        Ok(())
    }

    /// Reads a page, rests for as long as it took, so that trees never take more than half of an arbiter's time, and goes on.
    fn build_trees(&mut self, ctx: &mut Context<Replica>) {
        let begun = now();
        self.trees.read_on(&*self.parts.engine, &self.pending, BUDGET);
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

    fn change_trees<T>(&mut self, change: impl FnOnce(&mut Trees) -> T) -> T {
        let before = self.trees.bytes();
        let result = change(&mut self.trees);
        self.parts.stats.shift(Gauge::MerkleBytes, self.trees.bytes() as i64 - before as i64);
        result
    }
}
