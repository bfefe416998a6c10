//! Two owners of a partition compare what they hold, and bring each other what is lacking.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::descent::{Below, Descent};
use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::transfer::join::{Differing, Join, Needs};
use crate::core::transfer::work::{left_of, page_of};
use crate::core::transfer::{Answer, Ask, Checkpoint, Known, Objects, Step, Versions, Whom, Work};
use crate::core::version::{Clock, Object};

/// How often something is stored in vain before it is left alone: one object that a store cannot take must not stop the others.
const ATTEMPTS_MAX: u32 = 3;

/// How far an exchange is; in the end, what came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Exchanged {
    /// Leaves that differed.
    pub leaves: u64,
    /// Versions of keys that were looked at, of both sides.
    pub keys: u64,
    /// Objects that came from the other.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Objects that went to the other.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Records that one of both could not read, and that the other one's object was put in place of.
    pub mended: u64,
    /// Records that one of both cannot read, and of which the other one has nothing either.
    pub unreadable: u64,
    /// Objects that were left alone, because storing them failed again and again.
    pub skipped: u64,
}

/// The comparison of one partition with one other owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchange {
    peer: StoreId,
    /// The later of both places: keys whose bucket has no more owners than this are not for both.
    place: usize,
    /// Only keys of this bucket, if it was asked for.
    bucket: Option<Bytes>,
    exchanged: Exchanged,
    stage: Stage,
    /// Storing in vain, in a row.
    attempts: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Stage {
    /// What is held here?
    Look,
    Descend(Box<Descent>),
    Compare(Box<Compare>),
    Done,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Compare {
    leaves: Vec<u32>,
    join: Join,
    /// To be asked of the other.
    wanted: Vec<Bytes>,
    /// To be read here afterwards, and sent if it is not the version that the other holds.
    offered: BTreeMap<Bytes, Option<Clock>>,
    /// In hand, and to be stored before anything else: here or there, each part at once.
    storing: VecDeque<(Whom, Vec<(Key, Bytes)>)>,
}

impl Exchange {
    /// With `peer`; `place` is the later of both places in the partition's list of owners. With a `bucket` it looks at no other keys, and
    /// proves nothing of the partition.
    pub fn new(peer: StoreId, place: usize, bucket: Option<Bytes>) -> Exchange {
        Exchange { peer, place, bucket, exchanged: Exchanged::default(), stage: Stage::Look, attempts: 0 }
    }

    /// How far it is.
    pub fn exchanged(&self) -> Exchanged {
        self.exchanged
    }

    /// Whether, once done, it has shown that both hold, or cover, whatever the other held in the beginning.
    pub fn is_whole(&self) -> bool {
        self.bucket.is_none() && self.exchanged.skipped == 0
    }

    fn descended(&mut self, below: Below) {
        self.stage = match below {
            Below::Level(descent) => Stage::Descend(Box::new(descent)),
            Below::Leaves(leaves) if leaves.is_empty() => Stage::Done,
            Below::Leaves(leaves) => {
                self.exchanged.leaves = leaves.len() as u64;
                let (wanted, offered) = (vec![], BTreeMap::new());
                Stage::Compare(Box::new(Compare {
                    leaves,
                    join: Join::begin(),
                    wanted,
                    offered,
                    storing: VecDeque::new(),
                }))
            }
        };
    }

    fn belongs(&self, stored: &Bytes, known: &dyn Known) -> bool {
        Key::from_stored(stored).is_some_and(|(_, key)| {
            self.place < known.replicas(&key) && self.bucket.as_ref().is_none_or(|bucket| *bucket == key.bucket)
        })
    }

    fn versions(&mut self, page: Versions, known: &dyn Known) {
        let Stage::Compare(compare) = &mut self.stage else { return };
        self.exchanged.keys += page.clocks.len() as u64;
        let differing = compare.join.read(page);
        let belonging: Vec<Differing> = differing.into_iter().filter(|d| self.belongs(&d.stored, known)).collect();
        let Stage::Compare(compare) = &mut self.stage else { return };
        for Differing { stored, theirs, ours } in belonging {
            match (theirs, ours) {
                (None | Some(None), None | Some(None)) => self.exchanged.unreadable += 1,
                (Some(None), _) | (_, Some(None)) => self.exchanged.mended += 1,
                _ => {}
            }
            if let Some(Some(_)) = theirs {
                compare.wanted.push(stored.clone());
            }
            if let Some(Some(_)) = ours {
                compare.offered.insert(stored, theirs.flatten());
            }
        }
    }

    fn objects(&mut self, page: Objects) {
        let Stage::Compare(compare) = &mut self.stage else { return };
        if !compare.wanted.is_empty() {
            compare.wanted = left_of(&compare.wanted, page.left_over);
            // What it could list and cannot read any more is found again by the next exchange.
            compare.store(Whom::Own, page.objects);
            return;
        }
        let asked = page_of(&compare.offers());
        let mut lacking = vec![];
        for (key, object) in page.objects {
            let stored = asked.iter().find(|stored| Key::from_stored(stored).is_some_and(|(_, k)| k == key));
            let theirs = stored.and_then(|stored| compare.offered.get(stored).copied()).flatten();
            let ours = Object::decode(&object).map(|object| object.clock());
            if ours.is_ok_and(|ours| theirs != Some(ours)) {
                lacking.push((key, object));
            }
        }
        for stored in asked.iter().filter(|stored| !page.left_over.contains(stored)) {
            compare.offered.remove(stored);
        }
        compare.store(Whom::Peer(self.peer), lacking);
    }

    fn stored(&mut self) {
        let Stage::Compare(compare) = &mut self.stage else { return };
        let Some((whom, objects)) = compare.storing.pop_front() else { return };
        let bytes = objects.iter().map(|(_, object)| object.len() as u64).sum::<u64>();
        match whom {
            Whom::Own => {
                self.exchanged.received += objects.len() as u64;
                self.exchanged.received_bytes += bytes;
            }
            Whom::Peer(_) => {
                self.exchanged.sent += objects.len() as u64;
                self.exchanged.sent_bytes += bytes;
            }
        }
    }

    /// Ends when nothing is left.
    fn settle(&mut self) {
        if let Stage::Compare(compare) = &self.stage
            && compare.is_idle()
            && compare.join.needs() == Needs::Nothing
        {
            self.stage = Stage::Done;
        }
    }
}

impl Compare {
    fn store(&mut self, whom: Whom, objects: Vec<(Key, Bytes)>) {
        self.storing.extend((!objects.is_empty()).then_some((whom, objects)));
    }

    fn offers(&self) -> Vec<Bytes> {
        self.offered.keys().cloned().collect()
    }

    fn is_idle(&self) -> bool {
        self.storing.is_empty() && self.wanted.is_empty() && self.offered.is_empty()
    }

    fn next(&self, peer: Whom) -> Step {
        if let Some((whom, objects)) = self.storing.front() {
            return Step::Store(*whom, objects.clone());
        }
        if !self.wanted.is_empty() {
            return Step::Ask(peer, Ask::Objects { keys: page_of(&self.wanted) });
        }
        if !self.offered.is_empty() {
            return Step::Ask(Whom::Own, Ask::Objects { keys: page_of(&self.offers()) });
        }
        let leaves = self.leaves.clone();
        match self.join.needs() {
            Needs::Theirs(after) => Step::Ask(peer, Ask::Clocks { leaves, after }),
            Needs::Ours(after) => Step::Ask(Whom::Own, Ask::Clocks { leaves, after }),
            Needs::Nothing => Step::Done,
        }
    }
}

impl Work for Exchange {
    fn next(&self) -> Step {
        let peer = Whom::Peer(self.peer);
        match &self.stage {
            Stage::Look => Step::Ask(Whom::Own, Ask::Leaves),
            Stage::Descend(descent) => {
                let (depth, nodes) = descent.asks();
                Step::Ask(peer, Ask::Sums { depth, nodes })
            }
            Stage::Compare(compare) => compare.next(peer),
            Stage::Done => Step::Done,
        }
    }

    fn answered(&mut self, answer: Answer, known: &dyn Known) -> Option<Checkpoint> {
        self.attempts = 0;
        match answer {
            Answer::Holding(holding) => self.descended(Below::Level(Descent::from(holding.leaves))),
            Answer::Sums(sums) => {
                if let Stage::Descend(descent) = &self.stage {
                    let below = Descent::clone(descent).compare(&sums);
                    self.descended(below);
                }
            }
            Answer::Versions(page) => self.versions(page, known),
            Answer::Objects(page) => self.objects(page),
            Answer::Stored => self.stored(),
            Answer::Dropped { .. } => {}
        }
        self.settle();
        None
    }

    fn failed(&mut self) {
        self.attempts += 1;
        if self.attempts >= ATTEMPTS_MAX
            && let Stage::Compare(compare) = &mut self.stage
            && let Some((whom, mut objects)) = compare.storing.pop_front()
        {
            if objects.len() > 1 {
                // One of them may be the cause: its half is told from the other by one more attempt.
                let half = objects.split_off(objects.len() / 2);
                compare.storing.push_front((whom, half));
                compare.storing.push_front((whom, objects));
                self.attempts = ATTEMPTS_MAX - 1;
            } else {
                self.exchanged.skipped += 1;
                self.attempts = ATTEMPTS_MAX - 1;
            }
        }
        self.settle();
    }
}
