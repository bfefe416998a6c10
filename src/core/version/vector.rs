//! Version vectors.

use serde::{Deserialize, Serialize};

use super::{Actor, Dot};

/// For each actor, how many of its events were seen: all from the first to that number.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionVector {
    /// Sorted by actor, no counter zero.
    entries: Vec<(Actor, u64)>,
}

impl VersionVector {
    /// How many events of `actor` were seen.
    pub fn get(&self, actor: Actor) -> u64 {
        self.position(actor).map_or(0, |i| self.entries[i].1)
    }

    /// Whether the event was seen.
    pub fn covers(&self, dot: Dot) -> bool {
        dot.counter <= self.get(dot.actor)
    }

    /// Sees all events of `actor` up to `counter`.
    pub fn advance(&mut self, actor: Actor, counter: u64) {
        match self.position(actor) {
            Ok(i) => self.entries[i].1 = self.entries[i].1.max(counter),
            Err(i) if counter > 0 => self.entries.insert(i, (actor, counter)),
            Err(_) => {}
        }
    }

    /// Sees all that `other` has seen.
    pub fn join(&mut self, other: &VersionVector) {
        other.entries.iter().for_each(|&(actor, counter)| self.advance(actor, counter));
    }

    /// Whether everything that `other` has seen was seen here.
    pub fn dominates(&self, other: &VersionVector) -> bool {
        other.entries.iter().all(|&(actor, counter)| counter <= self.get(actor))
    }

    /// Forgets the actors that `keeps` does not keep.
    pub(super) fn retain(&mut self, keeps: impl Fn(Actor) -> bool) {
        self.entries.retain(|(actor, _)| keeps(*actor));
    }

    /// The entries, by actor.
    pub fn iter(&self) -> impl Iterator<Item = (Actor, u64)> {
        self.entries.iter().copied()
    }

    /// How many actors it names.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the entries are in order: a vector that was decoded may claim to be one and not be.
    pub(super) fn is_well_formed(&self) -> bool {
        self.entries.windows(2).all(|w| w[0].0 < w[1].0) && self.entries.iter().all(|e| e.1 > 0)
    }

    fn position(&self, actor: Actor) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&actor, |e| e.0)
    }
}

impl FromIterator<(Actor, u64)> for VersionVector {
    fn from_iter<I: IntoIterator<Item = (Actor, u64)>>(entries: I) -> Self {
        let mut vector = VersionVector::default();
        entries.into_iter().for_each(|(actor, counter)| vector.advance(actor, counter));
        vector
    }
}
