//! A store gives back what it holds of a partition without a place.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::checkpoint::Checkpoint;
use super::work::{Answer, Ask, Known, Objects, Step, Versions, Whom, Work, left_of, page_of};
use crate::core::id::{Partition, StoreId};
use crate::core::key::Key;
use crate::core::merkle::{Leaves, leaf_count};
use crate::core::ring::Slice;
use crate::core::version::Clock;
use crate::mutant;

/// Keys that are listed, compared and dropped together, roughly: what bounds the memory of a drain. A partition with more is gone through
/// several times, some of its leaves each time.
const KEYS_AT_ONCE: u64 = if cfg!(test) { 16 } else { 1 << 16 };
/// Keys dropped in one step.
const DROPS_MAX: usize = 128;

/// What became of what was held when a drain began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drained {
    /// Keys that were held in the beginning.
    pub keys: u64,
    /// Dropped: every owner holds or covers them.
    pub dropped: u64,
    /// Objects sent to an owner that lacked them.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Left, because they wait for somebody by a hint.
    pub hinted: u64,
    /// Left, because they changed meanwhile, or the store has a place of them by now.
    pub changed: u64,
    /// Left, because all owners that are to have them are lost, and their heirs have no places yet.
    pub orphaned: u64,
    /// Left, because they cannot be read. Nothing can be done for them here, and nothing is deleted that cannot be read.
    pub unreadable: u64,
}

impl Drained {
    /// Whether nothing is left that an owner could still get from here.
    pub fn is_empty(&self) -> bool {
        self.hinted == 0 && self.changed == 0 && self.orphaned == 0
    }
}

/// The draining of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drain {
    partition: Partition,
    owners: Vec<Owner>,
    drained: Drained,
    /// The leaves of this round.
    round: std::ops::Range<usize>,
    /// What is held in them: exactly what `sums` speaks of.
    held: BTreeMap<Bytes, Clock>,
    sums: Leaves,
    stage: Stage,
}

/// Who must hold what is dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Owner {
    store: StoreId,
    /// The first of its places, if it has one on each side of a motion.
    place: usize,
    /// What it held is gone for good. It is not waited for: its heir copies from the others.
    is_lost: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Stage {
    Look,
    /// What is held is listed, after this key.
    List(Option<Bytes>),
    /// One owner after the other is compared with that.
    Owner(usize, Exchange),
    /// What all of them hold is dropped.
    Drop,
    Done,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Exchange {
    Leaves,
    /// These leaves differ; after this key; it lacks these, as far as is known.
    Clocks {
        leaves: Vec<u32>,
        after: Option<Bytes>,
        lacking: BTreeSet<Bytes>,
    },
    /// These are to be read here and sent.
    Read(Vec<Bytes>),
    /// These are under way, and those come next.
    Send(Vec<(Key, Bytes)>, Vec<Bytes>),
}

impl Drain {
    /// A drain to the owners of `partition`, one of `partitions`; those of both sides if it is in motion. What `lost` ones held is
    /// gone for good.
    pub fn new(partition: Partition, slice: &Slice, lost: &BTreeSet<StoreId>, partitions: u32) -> Drain {
        Drain {
            partition,
            owners: owners(slice, lost),
            drained: Drained::default(),
            round: 0..0,
            held: BTreeMap::new(),
            sums: Leaves::new(leaf_count(partitions)),
            stage: Stage::Look,
        }
    }

    /// Whether it goes to these owners, in whatever order.
    pub fn goes_to(&self, slice: &Slice, lost: &BTreeSet<StoreId>) -> bool {
        let set = |owners: &[Owner]| owners.iter().copied().collect::<BTreeSet<Owner>>();
        set(&self.owners) == set(&owners(slice, lost))
    }

    /// How far it is; in the end, what became of everything.
    pub fn drained(&self) -> Drained {
        self.drained
    }

    fn begin_again(&mut self) {
        let Drained { keys, dropped, sent, sent_bytes, .. } = self.drained;
        self.drained = Drained { keys, dropped, sent, sent_bytes, ..Drained::default() };
        self.held.clear();
        self.sums = Leaves::new(self.sums.count());
        self.stage = Stage::Look;
    }

    fn leaves(&self) -> Vec<u32> {
        self.round.clone().map(|leaf| leaf as u32).collect()
    }

    /// So many keys are held.
    fn looked(&mut self, keys: u64) {
        self.drained.keys = self.drained.keys.max(keys);
        self.stage = if keys == 0 || self.owners.is_empty() { Stage::Done } else { Stage::List(None) };
        self.round = 0..self.leaves_at_once();
    }

    fn leaves_at_once(&self) -> usize {
        let rounds = self.drained.keys.div_ceil(KEYS_AT_ONCE).max(1) as usize;
        self.sums.count().div_ceil(rounds).max(1)
    }

    fn listed(&mut self, page: Versions, known: &dyn Known) {
        for (stored, clock) in page.clocks {
            match clock {
                Some(_) if Key::from_stored(&stored).is_none() => self.drained.unreadable += 1,
                None => self.drained.unreadable += 1,
                Some(_) if known.is_hinted(&stored) => self.drained.hinted += 1,
                Some(_) if self.is_orphaned(&stored, known) => self.drained.orphaned += 1,
                Some(clock) => {
                    self.sums.add(&stored, clock);
                    self.held.insert(stored, clock);
                }
            }
        }
        self.stage = match page.next {
            Some(next) => Stage::List(Some(next)),
            None if mutant!(DropBeforeDrained) => Stage::Drop,
            None => self.owner(0),
        };
        self.end_of_round();
    }

    /// Whether nobody is left of those who are to have a key.
    fn is_orphaned(&self, stored: &Bytes, known: &dyn Known) -> bool {
        let places = Key::from_stored(stored).map_or(0, |(_, key)| known.replicas(&key));
        self.owners.iter().all(|owner| owner.is_lost || owner.place >= places)
    }

    /// To the owner with this number, or the next one that is not lost, if there is anything for it.
    fn owner(&self, number: usize) -> Stage {
        match (number..self.owners.len()).find(|&number| !self.owners[number].is_lost) {
            Some(number) if !self.held.is_empty() => Stage::Owner(number, Exchange::Leaves),
            _ => Stage::Drop,
        }
    }

    /// Where an owner's leaf agrees with what is listed here, it holds the same.
    fn compared(&mut self, number: usize, theirs: &Leaves, known: &dyn Known) {
        let differing: BTreeSet<u32> = self.sums.differing(theirs).into_iter().collect();
        let place = self.owners[number].place;
        let is_lacking = |stored: &&Bytes| {
            differing.contains(&self.sums.leaf_of(stored))
                && Key::from_stored(stored).is_none_or(|(_, key)| place < known.replicas(&key))
        };
        let lacking: BTreeSet<Bytes> = self.held.keys().filter(is_lacking).cloned().collect();
        self.stage = if lacking.is_empty() {
            self.owner(number + 1)
        } else {
            let leaves: BTreeSet<u32> = lacking.iter().map(|stored| self.sums.leaf_of(stored)).collect();
            Stage::Owner(number, Exchange::Clocks { leaves: leaves.into_iter().collect(), after: None, lacking })
        };
    }

    fn versions(&mut self, page: Versions, known: &dyn Known) {
        match &mut self.stage {
            Stage::List(_) => self.listed(page, known),
            Stage::Owner(number, Exchange::Clocks { after, lacking, .. }) => {
                for (stored, clock) in page.clocks {
                    if clock.is_some() && clock.as_ref() == self.held.get(&stored) {
                        lacking.remove(&stored);
                    }
                }
                if page.next.is_some() {
                    *after = page.next;
                } else {
                    let (number, lacking) = (*number, lacking.iter().cloned().collect());
                    self.stage = self.send(number, lacking);
                }
            }
            _ => {}
        }
    }

    fn send(&self, number: usize, lacking: Vec<Bytes>) -> Stage {
        if lacking.is_empty() { self.owner(number + 1) } else { Stage::Owner(number, Exchange::Read(lacking)) }
    }

    /// Read here. What is not there any more, or cannot be read, is not dropped either.
    fn objects(&mut self, page: Objects) {
        let Stage::Owner(number, Exchange::Read(keys)) = &self.stage else { return };
        let (number, rest) = (*number, left_of(keys, page.left_over.clone()));
        let there: BTreeSet<&Key> = page.objects.iter().map(|(key, _)| key).collect();
        let left_over: BTreeSet<Bytes> = page.left_over.into_iter().collect();
        for stored in page_of(keys).into_iter().filter(|stored| !left_over.contains(stored)) {
            if !Key::from_stored(&stored).is_some_and(|(_, key)| there.contains(&key)) {
                self.held.remove(&stored);
                self.drained.changed += 1;
            }
        }
        self.stage = if page.objects.is_empty() {
            self.send(number, rest)
        } else {
            Stage::Owner(number, Exchange::Send(page.objects, rest))
        };
    }

    /// The owner holds durably what was sent.
    fn stored(&mut self) {
        let Stage::Owner(number, Exchange::Send(objects, rest)) = &mut self.stage else { return };
        self.drained.sent += objects.len() as u64;
        self.drained.sent_bytes += objects.iter().map(|(_, object)| object.len() as u64).sum::<u64>();
        let (number, rest) = (*number, std::mem::take(rest));
        self.stage = self.send(number, rest);
    }

    fn drops(&self) -> Vec<(Key, Clock)> {
        let keyed = |(stored, clock): (&Bytes, &Clock)| Key::from_stored(stored).map(|(_, key)| (key, *clock));
        self.held.iter().take(DROPS_MAX).filter_map(keyed).collect()
    }

    fn dropped(&mut self, kept: u64) {
        let some = self.held.len().min(DROPS_MAX);
        let rest = self.held.keys().nth(some).cloned().map(|first| self.held.split_off(&first));
        self.held = rest.unwrap_or_default();
        self.drained.changed += kept;
        self.drained.dropped += (some as u64).saturating_sub(kept);
    }

    /// When everything of this round is dropped, goes on to the next one.
    fn end_of_round(&mut self) {
        if self.stage != Stage::Drop || !self.held.is_empty() {
            return;
        }
        self.sums = Leaves::new(self.sums.count());
        self.round = self.round.end..(self.round.end + self.leaves_at_once()).min(self.sums.count());
        self.stage = if self.round.is_empty() { Stage::Done } else { Stage::List(None) };
    }
}

/// All owners of a partition.
fn owners(slice: &Slice, lost: &BTreeSet<StoreId>) -> Vec<Owner> {
    let mut owners: Vec<Owner> = vec![];
    for side in [&slice.owners[..], slice.others()] {
        for (place, &store) in side.iter().enumerate() {
            match owners.iter_mut().find(|owner| owner.store == store) {
                Some(owner) => owner.place = owner.place.min(place),
                None => owners.push(Owner { store, place, is_lost: lost.contains(&store) }),
            }
        }
    }
    owners
}

impl Work for Drain {
    fn next(&self) -> Step {
        match &self.stage {
            Stage::Look => Step::Ask(Whom::Own, Ask::Leaves),
            Stage::List(after) => Step::Ask(Whom::Own, Ask::Clocks { leaves: self.leaves(), after: after.clone() }),
            Stage::Owner(number, exchange) => {
                let owner = Whom::Peer(self.owners[*number].store);
                match exchange {
                    Exchange::Leaves => Step::Ask(owner, Ask::Leaves),
                    Exchange::Clocks { leaves, after, .. } => {
                        Step::Ask(owner, Ask::Clocks { leaves: leaves.clone(), after: after.clone() })
                    }
                    Exchange::Read(keys) => Step::Ask(Whom::Own, Ask::Objects { keys: page_of(keys) }),
                    Exchange::Send(objects, _) => Step::Store(owner, objects.clone()),
                }
            }
            Stage::Drop => Step::Drop(self.drops()),
            Stage::Done => Step::Done,
        }
    }

    fn answered(&mut self, answer: Answer, known: &dyn Known) -> Option<Checkpoint> {
        match (answer, &self.stage) {
            (Answer::Holding(holding), Stage::Owner(number, _)) => {
                let number = *number;
                self.compared(number, &holding.leaves, known);
            }
            (Answer::Holding(holding), _) => self.looked(holding.keys),
            (Answer::Versions(page), _) => self.versions(page, known),
            (Answer::Objects(page), _) => self.objects(page),
            (Answer::Stored, _) => self.stored(),
            (Answer::Dropped { kept }, _) => self.dropped(kept),
            (Answer::Sums(_), _) => {}
        }
        self.end_of_round();
        None
    }

    fn failed(&mut self) {
        match &self.stage {
            // A record may have become unreadable since it was listed: that must not keep the others. What else keeps them is found
            // again.
            Stage::Drop => self.begin_again(),
            Stage::Owner(_, Exchange::Read(_)) => {}
            // Who does not answer is asked last, so that the others have everything soon.
            &Stage::Owner(number, _) if self.owners[number + 1..].iter().any(|owner| !owner.is_lost) => {
                self.owners[number..].rotate_left(1);
                self.stage = self.owner(number);
            }
            // A version must not be sent long after it was read.
            Stage::Owner(number, Exchange::Send(objects, rest)) => {
                let keys = objects.iter().map(|(key, _)| key.stored(self.partition)).chain(rest.iter().cloned());
                self.stage = Stage::Owner(*number, Exchange::Read(keys.collect()));
            }
            _ => {}
        }
    }
}
