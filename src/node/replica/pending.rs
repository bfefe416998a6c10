//! Records between decision and durability.
//!
//! For a key with writes in flight there are several truths: what is durable (reads see that), and what was decided last
//! (the next write builds on that). For every other key the engine knows both. An entry lives as long as a write of its key
//! is on its way to the disk, so the whole is bounded by what is admitted.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

use crate::node::disk::Ticket;

/// A stored record, or that there is none.
pub type Stored = Option<Bytes>;

#[derive(Default)]
struct Entry {
    durable: Stored,
    writes: VecDeque<(Ticket, Stored)>,
}

/// All keys with writes in flight.
#[derive(Default)]
pub struct Pending {
    entries: BTreeMap<Bytes, Entry>,
    /// Which keys each ticket wrote, oldest first.
    tickets: VecDeque<(Ticket, Bytes)>,
}

impl Pending {
    /// The newest record of a key in flight, and the ticket that makes it durable.
    pub fn newest(&self, key: &[u8]) -> Option<(Ticket, &Stored)> {
        self.entries.get(key)?.writes.back().map(|(ticket, record)| (*ticket, record))
    }

    /// The durable record of a key in flight.
    pub fn durable(&self, key: &[u8]) -> Option<&Stored> {
        self.entries.get(key).map(|entry| &entry.durable)
    }

    /// The durable records of the keys with `prefix` that are greater than `after` and, if there is a `last`, not greater than that,
    /// given those that the engine shows: it shows writes that are not durable yet, and hides records whose removal is not.
    pub fn durable_among(
        &self,
        shown: Vec<(Bytes, Bytes)>,
        prefix: &[u8],
        after: Option<&[u8]>,
        last: Option<&[u8]>,
    ) -> Vec<(Bytes, Bytes)> {
        let start = after.filter(|after| *after >= prefix).map_or(Bound::Included(prefix), Bound::Excluded);
        let within = |key: &Bytes| key.starts_with(prefix) && last.is_none_or(|last| *key <= last);
        let mut in_flight =
            self.entries.range::<[u8], _>((start, Bound::Unbounded)).take_while(|(key, _)| within(key)).peekable();
        if in_flight.peek().is_none() {
            return shown;
        }
        let mut records: BTreeMap<Bytes, Bytes> = shown.into_iter().collect();
        for (key, entry) in in_flight {
            match &entry.durable {
                Some(record) => records.insert(key.clone(), record.clone()),
                None => records.remove(key),
            };
        }
        records.into_iter().collect()
    }

    /// Whether a write of a key with this prefix is in flight.
    pub fn any(&self, prefix: &[u8]) -> bool {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        self.entries.range::<[u8], _>(from).next().is_some_and(|(key, _)| key.starts_with(prefix))
    }

    /// All keys with a write in flight.
    pub fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.entries.keys()
    }

    /// A new write of `key`; `durable` is what the engine held if none is in flight yet.
    pub fn push(&mut self, ticket: Ticket, key: Bytes, record: Stored, durable: impl FnOnce() -> Stored) {
        let entry =
            self.entries.entry(key.clone()).or_insert_with(|| Entry { durable: durable(), writes: VecDeque::new() });
        match entry.writes.back_mut() {
            Some((last, newest)) if *last == ticket => *newest = record,
            _ => {
                entry.writes.push_back((ticket, record));
                self.tickets.push_back((ticket, key));
            }
        }
    }

    /// Everything up to `ticket` is durable; `note` is told of each key what was durable before, and what is now.
    pub fn flushed(&mut self, ticket: Ticket, mut note: impl FnMut(&Bytes, &Stored, &Stored)) {
        self.settle(ticket, true, |key, entry, record| {
            note(key, &entry.durable, &record);
            entry.durable = record;
        });
    }

    /// Nothing of what `ticket` wrote is durable. Later writes of the same keys stand: they hold all that was merged before
    /// them. If the engine may show the failed write all the same, what is durable of its keys stays here, for reads. `note` is told
    /// of each key whose newest record this was what is no more.
    pub fn failed(&mut self, ticket: Ticket, engine_shows_it: bool, mut note: impl FnMut(&Bytes, &Stored)) {
        self.settle(ticket, !engine_shows_it, |key, entry, record| {
            if entry.writes.is_empty() {
                note(key, &record);
            }
        });
    }

    /// Ends all writes up to `ticket`; `each` is told the last one of each key.
    fn settle(&mut self, ticket: Ticket, engine_is_right: bool, mut each: impl FnMut(&Bytes, &mut Entry, Stored)) {
        while let Some((_, key)) = self.tickets.pop_front_if(|(t, _)| *t <= ticket) {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let settled = std::iter::from_fn(|| entry.writes.pop_front_if(|(t, _)| *t <= ticket));
            if let Some((_, record)) = settled.last() {
                each(&key, entry, record);
            }
            if entry.writes.is_empty() && engine_is_right {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &'static str) -> Stored {
        Some(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn reads_see_the_durable_and_writes_the_newest() {
        let mut pending = Pending::default();
        let key = Bytes::from_static(b"k");
        pending.push(1, key.clone(), record("one"), || record("zero"));
        pending.push(2, key, record("two"), || panic!("the engine is asked once"));
        assert_eq!(pending.durable(b"k"), Some(&record("zero")));
        assert_eq!(pending.newest(b"k"), Some((2, &record("two"))));
        pending.flushed(1, |_, _, _| {});
        assert_eq!(pending.durable(b"k"), Some(&record("one")));
        pending.flushed(2, |_, _, _| {});
        assert_eq!(pending.durable(b"k"), None);
        assert!(pending.tickets.is_empty());
    }

    #[test]
    fn a_ticket_writes_a_key_once() {
        let mut pending = Pending::default();
        pending.push(1, Bytes::from_static(b"k"), record("one"), || None);
        pending.push(1, Bytes::from_static(b"k"), record("two"), || None);
        assert_eq!(pending.newest(b"k"), Some((1, &record("two"))));
        pending.flushed(1, |_, _, _| {});
        assert_eq!(pending.newest(b"k"), None);
    }

    #[test]
    fn a_key_is_noted_once_with_what_was_durable_before_and_is_now() {
        let mut pending = Pending::default();
        let key = Bytes::from_static(b"k");
        pending.push(1, key.clone(), record("one"), || record("zero"));
        pending.push(2, key.clone(), None, || None);
        pending.push(3, key.clone(), record("three"), || None);
        let mut noted = vec![];
        pending.flushed(2, |key, before, after| noted.push((key.clone(), before.clone(), after.clone())));
        pending.flushed(3, |key, before, after| noted.push((key.clone(), before.clone(), after.clone())));
        assert_eq!(noted, [(key.clone(), record("zero"), None), (key, None, record("three"))]);
    }

    #[test]
    fn what_is_durable_of_a_page_is_what_reads_see() {
        let key = |text: &'static str| Bytes::from_static(text.as_bytes());
        let shown = |keys: &[&'static str]| keys.iter().map(|k| (key(k), key("shown"))).collect::<Vec<_>>();
        let mut pending = Pending::default();
        for (in_flight, durable) in [("p1", None), ("p3", record("old")), ("p5", record("old")), ("q", record("old"))] {
            pending.push(1, key(in_flight), None, || durable);
        }
        let durable = |from, after: Option<&str>, last: Option<&str>| {
            let page = pending.durable_among(shown(from), b"p", after.map(str::as_bytes), last.map(str::as_bytes));
            page.into_iter().map(|(k, record)| (k, record == "shown")).collect::<Vec<_>>()
        };
        let all = [(key("p2"), true), (key("p3"), false), (key("p5"), false)];
        assert_eq!(durable(&["p1", "p2", "p3"], None, None), all, "p5 is being removed and not shown any more");
        assert_eq!(durable(&["p1", "p2", "p3"], None, Some("p3")), all[..2]);
        assert_eq!(durable(&["p3"], Some("p2"), Some("p3")), all[1..2]);
        assert_eq!(durable(&[], Some("p3"), None), all[2..]);
        assert_eq!(durable(&[], Some("q"), None), []);
        assert_eq!(durable(&["p1", "p2"], Some("a"), Some("p2")), all[..1]);
    }

    #[test]
    fn a_failed_write_does_not_take_a_later_one_with_it() {
        let mut pending = Pending::default();
        let key = Bytes::from_static(b"k");
        pending.push(1, key.clone(), record("one"), || record("zero"));
        pending.push(2, key, record("one and two"), || None);
        pending.failed(1, false, |_, _| panic!("there is a newer one"));
        assert_eq!(pending.durable(b"k"), Some(&record("zero")));
        assert_eq!(pending.newest(b"k"), Some((2, &record("one and two"))));
        let mut lost = vec![];
        pending.failed(2, false, |key, record| lost.push((key.clone(), record.clone())));
        assert_eq!(lost, [(Bytes::from_static(b"k"), record("one and two"))]);
    }

    #[test]
    fn what_was_never_synced_stays_hidden() {
        let mut pending = Pending::default();
        pending.push(1, Bytes::from_static(b"k"), record("one"), || record("zero"));
        pending.failed(1, true, |_, _| {});
        assert_eq!(pending.durable(b"k"), Some(&record("zero")));
    }
}
