//! One target's hints on their way, a page at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::core::id::{Epoch, StoreId};
use crate::core::key::Key;
use crate::core::version::Clock;
use crate::node::env::Moment;
use crate::node::view::RingView;

/// All hints of a target that is not reachable are not looked through again for the sake of a few new ones before this has passed,
const LOOK_AGAIN_MIN: Duration = Duration::from_secs(10);
/// nor before so many times what it took: they may be many.
const LOOK_AGAIN_TIMES: u32 = 20;

/// The delivery of the hints for one target.
pub(super) struct Delivery {
    /// The ring when it began; some of what it looked at was judged by that.
    epoch: Epoch,
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
    /// Hints that wait for nobody but their target, which is not reachable.
    pub kept: u64,
}

/// That all hints of a target were looked through, and none was left that goes to others.
pub(super) struct Look {
    /// By this ring, or later ones.
    epoch: Epoch,
    /// So many wait for nobody but their target.
    kept: u64,
    again: Moment,
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
    pub fn new(epoch: Epoch, begun: Moment, patience: Moment) -> Delivery {
        let (waiting, leaves_some) = (BTreeMap::new(), false);
        Delivery { epoch, arbiter: 0, after: None, waiting, patience, begun, bytes: 0, leaves_some, kept: 0 }
    }

    /// All hints were read; `None` if some are left that go to others.
    pub fn ended(&self, now: Moment) -> Option<Look> {
        let again = now + LOOK_AGAIN_MIN.max(now.duration_since(self.begun).saturating_mul(LOOK_AGAIN_TIMES));
        (!self.leaves_some).then_some(Look { epoch: self.epoch, kept: self.kept, again })
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

impl Look {
    /// Whether to look again, now that `count` hints are held for the target: the ring is another one, or there are some that were not
    /// seen. Those may have been on their way to the disk, or have come since from somebody who went by an older ring, or be of a newer
    /// version than was delivered.
    pub fn is_due_again(&self, epoch: Epoch, count: u64, now: Moment) -> bool {
        self.epoch < epoch || count > self.kept && now >= self.again
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
    fn what_was_not_seen_is_looked_for_again() {
        let (begun, epoch) = (crate::node::env::now(), Epoch { generation: 0, counter: 5 });
        let mut delivery = Delivery::new(epoch, begun, begun);
        delivery.kept = 3;
        let ended = begun + Duration::from_secs(2);
        let look = delivery.ended(ended).expect("none is left");
        let much_later = ended + Duration::from_secs(40);
        assert!(!look.is_due_again(epoch, 3, much_later), "these wait for their target");
        assert!(look.is_due_again(epoch, 4, much_later));
        assert!(!look.is_due_again(epoch, 4, ended + Duration::from_secs(39)), "looking costs a twentieth of the time");
        assert!(look.is_due_again(Epoch { counter: 6, ..epoch }, 3, ended));
        delivery.leaves_some = true;
        assert!(delivery.ended(ended).is_none());
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
