//! Whether to make a cluster, to join one, or to wait.
//!
//! A cluster is made once. Only the first voter of the list makes it, and only when a majority of the voters, itself
//! included, answer that their stores belong to no cluster: whoever takes part was asked while fresh, under a store id of its
//! own, so nobody can have been promised to two clusters. What was made elsewhere shows in the answers, and then there is
//! nothing to make.

use std::collections::BTreeMap;

use crate::core::id::{ClusterId, NodeId, StoreId};

/// What a listed node says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Its store belongs to no cluster.
    Fresh(StoreId),
    /// It belongs to one.
    Member(ClusterId),
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Make the cluster: enough voters answer, and all that may still come have been waited for.
    Found,
    /// Enough voters answer; others may be on their way.
    Soon,
    /// There is a cluster, or somebody else makes it.
    Join,
    /// Too few answer.
    Wait {
        /// Voters that do not answer.
        silent: Vec<NodeId>,
    },
}

/// What to make of the answers of all listed nodes, this one's included. `own` is this node, `listed` all nodes of the
/// configuration.
///
/// If this node's store belongs to a cluster already, it may have begun to make that one and have been interrupted. Another
/// member, of that cluster too, says that it was made: whoever belongs to it was admitted by its service.
pub fn decide(own: NodeId, voters: &[NodeId], listed: &[NodeId], seen: &BTreeMap<NodeId, Seen>) -> Decision {
    let is_made = |(node, seen): (&NodeId, &Seen)| *node != own && matches!(seen, Seen::Member(_));
    if voters.first() != Some(&own) || seen.iter().any(is_made) {
        return Decision::Join;
    }
    let silent: Vec<NodeId> = voters.iter().filter(|voter| !seen.contains_key(voter)).copied().collect();
    if 2 * (voters.len() - silent.len()) <= voters.len() {
        return Decision::Wait { silent };
    }
    if listed.iter().all(|node| seen.contains_key(node)) { Decision::Found } else { Decision::Soon }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOTERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

    fn decide_at(own: u32, seen: &[(u32, Seen)]) -> Decision {
        let listed = [VOTERS.as_slice(), &[NodeId(4)]].concat();
        let seen = seen.iter().map(|(node, seen)| (NodeId(*node), *seen)).collect();
        decide(NodeId(own), &VOTERS, &listed, &seen)
    }

    fn fresh(node: u32) -> (u32, Seen) {
        (node, Seen::Fresh(StoreId(node.into())))
    }

    fn member(node: u32, cluster: u128) -> (u32, Seen) {
        (node, Seen::Member(ClusterId(cluster)))
    }

    #[test]
    fn a_majority_of_fresh_voters_is_needed() {
        let silent = vec![NodeId(2), NodeId(3)];
        assert_eq!(decide_at(1, &[fresh(1)]), Decision::Wait { silent: silent.clone() });
        assert_eq!(decide_at(1, &[fresh(1), fresh(4)]), Decision::Wait { silent });
        assert_eq!(decide_at(1, &[fresh(1), fresh(3)]), Decision::Soon);
        assert_eq!(decide_at(1, &[fresh(1), fresh(2), fresh(3), fresh(4)]), Decision::Found);
    }

    #[test]
    fn only_the_first_voter_makes_it() {
        for own in 2..=4 {
            assert_eq!(decide_at(own, &[fresh(1), fresh(2), fresh(3), fresh(4)]), Decision::Join);
        }
    }

    #[test]
    fn nothing_is_made_where_something_is() {
        assert_eq!(decide_at(1, &[fresh(1), fresh(2), member(3, 7)]), Decision::Join);
        assert_eq!(decide_at(1, &[member(1, 8), fresh(2), member(3, 7)]), Decision::Join);
        // It was wiped and admitted again, and the service that it is to learn from has not reached it yet.
        assert_eq!(decide_at(1, &[member(1, 8), member(2, 8), member(3, 8)]), Decision::Join);
    }

    #[test]
    fn who_was_interrupted_goes_on() {
        assert_eq!(decide_at(1, &[member(1, 8), fresh(2)]), Decision::Soon);
        assert_eq!(decide_at(1, &[member(1, 8), fresh(2), fresh(3), fresh(4)]), Decision::Found);
    }
}
