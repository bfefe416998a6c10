//! A change, and what is part of it, in a few words.

use kv::core::ring::change::{Action, Direction, Origin, Standing};
use kv::wire::change::{ChangeReport, Phases};

use crate::table::list;

/// What it does and how far it is: `change 3 (node 4 joins): 12 of 64 partitions done, 4 pending`.
pub fn told(change: &ChangeReport) -> String {
    let turning = match change.direction {
        Direction::Forward => "",
        Direction::TurningBack => " turns back",
    };
    format!("change {}{turning} ({}): {}", change.number, actions(&change.actions), phases(&change.phases))
}

/// What is done, one after the other.
pub fn actions(actions: &[Action]) -> String {
    list(actions)
}

/// Who began it.
pub fn origin(change: &ChangeReport) -> String {
    match change.origin {
        Origin::Operator => format!("committed by an operator through node {}", change.through),
        Origin::Automatic => format!("begun by the cluster itself, on node {}", change.through),
    }
}

/// How far the partitions are. What is nothing is left out.
pub fn phases(phases: &Phases) -> String {
    let Phases { to_do, pending, switched, draining, done } = *phases;
    let rest = [(pending, "pending"), (switched, "switched"), (draining, "draining"), (to_do, "to do")];
    let rest = rest.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
    format!("{done} of {} partitions done{}", total(phases), rest.collect::<String>())
}

/// Partitions that it moves.
pub fn total(phases: &Phases) -> u32 {
    phases.to_do + phases.pending + phases.switched + phases.draining + phases.done
}

/// What a node is to the ring, in a word.
pub fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Owner => "owner",
        Standing::Replaced => "replaced",
        Standing::Guest => "guest",
        Standing::Leaving => "leaving",
        Standing::Removed => "removed",
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use kv::core::id::{Epoch, NodeId, StoreId};
    use kv::wire::change::StoreProgress;

    /// Node 4 joins; node 1 gives up what it gets. Half of it is done.
    pub fn joining() -> ChangeReport {
        let store = |node: u32, arrived, drained| StoreProgress {
            store: StoreId(node.into()),
            node: NodeId(node),
            is_live: true,
            arrived,
            drained,
        };
        ChangeReport {
            number: 3,
            origin: Origin::Operator,
            through: NodeId(2),
            actions: vec![Action::Join { node: NodeId(4) }],
            direction: Direction::Forward,
            committed_ms: 1_000,
            ended_ms: None,
            epoch: Epoch { generation: 0, counter: 9 },
            phases: Phases { to_do: 2, pending: 4, switched: 0, draining: 2, done: 8 },
            waiting: vec![],
            waiting_left_off: 0,
            stores: vec![store(1, (0, 0), (8, 16)), store(4, (10, 16), (0, 0))],
        }
    }

    #[test]
    fn a_change_is_told_in_a_line() {
        let mut change = joining();
        assert_eq!(told(&change), "change 3 (node 4 joins): 8 of 16 partitions done, 4 pending, 2 draining, 2 to do");
        assert_eq!(origin(&change), "committed by an operator through node 2");
        change.direction = Direction::TurningBack;
        change.phases = Phases { done: 16, ..Phases::default() };
        assert_eq!(told(&change), "change 3 turns back (node 4 joins): 16 of 16 partitions done");
    }
}
