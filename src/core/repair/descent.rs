//! From the root to the leaves that differ.

use crate::core::merkle::{Leaves, Sums};
use crate::mutant;

/// Compares another store's tree with the own one as it was at one moment, level by level. Each level asks only for nodes under those
/// that differed above, so k differences among n leaves cost O(k log n) sums; where nearly everything differs, about a fifteenth more
/// than all leaves at once would.
///
/// The other tree may change between two levels. A key that differed when the root was compared and still does is found: its leaf
/// differs on every level. One that changed meanwhile is found or not, as if it had been compared a moment earlier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Descent {
    own: Leaves,
    depth: u32,
    nodes: Vec<u32>,
}

/// Where a comparison leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Below {
    /// The next level is to be asked for.
    Level(Descent),
    /// These leaves differ; none, if all is equal.
    Leaves(Vec<u32>),
}

impl Descent {
    /// At the root.
    pub fn from(own: Leaves) -> Descent {
        Descent { own, depth: 0, nodes: vec![0] }
    }

    /// The level that is to be asked for, and its nodes.
    pub fn asks(&self) -> (u32, Vec<u32>) {
        (self.depth, self.nodes.clone())
    }

    /// What the other holds of those. An answer of another length says nothing: everything counts as different.
    pub fn compare(self, theirs: &Sums) -> Below {
        let ours = self.own.sums(self.depth, &self.nodes);
        let says_all = theirs.0.len() == ours.0.len();
        let differs = |i: usize| !says_all || theirs.0[i] != ours.0[i];
        let mut nodes: Vec<u32> = (0..self.nodes.len()).filter(|i| differs(*i)).map(|i| self.nodes[i]).collect();
        let under: Vec<u32> = nodes.iter().flat_map(|node| self.own.under(self.depth, *node)).collect();
        if under.is_empty() {
            if mutant!(SkipLastLeaf) {
                nodes.pop();
            }
            return Below::Leaves(nodes);
        }
        Below::Level(Descent { depth: self.depth + 1, nodes: under, ..self })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::version::Clock;

    fn leaves(count: usize, held: &[u16]) -> Leaves {
        let mut leaves = Leaves::new(count);
        held.iter().for_each(|key| leaves.add(&key.to_be_bytes(), Clock(1)));
        leaves
    }

    /// The leaves found, and how many sums were sent for that.
    fn found(own: &Leaves, theirs: &Leaves) -> (Vec<u32>, usize) {
        let (mut descent, mut sent) = (Descent::from(own.clone()), 0);
        loop {
            let (depth, nodes) = descent.asks();
            sent += nodes.len();
            match descent.compare(&theirs.sums(depth, &nodes)) {
                Below::Level(next) => descent = next,
                Below::Leaves(leaves) => return (leaves, sent),
            }
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_a_comparison_of_all_leaves_finds(
            bits in 6..=12u32, held in proptest::collection::vec(any::<u16>(), 0..100),
            more in proptest::collection::vec(any::<u16>(), 0..20),
        ) {
            let (own, theirs) = (leaves(1 << bits, &held), leaves(1 << bits, &[held, more].concat()));
            let (found, sent) = found(&own, &theirs);
            let levels = (bits as usize).div_ceil(4);
            prop_assert!(sent <= 1 + 16 * levels * found.len(), "{sent} sums for {} leaves", found.len());
            prop_assert_eq!(found, own.differing(&theirs));
        }
    }

    #[test]
    fn equal_trees_cost_one_sum() {
        let tree = leaves(1024, &[1, 2, 3]);
        assert_eq!(found(&tree, &tree), (vec![], 1));
    }

    #[test]
    fn an_answer_of_another_length_proves_nothing() {
        let tree = leaves(64, &[1]);
        assert!(matches!(Descent::from(tree).compare(&Sums(vec![])), Below::Level(_)));
    }
}
