//! What an operator asks of the ring, in numbers of nodes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::id::NodeId;

/// One thing that is to be different after a change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A guest becomes an owner.
    Join {
        /// Its node.
        node: NodeId,
    },
    /// A live member hands over all it has and goes out of the ring.
    Leave {
        /// Its node.
        node: NodeId,
    },
    /// A member that is gone loses all it has to others, who copy it from the remaining owners.
    Remove {
        /// Its node.
        node: NodeId,
    },
    /// A guest takes exactly the places of a member, which goes out of the ring.
    Replace {
        /// The member's node.
        node: NodeId,
        /// The guest's node.
        by: NodeId,
    },
    /// A member's share, or where it stands. What is left out stays.
    Set {
        /// Its node.
        node: NodeId,
        /// Its share, relative to the others'.
        weight: Option<u32>,
        /// Its zone.
        zone: Option<String>,
    },
}

impl Action {
    /// The nodes that it is about.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        let (node, by) = match self {
            Action::Replace { node, by } => (*node, Some(*by)),
            Action::Join { node } | Action::Leave { node } | Action::Remove { node } | Action::Set { node, .. } => {
                (*node, None)
            }
        };
        [node].into_iter().chain(by)
    }

    /// Whether it takes the place of an earlier one. What a node weighs and whether it is in the ring are asked for separately.
    fn supersedes(&self, earlier: &Action) -> bool {
        let is_set = |action: &Action| matches!(action, Action::Set { .. });
        is_set(self) == is_set(earlier) && self.nodes().any(|node| earlier.nodes().any(|other| other == node))
    }
}

/// Adds an action to those that are staged. It takes the place of earlier ones about the same node, which are answered.
pub fn stage(staged: &mut Vec<Action>, action: Action) -> Vec<Action> {
    let (superseded, kept) = std::mem::take(staged).into_iter().partition(|earlier| action.supersedes(earlier));
    *staged = kept;
    let superseded: Vec<Action> = superseded;
    let mut action = action;
    if let Action::Set { weight, zone, .. } = &mut action {
        for earlier in &superseded {
            if let Action::Set { weight: weight_before, zone: zone_before, .. } = earlier {
                *weight = weight.or(*weight_before);
                *zone = zone.take().or_else(|| zone_before.clone());
            }
        }
    }
    staged.push(action);
    superseded
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Action::Join { node } => write!(f, "node {node} joins"),
            Action::Leave { node } => write!(f, "node {node} leaves"),
            Action::Remove { node } => write!(f, "node {node} is removed"),
            Action::Replace { node, by } => write!(f, "node {by} replaces node {node}"),
            Action::Set { node, weight, zone } => {
                write!(f, "node {node} gets")?;
                weight.map_or(Ok(()), |weight| write!(f, " weight {weight}"))?;
                let and = if weight.is_some() { " and" } else { "" };
                zone.as_ref().map_or(Ok(()), |zone| write!(f, "{and} zone '{zone}'"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(node: u32) -> NodeId {
        NodeId(node)
    }

    #[test]
    fn the_last_word_about_a_node_counts() {
        let mut staged = vec![];
        let join = |n| Action::Join { node: node(n) };
        assert_eq!(stage(&mut staged, join(4)), []);
        assert_eq!(stage(&mut staged, join(5)), []);
        assert_eq!(stage(&mut staged, Action::Replace { node: node(1), by: node(4) }), [join(4)]);
        assert_eq!(stage(&mut staged, join(5)), [join(5)]);
        assert_eq!(staged, [Action::Replace { node: node(1), by: node(4) }, join(5)]);
    }

    #[test]
    fn what_is_set_stands_beside_joining_and_adds_up() {
        let mut staged = vec![Action::Join { node: node(4) }];
        stage(&mut staged, Action::Set { node: node(4), weight: Some(50), zone: Some("a".into()) });
        stage(&mut staged, Action::Set { node: node(4), weight: None, zone: Some("b".into()) });
        let set = Action::Set { node: node(4), weight: Some(50), zone: Some("b".into()) };
        assert_eq!(staged, [Action::Join { node: node(4) }, set.clone()]);
        assert_eq!(set.to_string(), "node 4 gets weight 50 and zone 'b'");
    }
}
