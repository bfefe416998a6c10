//! From the pages of several owners to one.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::core::bucket::Conflict;
use crate::core::version::{Object, Payload};

/// What one owner holds of a bucket in a partition, from the cursor on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OwnerPage {
    /// Names and objects, by name.
    pub entries: Vec<(Bytes, Object)>,
    /// The last name that was looked at: what the owner holds up to it is here, of what is beyond nothing is known. `None` if
    /// there is nothing beyond.
    pub end: Option<Bytes>,
}

/// What the owners hold together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Names and merged objects, by name, each name once.
    pub entries: Vec<(Bytes, Object)>,
    /// Where it ends; as in [`OwnerPage`].
    pub end: Option<Bytes>,
}

/// Merges what owners answered to one question, as far as all of them reach, and at most `keys_max` keys.
///
/// Beyond the nearest end the owner whose page ends there may hold something: a key could be shown in an old version, or not at
/// all. Objects are merged as a read would merge them, so that one owner's tombstone is not another's live key.
pub fn merge(pages: Vec<OwnerPage>, keys_max: usize, conflict: Conflict) -> Page {
    let mut end = pages.iter().filter_map(|page| page.end.clone()).min();
    let mut merged = BTreeMap::<Bytes, Object>::new();
    for (name, object) in pages.into_iter().flat_map(|page| page.entries) {
        if end.as_ref().is_some_and(|end| name > *end) {
            continue;
        }
        match merged.get_mut(&name) {
            Some(held) => _ = held.merge(&object, conflict),
            None => _ = merged.insert(name, object),
        }
    }
    let has_more = merged.len() > keys_max;
    let entries: Vec<_> = merged.into_iter().take(keys_max).collect();
    if has_more {
        end = entries.last().map(|(name, _)| name.clone());
    }
    Page { entries, end }
}

/// What a reader at this time finds: keys with a value that was neither deleted nor has expired.
pub fn live(entries: Vec<(Bytes, Object)>, now_ms: u64) -> impl Iterator<Item = (Bytes, Object)> {
    entries.into_iter().filter(move |(_, object)| object.siblings.iter().any(|sibling| !sibling.is_deleted(now_ms)))
}

/// An object without the bytes of its values: it merges, and is live or not, as the whole one is.
pub fn outline(mut object: Object) -> Object {
    for sibling in &mut object.siblings {
        if let Payload::Value(bytes) = &mut sibling.payload {
            *bytes = Bytes::new();
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::core::version::{Actor, Dot, Sibling};
    use proptest::prelude::*;

    /// What one owner holds: by name, the event it saw last, and whether that was a delete. All events are of one actor, so
    /// the higher one covers the lower.
    type Held = BTreeMap<u8, (u64, bool)>;

    fn object(event: u64, deleted: bool) -> Object {
        let dot = Dot { actor: Actor { incarnation: 1, birth: 1 }, counter: event };
        let payload =
            if deleted { Payload::Tombstone } else { Payload::Value(Bytes::copy_from_slice(&event.to_be_bytes())) };
        let mut object = Object::default();
        // What came before was seen and covered.
        (1..=event).for_each(|counter| object.context.add(Dot { counter, ..dot }, counter));
        object.siblings.push(Sibling { dot, time: event, payload, expires_ms: None });
        object
    }

    fn name(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[n])
    }

    /// Answers as an owner does: what follows `after`, at most `limit` keys.
    fn answer(held: &Held, after: Option<&Bytes>, limit: usize) -> OwnerPage {
        let mut rest = held.iter().filter(|(n, _)| after.is_none_or(|after| name(**n) > *after));
        let entries: Vec<_> =
            rest.by_ref().take(limit).map(|(n, (event, deleted))| (name(*n), object(*event, *deleted))).collect();
        let end = entries.last().filter(|_| rest.next().is_some()).map(|(last, _)| last.clone());
        OwnerPage { entries, end }
    }

    fn held() -> impl Strategy<Value = Held> {
        proptest::collection::btree_map(0u8..40, (1u64..4, any::<bool>()), 0..30)
    }

    proptest! {
        /// Every key that any owner holds up to the end is there, once, in order; the end passes no owner's, and lies
        /// beyond the cursor.
        #[test]
        fn a_page_is_complete_up_to_its_end(
            owners in proptest::collection::vec((held(), 1usize..10), 1..4), after in proptest::option::of(0u8..40), keys_max in 1usize..12,
        ) {
            let after = after.map(name);
            let pages: Vec<_> = owners.iter().map(|(held, limit)| answer(held, after.as_ref(), *limit)).collect();
            let ends: Vec<_> = pages.iter().filter_map(|page| page.end.clone()).collect();
            let page = merge(pages, keys_max, Conflict::Siblings);
            let within = |n: &Bytes| {
                after.as_ref().is_none_or(|after| n > after) && page.end.as_ref().is_none_or(|end| n <= end)
            };
            let wanted: BTreeSet<Bytes> =
                owners.iter().flat_map(|(held, _)| held.keys().map(|n| name(*n))).filter(within).collect();
            prop_assert_eq!(page.entries.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>(), wanted.into_iter().collect::<Vec<_>>());
            prop_assert!(page.entries.len() <= keys_max);
            match &page.end {
                None => prop_assert!(ends.is_empty()),
                Some(end) => {
                    prop_assert!(ends.iter().all(|theirs| end <= theirs));
                    prop_assert!(after.as_ref().is_none_or(|after| end > after));
                }
            }
        }

        /// Page after page, with another set of owners each time, a listing shows each live key once, in its newest version, if
        /// each set has an owner that knows it.
        #[test]
        fn a_listing_shows_each_live_key_once(
            newest in held(), stale in proptest::collection::vec(held(), 1..3), limits in proptest::collection::vec(1usize..6, 1..5), keys_max in 1usize..8,
        ) {
            // An owner that is behind holds older events of the same keys.
            let behind = |held: &Held| -> Held {
                let older = |(n, (event, deleted)): (&u8, &(u64, bool))| {
                    let (last, _) = *newest.get(n)?;
                    (*event < last).then_some((*n, (*event, *deleted)))
                };
                held.iter().filter_map(older).collect()
            };
            let stale: Vec<Held> = stale.iter().map(behind).collect();
            let (mut after, mut listed) = (None, vec![]);
            for (i, limit) in limits.iter().cycle().enumerate() {
                let pages = vec![
                    answer(&newest, after.as_ref(), *limit),
                    answer(&stale[i % stale.len()], after.as_ref(), limit + 1),
                ];
                let page = merge(pages, keys_max, Conflict::Siblings);
                listed.extend(live(page.entries, 0));
                match page.end {
                    Some(end) => after = Some(end),
                    None => break,
                }
            }
            let wanted: Vec<_> =
                newest.iter().filter(|(_, (_, deleted))| !deleted).map(|(n, (event, _))| (name(*n), object(*event, false))).collect();
            prop_assert_eq!(listed, wanted);
        }

        #[test]
        fn an_outline_merges_as_the_whole(left in (1u64..5, any::<bool>()), right in (1u64..5, any::<bool>())) {
            let (mut whole, mut bare) = (object(left.0, left.1), outline(object(left.0, left.1)));
            whole.merge(&object(right.0, right.1), Conflict::Siblings);
            bare.merge(&outline(object(right.0, right.1)), Conflict::Siblings);
            prop_assert_eq!(bare, outline(whole));
        }
    }

    #[test]
    fn what_has_expired_is_not_live() {
        let mut object = object(1, false);
        object.siblings[0].expires_ms = Some(1000);
        let entries = vec![(name(1), object)];
        assert_eq!(live(entries.clone(), 999).count(), 1);
        assert_eq!(live(entries, 1000).count(), 0);
    }
}
