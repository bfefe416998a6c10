//! From what actors know to what operators read.

use crate::core::id::{Partition, StoreId};
use crate::core::ring::{Member, Motion, Route, Slice};
use crate::core::version::{Context, Object, Payload};
use crate::node::view::RingView;
use crate::wire::message::Examined;
use crate::wire::report::{HeldReport, PeerReport, Phase, ReplicaReport, Role, SiblingReport};

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

/// Everybody who may hold something of a partition, with what he is to it.
pub fn roles(slice: &Slice, route: &Route, replication: u8) -> Vec<(StoreId, Role)> {
    let others = slice.others();
    let is_both = |store: &StoreId| slice.owners.contains(store) && others.contains(store);
    let (of_owners, of_others) = match slice.motion {
        None => (Role::Owner, Role::Owner),
        Some(Motion::Pending(_)) => (Role::Departing, Role::Arriving),
        Some(Motion::Switched(_)) => (Role::Owner, Role::Departing),
    };
    let in_motion = |store: &StoreId, role| (*store, if is_both(store) { Role::Owner } else { role });
    let owners = slice.owners.iter().map(|store| in_motion(store, of_owners));
    let others = others.iter().filter(|store| !is_both(store)).map(|store| (*store, of_others));
    let draining = slice.draining.iter().map(|store| (*store, Role::Draining));
    let mut roles: Vec<(StoreId, Role)> = owners.chain(others).collect();
    let rest = draining.chain(route.fallbacks(replication).map(|store| (store, Role::Fallback)));
    for (store, role) in rest {
        if roles.iter().all(|(named, _)| *named != store) {
            roles.push((store, role));
        }
    }
    roles
}

/// How far a partition is on its way to other owners.
pub fn phase(slice: &Slice) -> Phase {
    match slice.motion {
        None => Phase::AtRest,
        Some(Motion::Pending(_)) => Phase::Pending,
        Some(Motion::Switched(_)) => Phase::Switched,
    }
}

/// What one member answered about a key.
pub fn replica(
    view: &RingView,
    member: &Member,
    role: Role,
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
    ReplicaReport { node: member.node, owner, role, holds, hints }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::Epoch;

    fn stores(of: &[u128]) -> Vec<StoreId> {
        of.iter().copied().map(StoreId).collect()
    }

    fn roles_of(motion: Option<Motion>, owners: &[u128], draining: &[u128], strangers: &[u128]) -> Vec<(u128, Role)> {
        let slice = Slice { owners: stores(owners), motion, draining: stores(draining), since: Epoch::default() };
        let route = Route {
            partition: Partition(0),
            since: slice.since,
            owners: slice.owners.clone(),
            others: slice.others().to_vec(),
            strangers: stores(strangers),
        };
        roles(&slice, &route, 3).into_iter().map(|(store, role)| (store.0, role)).collect()
    }

    #[test]
    fn each_phase_has_its_roles() {
        use Role::{Arriving, Departing, Draining, Fallback, Owner};
        let pending = roles_of(Some(Motion::Pending(stores(&[1, 4, 3]))), &[1, 2, 3], &[], &[5]);
        assert_eq!(pending, [(1, Owner), (2, Departing), (3, Owner), (4, Arriving), (5, Fallback)]);
        let switched = roles_of(Some(Motion::Switched(stores(&[1, 2, 3]))), &[1, 4, 3], &[], &[5]);
        assert_eq!(switched, [(1, Owner), (4, Owner), (3, Owner), (2, Departing), (5, Fallback)]);
        let at_rest = roles_of(None, &[1, 4, 3], &[2], &[5]);
        assert_eq!(at_rest, [(1, Owner), (4, Owner), (3, Owner), (2, Draining), (5, Fallback)]);
    }
}
