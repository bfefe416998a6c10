//! From what actors know to what operators read.

use crate::core::id::Partition;
use crate::core::ring::Member;
use crate::core::version::{Context, Object, Payload};
use crate::node::view::RingView;
use crate::wire::message::Examined;
use crate::wire::report::{HeldReport, PeerReport, ReplicaReport, SiblingReport};

/// A peer is as well as the worst of its links.
pub fn add_links(peers: &mut Vec<PeerReport>, links: Vec<PeerReport>) {
    for link in links {
        match peers.iter_mut().find(|peer| peer.node == link.node) {
            None => peers.push(link),
            Some(peer) => {
                peer.up &= link.up;
                peer.in_flight += link.in_flight;
                peer.last_heard_ms = peer.last_heard_ms.max(link.last_heard_ms);
                peer.trouble = peer.trouble.take().or(link.trouble);
            }
        }
    }
}

/// What one member answered about a key.
pub fn replica(
    view: &RingView,
    member: &Member,
    partition: Partition,
    answer: Result<Examined, String>,
) -> ReplicaReport {
    let owner = view.ring.owns(member.store, partition, view.ring.replication);
    let (holds, hints) = match answer {
        Err(error) => (Err(error), vec![]),
        Ok(Examined { object, hints }) => {
            let hints = hints.into_iter().map(|store| view.ring.node_of(store)).collect();
            let held = object.map(|object| Object::decode(&object.0).map(|object| held(&object)));
            (held.transpose().map_err(|malformed| malformed.to_string()), hints)
        }
    };
    ReplicaReport { node: member.node, owner, holds, hints }
}

fn held(object: &Object) -> HeldReport {
    let Context { vector, dots, .. } = &object.context;
    let entries = vector.iter().map(|(actor, counter)| format!("{actor}:{counter}"));
    let entries: Vec<String> = entries.chain(dots.iter().map(|dot| format!("+{dot}"))).collect();
    let siblings = object.siblings.iter().map(|sibling| SiblingReport {
        dot: sibling.dot.to_string(),
        bytes: match &sibling.payload {
            Payload::Value(bytes) => Some(bytes.len() as u64),
            Payload::Tombstone => None,
        },
        written_ms: sibling.written_ms(),
        expires_ms: sibling.expires_ms,
    });
    HeldReport { context: entries.join(" "), siblings: siblings.collect() }
}
