//! An arriving store copies a partition from one source.

use bytes::Bytes;

use super::checkpoint::{Checkpoint, TransferId};
use super::join::{Differing, Join, Needs};
use super::missing::Missing;
use super::work::{Answer, Ask, Holding, Known, Objects, Step, Versions, Whom, Work, left_of, page_of};
use crate::core::id::StoreId;
use crate::core::key::Key;
use crate::core::merkle::Leaves;
use crate::mutant;

/// A checkpoint is kept after so many bytes,
const CHECKPOINT_BYTES: u64 = 1 << 20;
/// or so many pages: what is copied again after a crash.
const CHECKPOINT_PAGES: u32 = 16;
/// If at most one leaf in so many differs, only what is in those is looked at: reading all again would be a waste.
const FEW: usize = 8;

/// Where a transfer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The source's leaves are asked for: what it holds at this moment must be here in the end.
    Freeze,
    /// Pages are pulled in key order.
    Bulk,
    /// What differs from the frozen leaves is looked for and copied.
    Compare,
    /// All that was frozen is held, or covered, durably.
    Done,
}

/// How far a transfer is, for operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Keys copied, those before a restart included.
    pub keys: u64,
    /// Bytes of keys and objects copied, those before a restart included.
    pub bytes: u64,
    /// Bytes of those that were copied before a restart.
    pub bytes_before: u64,
    /// Keys that the source held when it was frozen; zero before that.
    pub keys_expected: u64,
    /// Bytes of their records.
    pub bytes_expected: u64,
    /// Keys whose record no owner could read.
    pub unreadable: u64,
}

/// The copying of one partition from one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    id: TransferId,
    place: usize,
    /// Who is asked for what the source cannot read.
    elsewhere: Vec<StoreId>,
    checkpoint: Checkpoint,
    progress: Progress,
    stage: Stage,
    /// Arrived, and to be made durable before anything else is asked.
    storing: Vec<(Key, Bytes)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Stage {
    Freeze,
    /// The source is frozen; what is held here?
    Look(Leaves),
    Bulk(Bulk),
    Compare(Box<Compare>),
    Done,
}

/// Since the last checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Bulk {
    frozen: Leaves,
    bytes: u64,
    pages: u32,
    /// Where the page that is being stored ends.
    next: Option<Bytes>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Compare {
    leaves: Vec<u32>,
    join: Join,
    /// To be asked of the source.
    wanted: Vec<Bytes>,
    /// What the source cannot read.
    missing: Missing,
}

impl Transfer {
    /// A transfer to `place`, from where `checkpoint` ends. `owners` are all that are read from, the source and this store among
    /// them or not.
    pub fn new(id: TransferId, place: usize, own: StoreId, owners: &[StoreId], checkpoint: Checkpoint) -> Transfer {
        let elsewhere = owners.iter().copied().filter(|&owner| owner != id.source && owner != own).collect();
        let Checkpoint { keys, bytes, .. } = checkpoint;
        let progress = Progress { keys, bytes, bytes_before: bytes, ..Progress::default() };
        Transfer { id, place, elsewhere, checkpoint, progress, stage: Stage::Freeze, storing: vec![] }
    }

    /// Which one.
    pub fn id(&self) -> TransferId {
        self.id
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        match self.stage {
            Stage::Freeze => Phase::Freeze,
            Stage::Look(_) | Stage::Bulk(_) => Phase::Bulk,
            Stage::Compare(_) => Phase::Compare,
            Stage::Done => Phase::Done,
        }
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    fn source(&self) -> Whom {
        Whom::Peer(self.id.source)
    }

    fn holding(&mut self, holding: Holding) {
        if let Stage::Look(frozen) = &self.stage {
            let frozen = frozen.clone();
            return self.looked(&frozen, &holding.leaves);
        }
        (self.progress.keys_expected, self.progress.bytes_expected) = (holding.keys, holding.bytes);
        self.stage = Stage::Look(holding.leaves);
    }

    /// Own leaves, before the bulk or after it.
    fn looked(&mut self, frozen: &Leaves, own: &Leaves) {
        let leaves = own.differing(frozen);
        let is_little = leaves.len() * FEW <= frozen.count();
        if !self.checkpoint.is_whole && !is_little {
            self.stage = Stage::Bulk(Bulk { frozen: frozen.clone(), bytes: 0, pages: 0, next: None });
        } else if leaves.is_empty() || mutant!(ReportArrivedEarly) {
            self.stage = Stage::Done;
        } else {
            let (join, wanted, missing) = (Join::begin(), vec![], Missing::default());
            self.stage = Stage::Compare(Box::new(Compare { leaves, join, wanted, missing }));
        }
    }

    /// Takes those of a page that belong to its place. Others hold the rest.
    fn take(&mut self, objects: &[(Key, Bytes)], known: &dyn Known) {
        let belonging = objects.iter().filter(|(key, _)| self.place < known.replicas(key));
        self.storing.extend(belonging.cloned());
    }

    fn stored(&mut self) -> Option<Checkpoint> {
        let stored = std::mem::take(&mut self.storing);
        let weight = |(key, object): &(Key, Bytes)| key.bucket.len() + key.name.len() + object.len();
        let bytes = stored.iter().map(weight).sum::<usize>() as u64;
        self.progress.keys += stored.len() as u64;
        self.progress.bytes += bytes;
        match &mut self.stage {
            Stage::Bulk(bulk) => {
                bulk.bytes += bytes;
                bulk.pages += 1;
                self.turn_page()
            }
            _ => None,
        }
    }

    /// The page is durable: goes on to the next one, or to the proof.
    fn turn_page(&mut self) -> Option<Checkpoint> {
        let Stage::Bulk(bulk) = &mut self.stage else { return None };
        let checkpoint = &mut self.checkpoint;
        (checkpoint.keys, checkpoint.bytes) = (self.progress.keys, self.progress.bytes);
        match bulk.next.take() {
            Some(next) => checkpoint.after = Some(next),
            None => checkpoint.is_whole = true,
        }
        let is_due = checkpoint.is_whole || bulk.bytes >= CHECKPOINT_BYTES || bulk.pages >= CHECKPOINT_PAGES;
        if is_due {
            (bulk.bytes, bulk.pages) = (0, 0);
        }
        if self.checkpoint.is_whole {
            let frozen = bulk.frozen.clone();
            self.stage = Stage::Look(frozen);
        }
        is_due.then(|| self.checkpoint.clone())
    }

    fn objects(&mut self, page: Objects, known: &dyn Known) -> Option<Checkpoint> {
        self.take(&page.objects, known);
        match &mut self.stage {
            Stage::Bulk(bulk) => {
                // What the source could not read differs in the leaves: the comparison sees to it.
                bulk.next = page.next;
                if self.storing.is_empty() {
                    return self.turn_page();
                }
            }
            Stage::Compare(compare) if compare.wanted.is_empty() => compare.missing.given(page),
            Stage::Compare(compare) => {
                compare.wanted = left_of(&compare.wanted, page.left_over);
                compare.missing.add(page.unreadable);
            }
            _ => {}
        }
        None
    }

    fn versions(&mut self, page: Versions, known: &dyn Known) {
        let place = self.place;
        let Stage::Compare(compare) = &mut self.stage else { return };
        for Differing { stored, theirs, .. } in compare.join.read(page) {
            // What only this store holds came by a write, and its quorum sees to it.
            let Some(clock) = theirs else { continue };
            let belongs = Key::from_stored(&stored).is_some_and(|(_, key)| place < known.replicas(&key));
            match clock {
                _ if !belongs => {}
                Some(_) => compare.wanted.push(stored),
                None => compare.missing.add(vec![stored]),
            }
        }
    }

    /// What was compared so far is settled as far as the source goes: turns to others for the rest, and ends when nothing is left.
    fn settle(&mut self) {
        let Stage::Compare(compare) = &mut self.stage else { return };
        if !self.storing.is_empty() || !compare.wanted.is_empty() {
            return;
        }
        self.progress.unreadable += compare.missing.ask(self.elsewhere.len());
        if compare.missing.asking().is_none() && compare.join.needs() == Needs::Nothing {
            self.stage = Stage::Done;
        }
    }
}

impl Work for Transfer {
    fn next(&self) -> Step {
        if !self.storing.is_empty() {
            return Step::Store(Whom::Own, self.storing.clone());
        }
        match &self.stage {
            Stage::Freeze => Step::Ask(self.source(), Ask::Leaves),
            Stage::Look(_) => Step::Ask(Whom::Own, Ask::Leaves),
            Stage::Bulk(_) => Step::Ask(self.source(), Ask::Pull { after: self.checkpoint.after.clone() }),
            Stage::Compare(compare) => {
                let leaves = || compare.leaves.clone();
                if !compare.wanted.is_empty() {
                    return Step::Ask(self.source(), Ask::Objects { keys: page_of(&compare.wanted) });
                }
                if let Some((other, keys)) = compare.missing.asking() {
                    return Step::Ask(Whom::Peer(self.elsewhere[other]), Ask::Objects { keys: page_of(keys) });
                }
                match compare.join.needs() {
                    Needs::Theirs(after) => Step::Ask(self.source(), Ask::Clocks { leaves: leaves(), after }),
                    Needs::Ours(after) => Step::Ask(Whom::Own, Ask::Clocks { leaves: leaves(), after }),
                    Needs::Nothing => Step::Done,
                }
            }
            Stage::Done => Step::Done,
        }
    }

    fn answered(&mut self, answer: Answer, known: &dyn Known) -> Option<Checkpoint> {
        let checkpoint = match answer {
            Answer::Holding(holding) => {
                self.holding(holding);
                None
            }
            Answer::Versions(page) => {
                self.versions(page, known);
                None
            }
            Answer::Objects(page) => self.objects(page, known),
            Answer::Stored => self.stored(),
            Answer::Sums(_) | Answer::Dropped { .. } => None,
        };
        self.settle();
        checkpoint
    }

    fn failed(&mut self) {
        if let Stage::Compare(compare) = &mut self.stage
            && self.storing.is_empty()
            && compare.wanted.is_empty()
        {
            compare.missing.failed();
        }
        self.settle();
    }
}
