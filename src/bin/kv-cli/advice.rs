//! What a finding means, what will come of it, and what to type.

mod down;

use kv::coordination::registry::ALARMS;
use kv::core::id::StoreId;
use kv::core::ring::change::Standing;
use kv::wire::report::{ClusterReport, Finding, StoreFate};

use crate::table::millis;

/// A finding for people.
pub struct Advice {
    /// What is so.
    pub what: String,
    /// What will happen, or what to do.
    pub then: Vec<String>,
    /// Commands that help.
    pub type_next: Vec<String>,
}

/// Explains a finding of a report; `cluster` are the options that name the same cluster again.
pub fn advise(finding: &Finding, report: &ClusterReport, cluster: &str) -> Advice {
    let status = format!("kv-cli{cluster} status");
    let service = format!("kv-cli{cluster} coord status --all");
    let advice = |what: String, then: &str, type_next: String| Advice {
        what,
        then: vec![then.into()],
        type_next: vec![type_next],
    };
    match finding {
        Finding::NoOwner { partitions } => advice(
            format!("Of {partitions} partitions no owner can be reached."),
            "Strict requests for them fail, sloppy ones are served by fallbacks. Start the nodes that are down.",
            status,
        ),
        Finding::LeaseOver => advice(
            "The asked node's lease is over: it refuses strict requests.".into(),
            "It goes on with sloppy ones, and with strict ones as soon as the coordination service answers it again.",
            service,
        ),
        Finding::LeaseEnds { in_ms } => advice(
            format!("The asked node cannot renew its lease, which ends in {}.", millis(*in_ms)),
            "From then on it refuses strict requests; sloppy ones go on.",
            service,
        ),
        Finding::NoSession => advice(
            "The asked node has no working session with the coordination service.".into(),
            "It serves with the ring it knows and tries again by itself.",
            service,
        ),
        Finding::NoLeader { reached, needed } => advice(
            format!("The coordination service has no leader: voters reached: {reached}, needed: {needed}."),
            "Nothing can be changed until enough voters run; reads and sloppy writes go on. Start them.",
            service,
        ),
        Finding::ServiceTrouble { reason } => {
            advice(format!("The coordination service reports: {reason}."), "Look at all nodes.", service)
        }
        Finding::NodeDown { node, partitions } => {
            let standing = report.members.iter().find(|member| member.node == *node).map(|member| member.standing);
            match standing {
                Some(Standing::Removed) => advice(
                    format!("Node {node} is down and is being removed."),
                    "Others copy what it owned. Should it return, it delivers what only it has.",
                    format!("kv-cli{cluster} cluster watch"),
                ),
                _ => {
                    let fate = report.down.iter().find(|report| report.node == *node);
                    down::advise(*node, *partitions, fate, cluster)
                }
            }
        }
        Finding::NodeUnreached { node, partitions, reason, session_ends_ms } => advice(
            format!(
                "Node {node} cannot be reached ({reason}); it owns {partitions} partitions. Its session still lives."
            ),
            &match session_ends_ms {
                Some(0) => {
                    "Its time is over; the session ends as soon as the service has a leader to say so.".to_string()
                }
                Some(ms) => format!(
                    "The session ends in {} if nothing more is heard; then the node counts as gone.",
                    millis(*ms)
                ),
                None => "If it stays silent its session ends, and the node counts as gone.".to_string(),
            },
            status,
        ),
        Finding::NodeWithoutSession { node } => advice(
            format!("Node {node} answers but has no session with the coordination service."),
            "It serves sloppy requests alone. Look at what it says.",
            format!("kv-cli{cluster} cluster status --node {node}"),
        ),
        Finding::NodeBehind { node, epoch } => advice(
            format!("Node {node} works with an older ring, of epoch {epoch}."),
            "It should catch up in a moment; if it does not, look at what it says.",
            format!("kv-cli{cluster} cluster status --node {node}"),
        ),
        Finding::OwnsNothing { node } => advice(
            format!("Node {node} owns nothing: it stands in for others that are down."),
            "To give it its share of the partitions:",
            format!("kv-cli{cluster} cluster join {node}"),
        ),
        Finding::Staged { actions } => advice(
            match actions {
                1 => "One action is staged and not committed.".into(),
                _ => format!("{actions} actions are staged and not committed."),
            },
            "See what they would move, then commit or clear them.",
            format!("kv-cli{cluster} cluster plan"),
        ),
        Finding::NoVoterToSpare { needed, .. } => advice(
            format!("Of the voters just as many are reached as are needed, {needed}: no further one may be lost."),
            "Start those that are down.",
            service,
        ),
        Finding::Store { store, node, fate } => of_store(*store, &node.to_string(), fate, cluster),
    }
}

fn of_store(store: StoreId, node: &str, fate: &StoreFate, cluster: &str) -> Advice {
    let dismiss = || vec![format!("kv-cli{cluster} coord delete {ALARMS}/{store} --force")];
    let then = |text: &str| vec![text.to_string(), "When that is done, dismiss this alarm:".into()];
    match fate {
        StoreFate::RolledBack { address, shown, registered } => Advice {
            what: format!(
                "At {address} store {store:?} of node {node} called with start {shown}, but {registered} was seen: an old \
                 copy was restored. It was refused."
            ),
            then: then(
                "Its bytes are not merged: the node moves them to set-aside-... in its data directory and begins again as a \
                 new store. Delete that folder once nothing in it is missed.",
            ),
            type_next: dismiss(),
        },
        StoreFate::Cloned { address } => Advice {
            what: format!("At {address} runs a copy of store {store:?} of node {node}. It was refused."),
            then: then("Stop the copy, and give it an empty directory and a node number of its own."),
            type_next: dismiss(),
        },
        StoreFate::CameBack { address } => Advice {
            what: format!("At {address} store {store:?} called, which node {node} has replaced since. It was refused."),
            then: then("Move its directory away, and start the node with the one that it had last."),
            type_next: dismiss(),
        },
        StoreFate::Replaced { by } => Advice {
            what: format!(
                "Store {store:?} of node {node} is lost: the node came with {}, which is to take its places in the ring.",
                by.map_or("another one".into(), |by| format!("store {by:?}"))
            ),
            then: vec![
                "Its partitions live on the other owners. The new store copies them as soon as no other change runs."
                    .into(),
            ],
            type_next: vec![format!("kv-cli{cluster} cluster watch")],
        },
    }
}
