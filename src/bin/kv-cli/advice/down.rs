//! What becomes of a node that is down.

use kv::core::id::NodeId;
use kv::core::ring::change::Hold;
use kv::wire::change::DownReport;

use super::Advice;
use crate::cluster_changes::remedies;
use crate::table::millis;

/// Explains it; without a report the service was not asked, or has not noticed yet.
pub fn advise(node: NodeId, partitions: u32, down: Option<&DownReport>, cluster: &str) -> Advice {
    let what = match partitions {
        0 => format!("Node {node} is down; it owns nothing."),
        _ => format!("Node {node} is down; it owns {partitions} partitions."),
    };
    let kept = "Fallbacks keep what is written for it, and hand it over when it is back. Start it.".to_string();
    let (fate, type_next) = match down {
        None => (None, format!("kv-cli{cluster} status")),
        Some(down) => {
            let (fate, type_next) = fate(down, cluster);
            (Some(fate), type_next)
        }
    };
    Advice { what, then: [kept].into_iter().chain(fate).collect(), type_next: vec![type_next] }
}

/// Whether it is removed by itself, when, and what to type.
fn fate(down: &DownReport, cluster: &str) -> (String, String) {
    let node = down.node;
    match &down.hold {
        _ if !down.is_automatic => {
            let never = "It is not removed by itself (auto_remove_after is never). If it is lost:";
            (never.into(), remedies::remove(node, cluster))
        }
        None => {
            let now = "It was away for too long: it is about to be removed, and others copy what it owned.";
            (now.into(), format!("kv-cli{cluster} cluster watch"))
        }
        Some(hold) => {
            let (remedy, type_next) = remedies::for_hold(hold, node, cluster);
            let told = match hold {
                Hold::NotYet { left_ms } => format!("It is removed if it stays down for {} more.", millis(*left_ms)),
                hold => format!("It is not removed by itself: {hold}."),
            };
            (format!("{told} {remedy}"), type_next)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::core::id::StoreId;

    const NODE: NodeId = NodeId(3);

    fn told(hold: Option<Hold>, is_automatic: bool) -> (String, String) {
        let down = DownReport { node: NODE, store: StoreId(3), since_ms: 0, hold, is_automatic };
        let Advice { what, then, type_next } = advise(NODE, 64, Some(&down), " -x");
        assert_eq!((what.as_str(), then.len(), type_next.len()), ("Node 3 is down; it owns 64 partitions.", 2, 1));
        (then[1].clone(), type_next[0].clone())
    }

    #[test]
    fn it_says_when_a_node_is_removed_or_why_not() {
        let (then, next) = told(Some(Hold::NotYet { left_ms: 1_205_000 }), true);
        assert!(then.starts_with("It is removed if it stays down for 20m 5s more."), "{then}");
        assert_eq!(next, "kv-cli -x cluster remove 3");
        let (then, next) = told(Some(Hold::OthersDown { nodes: vec![NodeId(2)] }), true);
        assert!(
            then.starts_with("It is not removed by itself: other owners of its partitions are down: nodes 2."),
            "{then}"
        );
        assert_eq!(next, "kv-cli -x cluster remove 3");
        assert!(told(None, true).0.contains("about to be removed"));
        assert!(told(None, false).0.contains("auto_remove_after is never"));
    }

    #[test]
    fn a_guest_that_is_down_owns_nothing() {
        let advice = advise(NODE, 0, None, "");
        assert_eq!((advice.what.as_str(), advice.then.len()), ("Node 3 is down; it owns nothing.", 1));
    }
}
