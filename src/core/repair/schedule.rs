//! Which pair of owners is compared next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::core::id::{Epoch, Partition, StoreId};
use crate::core::ring::Ring;

/// A pair that failed is left alone so long at first,
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// and so long after many failures: it doubles with each in a row.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A partition, and the other owner of it.
pub type PairId = (Partition, StoreId);

/// Why a pair is compared, the most urgent first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    /// An operator asks.
    Asked,
    /// This store may miss something of the partition.
    Marked,
    /// This store was not stopped in order.
    Started,
    /// The other one has come back.
    Returned,
    /// It was some time ago.
    Round,
}

/// How an exchange came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Everything was compared, and what was lacking was brought.
    Whole,
    /// Only some keys were asked for. That proves nothing of the others.
    InPart,
    /// Something could not be brought. It is tried again.
    Skipping,
}

/// A mark on a partition. The number tells it from one that was set before or after it.
pub type Mark = u64;

/// What is so now.
pub struct Look<'a> {
    /// Who owns what.
    pub ring: &'a Ring,
    /// Who can be reached.
    pub live: &'a BTreeSet<StoreId>,
    /// Whose data is gone for good: nothing can be compared with it.
    pub lost: &'a BTreeSet<StoreId>,
    /// Partitions of which this store may miss something.
    pub marks: &'a BTreeMap<Partition, Mark>,
}

/// A pair whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// Which one.
    pub id: PairId,
    /// Why.
    pub cause: Cause,
    /// What is known of it.
    pub pair: Pair,
    /// The partition's mark when the exchange begins.
    pub mark: Option<Mark>,
}

/// Two owners of a partition, this store and another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// The partition's age.
    pub since: Epoch,
    /// The later of both places.
    pub place: usize,
    in_motion: bool,
}

/// What is known of a pair.
#[derive(Clone, Debug)]
struct Entry {
    pair: Pair,
    /// It is wanted before its round.
    urgent: Option<Cause>,
    /// When its round is; none if the other one leads.
    round: Option<Duration>,
    not_before: Duration,
    failures: u32,
    last: Option<Duration>,
}

/// How things stand, for operators.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Pairs that this store leads.
    pub led: u64,
    /// Of these, compared in the last round.
    pub compared: u64,
    /// Pairs that are wanted at once, and why.
    pub urgent: BTreeMap<Cause, u64>,
    /// When a pair was last compared.
    pub last: Option<Duration>,
    /// The next round of a pair.
    pub next: Option<Duration>,
}

/// All pairs of one store, and when they are to be compared.
#[derive(Clone, Debug)]
pub struct Schedule {
    own: StoreId,
    interval: Duration,
    ring: Option<Epoch>,
    pairs: BTreeMap<PairId, Entry>,
    /// Whether pairs that appear are wanted at once because of an unclean start.
    is_unclean: bool,
    live: BTreeSet<StoreId>,
    /// With whom marked partitions were compared since the mark was set.
    synced: BTreeMap<Partition, (Mark, BTreeSet<StoreId>)>,
}

impl Schedule {
    /// Of `own`, with rounds of `interval`. After an unclean start everything is compared at once.
    pub fn new(own: StoreId, interval: Duration, is_unclean: bool) -> Schedule {
        let (pairs, live, synced) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Schedule { own, interval, ring: None, pairs, is_unclean, live, synced }
    }

    /// Takes in what is so. Returns the marks that can be taken away: those of partitions that were compared with all other owners, and of
    /// those that this store has no place in.
    pub fn look(&mut self, now: Duration, look: &Look) -> Vec<(Partition, Mark)> {
        if self.ring != Some(look.ring.epoch) {
            self.learn(now, look.ring);
        }
        let returned: BTreeSet<StoreId> = look.live.difference(&self.live).copied().collect();
        self.live.clone_from(look.live);
        for ((partition, peer), entry) in &mut self.pairs {
            if returned.contains(peer) {
                entry.not_before = now;
                if entry.round.is_some() {
                    entry.wants(Cause::Returned);
                }
            }
            if entry.urgent == Some(Cause::Marked) && !look.marks.contains_key(partition) {
                entry.urgent = None;
            }
        }
        self.synced.retain(|partition, (mark, _)| look.marks.get(partition) == Some(mark));
        let marks = look.marks.iter().map(|(partition, mark)| (*partition, *mark));
        marks.filter(|(partition, mark)| self.is_in_sync(*partition, *mark, look)).collect()
    }

    /// Whether a marked partition has been compared with all others; those with whom it has not are wanted.
    fn is_in_sync(&mut self, partition: Partition, mark: Mark, look: &Look) -> bool {
        let slice = look.ring.slice(partition);
        let has_place = |stores: &[StoreId]| stores.contains(&self.own);
        if !has_place(&slice.owners) {
            // What arrives here may have lost some of what it copied already: the mark stays until it owns the partition.
            return !has_place(slice.others());
        }
        let (_, synced) = self.synced.entry(partition).or_insert((mark, BTreeSet::new()));
        let others = slice.owners.iter().filter(|owner| **owner != self.own && !look.lost.contains(owner));
        let missing: Vec<StoreId> = others.filter(|owner| !synced.contains(owner)).copied().collect();
        for peer in &missing {
            if let Some(entry) = self.pairs.get_mut(&(partition, *peer)) {
                entry.wants(Cause::Marked);
            }
        }
        missing.is_empty()
    }

    /// Takes in a ring. What was compared at another age of a partition proves nothing for a mark.
    fn learn(&mut self, now: Duration, ring: &Ring) {
        let mut before = std::mem::take(&mut self.pairs);
        let number = ring.members().iter().position(|member| member.store == self.own);
        for (i, slice) in ring.slices().iter().enumerate() {
            let Some(own_place) = slice.owners.iter().position(|owner| Some(*owner as usize) == number) else {
                continue;
            };
            let partition = Partition(i as u16);
            for (place, other) in slice.owners.iter().enumerate().filter(|(place, _)| *place != own_place) {
                let peer = ring.members()[*other as usize].store;
                let in_motion = slice.motion.is_some();
                let pair = Pair { since: slice.since, place: place.max(own_place), in_motion };
                let known = before.remove(&(partition, peer));
                if known.as_ref().is_some_and(|known| known.pair.since != slice.since) {
                    self.synced.remove(&partition);
                }
                let entry =
                    known.map_or_else(|| self.meet(now, partition, peer, pair), |known| Entry { pair, ..known });
                self.pairs.insert((partition, peer), entry);
            }
        }
        (self.ring, self.is_unclean) = (Some(ring.epoch), false);
    }

    /// A pair that there was not. The first rounds are spread over the interval.
    fn meet(&self, now: Duration, partition: Partition, peer: StoreId, pair: Pair) -> Entry {
        let spread = xxh3_64(&[&partition.0.to_be_bytes()[..], &peer.0.to_be_bytes()].concat()) >> 32;
        let first = now + self.interval.mul_f64(spread as f64 / (1u64 << 32) as f64);
        Entry {
            pair,
            urgent: self.is_unclean.then_some(Cause::Started),
            round: leads(self.own, peer, partition).then_some(first),
            not_before: now,
            failures: 0,
            last: None,
        }
    }

    /// An operator asks for these: all pairs, or those that this store leads.
    pub fn ask(&mut self, now: Duration, all: bool) -> Vec<PairId> {
        let asked = self.pairs.iter_mut().filter(|(_, entry)| all || entry.round.is_some());
        let wants = |(id, entry): (&PairId, &mut Entry)| {
            entry.not_before = now;
            entry.wants(Cause::Asked);
            *id
        };
        asked.map(wants).collect()
    }

    /// The next pair, while `busy` are compared, for a cause that is at least as urgent as this: one whose other owner is the least busy
    /// comes first among equally urgent ones.
    pub fn next(&self, now: Duration, at_least: Cause, busy: &BTreeSet<PairId>) -> Option<Due> {
        let load = |peer: StoreId| busy.iter().filter(|(_, other)| *other == peer).count();
        let ready = self.pairs.iter().filter_map(|(id, entry)| {
            let cause = entry.cause(now).filter(|cause| *cause <= at_least)?;
            let is_at_rest = !entry.pair.in_motion || self.synced.contains_key(&id.0);
            let can = is_at_rest && entry.not_before <= now && self.live.contains(&id.1) && !busy.contains(id);
            can.then_some((id, entry, cause))
        });
        let (id, entry, cause) = ready.min_by_key(|(id, entry, cause)| {
            (*cause, load(id.1), entry.round.filter(|_| *cause == Cause::Round), **id)
        })?;
        let mark = self.synced.get(&id.0).map(|(mark, _)| *mark);
        Some(Due { id: *id, cause, pair: entry.pair, mark })
    }

    /// When a pair may be next that is not yet: its round comes, or its pause ends.
    pub fn wakes_at(&self, now: Duration) -> Option<Duration> {
        let at = |entry: &Entry| {
            let wanted = entry.urgent.map(|_| now).or(entry.round)?;
            Some(wanted.max(entry.not_before)).filter(|at| *at > now)
        };
        self.pairs.values().filter_map(at).min()
    }

    /// An exchange that began as `due` says is complete.
    pub fn done(&mut self, now: Duration, due: &Due, ended: Ended) {
        let Some(entry) = self.pairs.get_mut(&due.id).filter(|entry| entry.pair.since == due.pair.since) else {
            return;
        };
        (entry.failures, entry.last) = (0, Some(now));
        match ended {
            Ended::Skipping => return entry.fails(now),
            Ended::InPart => return entry.urgent = entry.urgent.filter(|cause| *cause != Cause::Asked),
            Ended::Whole => entry.urgent = None,
        }
        // Rounds keep their place in the interval, so that they stay spread over it.
        entry.round = entry.round.map(|round| {
            let late = now.saturating_sub(round).as_micros() / self.interval.as_micros().max(1);
            if round > now { round } else { round + self.interval.saturating_mul(late as u32 + 1) }
        });
        if let (Some(began), Some((mark, synced))) = (due.mark, self.synced.get_mut(&due.id.0))
            && *mark == began
        {
            synced.insert(due.id.1);
        }
    }

    /// It could not be completed. What is urgent remains so.
    pub fn failed(&mut self, now: Duration, id: PairId) {
        if let Some(entry) = self.pairs.get_mut(&id) {
            entry.fails(now);
        }
    }

    /// Whether an exchange that began as `due` says still makes sense.
    pub fn stands(&self, due: &Due) -> bool {
        self.pairs.get(&due.id).is_some_and(|entry| entry.pair.since == due.pair.since) && self.live.contains(&due.id.1)
    }

    /// Whether a pair is still to be compared because an operator asked.
    pub fn is_asked(&self, id: &PairId) -> bool {
        self.pairs.get(id).is_some_and(|entry| entry.urgent == Some(Cause::Asked))
    }

    /// Whether the other one can be reached.
    pub fn is_live(&self, id: &PairId) -> bool {
        self.live.contains(&id.1)
    }

    /// With whom a marked partition is still to be compared.
    pub fn missing(&self, partition: Partition) -> impl Iterator<Item = StoreId> {
        let pairs = self.pairs.range((partition, StoreId(0))..=(partition, StoreId(u128::MAX)));
        pairs.filter(|(_, entry)| entry.urgent.is_some_and(|cause| cause <= Cause::Marked)).map(|((_, peer), _)| *peer)
    }

    /// The partitions that this store has a place in, beside others.
    pub fn partitions(&self) -> Vec<Partition> {
        let mut partitions: Vec<Partition> = self.pairs.keys().map(|(partition, _)| *partition).collect();
        partitions.dedup();
        partitions
    }

    /// How things stand.
    pub fn standing(&self, now: Duration) -> Standing {
        let mut standing = Standing::default();
        for entry in self.pairs.values() {
            if let Some(cause) = entry.urgent {
                *standing.urgent.entry(cause).or_default() += 1;
            }
            standing.last = standing.last.max(entry.last);
            if let Some(round) = entry.round {
                standing.led += 1;
                standing.compared += u64::from(entry.last.is_some_and(|last| last + self.interval > now));
                standing.next = Some(standing.next.map_or(round, |next| next.min(round)));
            }
        }
        standing
    }
}

impl Entry {
    /// The most urgent cause stays.
    fn wants(&mut self, cause: Cause) {
        self.urgent = Some(self.urgent.map_or(cause, |urgent| urgent.min(cause)));
    }

    fn cause(&self, now: Duration) -> Option<Cause> {
        self.urgent.or_else(|| self.round.filter(|round| *round <= now).map(|_| Cause::Round))
    }

    fn fails(&mut self, now: Duration) {
        self.not_before = now + PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures += 1;
    }
}

/// Which of both compares, when nobody is in a hurry: the lower store in even partitions, the higher one in odd ones, so that no store
/// leads all its pairs. Which it is, is known to both.
fn leads(own: StoreId, peer: StoreId, partition: Partition) -> bool {
    (own < peer) == partition.0.is_multiple_of(2)
}
