//! Numbers that a forced recovery leaves behind.
//!
//! A majority that is lost may have acknowledged writes that the surviving replica never saw: revisions, versions and numbers of
//! sequential nodes that somebody remembers. They must not be given again. So revisions and versions have the generation, the
//! count of recoveries, in their high bits; and sequential numbers, whose digits have no room for it, skip a million.

use super::transaction::SEQUENCE_MAX;
use super::{Revision, Tree};

/// Bits of a number below its generation: enough for 10,000 a second over 50 years.
const GENERATION_SHIFT: u32 = 44;

/// The highest generation that there is room for.
pub const GENERATION_MAX: u32 = (1 << (u64::BITS - GENERATION_SHIFT)) - 1;

/// Sequential numbers that a recovery skips. A replica that lags by more creations below one node is not covered.
const SEQUENCE_SKIP: u64 = 1_000_000;

/// The generation that a number was given in.
pub fn generation_of(number: u64) -> u32 {
    (number >> GENERATION_SHIFT) as u32
}

/// A number that no earlier generation has given, as far within this one as the given number was within its own.
pub fn in_generation(generation: u32, number: u64) -> u64 {
    let within = number & ((1 << GENERATION_SHIFT) - 1);
    u64::from(generation.min(GENERATION_MAX)) << GENERATION_SHIFT | within
}

impl Tree {
    /// Goes on in a new generation. Nobody is told: whoever knew an older tree has to read anew.
    pub fn enter(&mut self, generation: u32) {
        self.revision = Revision(in_generation(generation, self.revision.0));
        for node in self.nodes.values_mut() {
            node.version = in_generation(generation, node.version);
            node.children_version = in_generation(generation, node.children_version);
            // Past the last number, creating is refused.
            node.next_sequence = (node.next_sequence + SEQUENCE_SKIP).min(SEQUENCE_MAX + 1);
        }
    }
}
