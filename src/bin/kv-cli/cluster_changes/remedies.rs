//! What to do about a plan that is refused, and about a node that is not removed.

use kv::core::id::NodeId;
use kv::core::ring::change::{Hold, Refusal};

/// What to do so that a plan is not refused any more; `cluster` are the options that name the same cluster again.
pub fn for_refusal(refusal: &Refusal, cluster: &str) -> String {
    let kv_cluster = format!("kv-cli{cluster} cluster");
    match refusal {
        Refusal::Nothing => {
            format!("Stage something first with `{kv_cluster} join`, `leave`, `remove`, `replace` or `set`.")
        }
        Refusal::Unknown { .. } => {
            format!("`{kv_cluster} status` shows the members; a new one is started with `kv-server --join ADDRESS`.")
        }
        Refusal::NotAGuest { .. } => {
            format!("Only a node that owns nothing can join, or replace another: `{kv_cluster} status` shows them.")
        }
        Refusal::NothingToReplace { .. } => format!("Stage `{kv_cluster} join` for the other node instead."),
        Refusal::Weightless { node } => format!("Stage `{kv_cluster} set {node} --weight 100` as well."),
        Refusal::Alive { node } => {
            format!("Stage `{kv_cluster} leave {node}` instead, or insist with --force when you commit.")
        }
        Refusal::Down { node } => format!(
            "Start node {node}, or stage `{kv_cluster} remove {node}` if it is lost; or insist with --force when you commit."
        ),
        Refusal::FewerOwners { .. } => {
            format!(
                "Let another node join in the same plan (`{kv_cluster} join`), or insist with --force when you commit."
            )
        }
        Refusal::FewerZones { .. } => format!(
            "Let a node of another zone join in the same plan (`{kv_cluster} join`), or insist with --force when you commit."
        ),
        Refusal::NoSource { .. } => format!(
            "Start one of the nodes that own them: `{kv_cluster} status` shows who is down. This cannot be forced."
        ),
        Refusal::NoOwners => {
            format!("Let another node join in the same plan (`{kv_cluster} join`). This cannot be forced.")
        }
    }
}

/// What to do about a node that is down and stays in the ring for now, and what to type.
pub fn for_hold(hold: &Hold, node: NodeId, cluster: &str) -> (&'static str, String) {
    let status = || format!("kv-cli{cluster} cluster status");
    match hold {
        Hold::NotYet { .. } => ("Start it before that. If it is lost, this does not wait:", remove(node, cluster)),
        Hold::ChangeRuns { .. } => {
            ("It is judged again when that has ended, and its time goes on.", format!("kv-cli{cluster} cluster watch"))
        }
        Hold::OthersDown { .. } => (
            "What only they hold could not be copied. Start them first; if this one alone is lost:",
            remove(node, cluster),
        ),
        Hold::NotInSync { .. } => {
            ("They may lack what only this node holds. Start it, or wait until they are in sync:", status())
        }
        Hold::Refused(_) => ("Start it, or let another node take its places:", replace(node, cluster)),
        Hold::Idle => ("Start it; if it is lost, this takes it out of the list:", remove(node, cluster)),
    }
}

/// The command that stages a removal.
pub fn remove(node: NodeId, cluster: &str) -> String {
    format!("kv-cli{cluster} cluster remove {node}")
}

fn replace(node: NodeId, cluster: &str) -> String {
    format!("kv-cli{cluster} cluster replace {node} --by NODE")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(3);

    #[test]
    fn every_refusal_has_a_remedy_and_says_if_force_helps() {
        let refusals = [
            Refusal::Nothing,
            Refusal::Unknown { node: NODE },
            Refusal::NotAGuest { node: NODE },
            Refusal::NothingToReplace { node: NODE },
            Refusal::Weightless { node: NODE },
            Refusal::Alive { node: NODE },
            Refusal::Down { node: NODE },
            Refusal::FewerOwners { before: 3, after: 2, replication: 3 },
            Refusal::FewerZones { before: 3, after: 2 },
            Refusal::NoSource { partitions: 4 },
            Refusal::NoOwners,
        ];
        for refusal in refusals {
            let remedy = for_refusal(&refusal, " --config f");
            assert_eq!(remedy.contains("--force"), refusal.can_be_forced(), "{refusal}: {remedy}");
            assert!(remedy.contains("`kv-cli --config f cluster "), "{remedy}");
        }
    }

    #[test]
    fn every_hold_says_what_to_type() {
        let nodes = vec![NodeId(4)];
        let holds = [
            (Hold::NotYet { left_ms: 5 }, "remove 3"),
            (Hold::ChangeRuns { number: 2 }, "watch"),
            (Hold::OthersDown { nodes: nodes.clone() }, "remove 3"),
            (Hold::NotInSync { nodes }, "status"),
            (Hold::Refused(Refusal::NoOwners), "replace 3 --by NODE"),
            (Hold::Idle, "remove 3"),
        ];
        for (hold, expected) in holds {
            assert_eq!(for_hold(&hold, NODE, "").1, format!("kv-cli cluster {expected}"), "{hold}");
        }
    }
}
