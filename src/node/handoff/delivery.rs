//! One target's hints on their way, a page at a time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::version::Clock;
use crate::node::env::Moment;
use crate::node::view::RingView;

/// The delivery of the hints for one target.
pub(super) struct Delivery {
    /// The Replica whose hints are being delivered,
    pub arbiter: usize,
    /// and where in them.
    pub after: Option<Bytes>,
    /// Sent and not acknowledged by all.
    pub waiting: BTreeMap<u64, Waiting>,
    /// When to give this round up.
    pub patience: Moment,
    /// When it began,
    pub begun: Moment,
    /// and the bytes acknowledged since.
    pub bytes: u64,
    /// Whether a copy stays because not everybody who must have it can be reached, or took it.
    pub leaves_some: bool,
}

/// A copy that was sent.
pub(super) struct Waiting {
    pub key: Key,
    /// The version that was sent.
    pub clock: Clock,
    /// Its size.
    pub bytes: u64,
    /// Who has not acknowledged it.
    pub to: BTreeSet<StoreId>,
    /// Whether it went to others than its target.
    pub is_redirected: bool,
}

impl Delivery {
    /// From the first hint on.
    pub fn new(begun: Moment, patience: Moment) -> Delivery {
        Delivery { arbiter: 0, after: None, waiting: BTreeMap::new(), patience, begun, bytes: 0, leaves_some: false }
    }

    /// Whether an answer from this store is waited for.
    pub fn waits_for(&self, store: StoreId) -> bool {
        self.waiting.values().any(|waiting| waiting.to.contains(&store))
    }

    /// A store has acknowledged a copy. Returns it when that was the last one.
    pub fn acknowledged(&mut self, id: u64, by: StoreId) -> Option<Waiting> {
        let waiting = self.waiting.get_mut(&id)?;
        waiting.to.remove(&by);
        self.bytes += waiting.bytes;
        if waiting.to.is_empty() { self.waiting.remove(&id) } else { None }
    }
}

/// To whom a hint goes: to its target, as long as that has a place of the key; else to all who have one now, on both sides if the
/// partition is in motion. Whoever holds the hint is not among them: it has the copy. The flag says whether it is the latter.
pub(super) fn recipients(view: &RingView, own: StoreId, target: StoreId, key: &Key) -> (BTreeSet<StoreId>, bool) {
    let ring = &view.ring;
    let partition = ring.partition_of(key);
    let n = view.buckets.get(&key.bucket).n.unwrap_or(ring.replication);
    if ring.owns(target, partition, n) {
        return (BTreeSet::from([target]), false);
    }
    let places = ring.owners(partition).take(n as usize).chain(ring.others(partition).take(n as usize));
    (places.map(|member| member.store).filter(|&store| store != own).collect(), true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::bucket::Buckets;
    use crate::core::id::{Epoch, NodeId};
    use crate::core::ring::{Member, Motion, Ring, Slice};

    fn view(slice: Slice<u16>) -> RingView {
        let member = |i: u128| Member {
            store: StoreId(i),
            node: NodeId(i as u32 + 1),
            address: format!("node{i}:8000"),
            zone: "default".into(),
            weight: 1,
        };
        let ring = Ring::of(Epoch::default(), 2, (0..5).map(member).collect(), &[slice]).expect("a ring");
        RingView::new(ring, Buckets::default())
    }

    fn to(view: &RingView, target: u128) -> (Vec<u128>, bool) {
        let (to, is_redirected) = recipients(view, StoreId(4), StoreId(target), &Key::bare("key"));
        (to.into_iter().map(|store| store.0).collect(), is_redirected)
    }

    #[test]
    fn a_hint_goes_to_its_target_or_to_all_who_have_the_key_now() {
        let at_rest = view(Slice::at_rest(vec![0, 1]));
        assert_eq!(to(&at_rest, 1), (vec![1], false));
        assert_eq!(to(&at_rest, 3), (vec![0, 1], true));
        assert_eq!(to(&at_rest, 77), (vec![0, 1], true), "it is no member at all");
        let moving = view(Slice { motion: Some(Motion::Pending(vec![0, 2])), ..Slice::at_rest(vec![0, 1]) });
        assert_eq!(to(&moving, 2), (vec![2], false), "it arrives");
        assert_eq!(to(&moving, 3), (vec![0, 1, 2], true));
        assert_eq!(to(&view(Slice::at_rest(vec![0, 4])), 3), (vec![0], true), "the copy is here already");
    }
}
