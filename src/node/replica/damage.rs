//! Records that cannot be read.
//!
//! A partition in which one is found is marked as in need of sync: what the record said, only other owners know now. They are asked at
//! once ([`crate::core::repair`]), and the whole object that one of them sends takes the place of what cannot be read. The mark of
//! the store's own actor for that key went with the record, so the next write here begins a new actor ([`crate::core::version::mint`]): nobody continues
//! one that may have forgotten something.
//!
//! A record that no owner can mend is found again and again. It marks its partition once in a life of the store.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::needs_sync::{Change, Why};
use super::storing::{malformed, unreadable};
use super::{Replica, Turn};
use crate::core::id::Partition;
use crate::core::version::Record;
use crate::node::disk::Ticket;
use crate::node::replica::pending::Stored;
use crate::node::stats::Counter;
use crate::storage::{Batch, Space, StorageError};
use crate::wire::message::ReplicaError;

/// Keys that are remembered as damaged. What is found beyond is counted again when it is met again.
const KNOWN_MAX: usize = 4096;

/// What is known to be damaged, and what was not written of that yet.
#[derive(Default)]
pub(super) struct Damage {
    known: BTreeSet<Bytes>,
    gaps: BTreeSet<Partition>,
    unwritten: Vec<Change>,
}

/// A key's record as the next write finds it.
pub(super) struct Newest {
    /// It; an empty one in place of one that cannot be read.
    pub record: Record,
    /// The bytes that it is made of.
    pub before: Stored,
    /// What makes it durable, if it is not yet.
    pub in_flight: Option<Ticket>,
    /// Whether there was one that cannot be read.
    pub is_damaged: bool,
}

impl Replica {
    /// The record of a key for a merge, which may replace what cannot be read.
    pub(super) fn newest_for_merge(&mut self, stored: &Bytes) -> Result<Newest, ReplicaError> {
        let (before, in_flight) = match self.pending.newest(stored) {
            Some((ticket, record)) => (Ok(record.clone()), Some(ticket)),
            None => {
                let engine = &self.parts.engine;
                (self.recent.get(stored, || engine.get(Space::Objects, stored)), None)
            }
        };
        let before = match before {
            Err(StorageError::Corrupt { .. }) => {
                let (record, before) = (Record::default(), None);
                return Ok(Newest { record, before, in_flight, is_damaged: true });
            }
            before => before.map_err(unreadable)?,
        };
        match before.as_ref().map_or(Ok(Record::default()), Record::decode) {
            Ok(record) => Ok(Newest { record, before, in_flight, is_damaged: false }),
            Err(_) => Ok(Newest { record: Record::default(), before, in_flight, is_damaged: true }),
        }
    }

    /// The record of a key as the engine or memory has it, which must be one that can be read.
    pub(super) fn sound(
        &mut self,
        stored: &Bytes,
        record: Result<Stored, StorageError>,
    ) -> Result<Stored, ReplicaError> {
        match record {
            Err(error @ StorageError::Corrupt { .. }) => {
                self.damaged(stored);
                Err(unreadable(error))
            }
            Err(error) => Err(unreadable(error)),
            Ok(record) => {
                if let Some(Err(error)) = record.as_ref().map(Record::split) {
                    self.damaged(stored);
                    return Err(malformed(error));
                }
                Ok(record)
            }
        }
    }

    /// A record cannot be read. The tree of its partition, if there is one, says what it was once: it is made anew.
    pub(super) fn damaged(&mut self, stored: &Bytes) {
        if let Some(partition) = self.note_damaged(stored) {
            self.distrust_tree(partition);
        }
    }

    /// The same, found by who makes the tree. Returns the partition unless it was known.
    pub(super) fn note_damaged(&mut self, stored: &Bytes) -> Option<Partition> {
        let partition = stored.first_chunk().map(|bytes| Partition(u16::from_be_bytes(*bytes)))?;
        // A copy in memory would hide that it has to be replaced on disk.
        self.recent.forget(stored);
        if self.damage.known.contains(stored) {
            return None;
        }
        if self.damage.known.len() < KNOWN_MAX {
            self.damage.known.insert(stored.clone());
        }
        self.count(Counter::DamagedRecords);
        log::error!("a record of partition {partition} cannot be read; the other owners are asked for it");
        self.mark_damage(partition);
        Some(partition)
    }

    /// A part of a partition cannot be read, not even its keys.
    pub(super) fn gap(&mut self, partition: Partition) {
        if self.note_gap(partition) {
            self.distrust_tree(partition);
        }
    }

    /// The same, found by who makes the tree. Returns whether it is news.
    pub(super) fn note_gap(&mut self, partition: Partition) -> bool {
        let is_new = self.damage.gaps.insert(partition);
        if is_new {
            self.recent.clear();
            self.count(Counter::DamagedRecords);
            log::error!(
                "a part of partition {partition} cannot be read; the other owners are asked for what was in it"
            );
            self.mark_damage(partition);
        }
        is_new
    }

    /// What was found to be wrong by reading the partition again.
    pub(super) fn rotten(&mut self, partition: Partition, leaves: usize) {
        self.recent.clear();
        self.parts.stats.add(Counter::MerkleLeavesWrong, leaves as u64);
        log::error!(
            "partition {partition} is not what was written in {leaves} Merkle leaves; the other owners are asked"
        );
        self.mark_damage(partition);
    }

    /// A key is held again in a version that can be read.
    pub(super) fn mended(&mut self, stored: &Bytes) {
        self.damage.known.remove(stored);
        self.count(Counter::DamagedMended);
    }

    fn mark_damage(&mut self, partition: Partition) {
        let change = self.parts.needs_sync.mark(partition, Why::Damage);
        self.damage.unwritten.push(change);
    }

    /// Writes marks together with what a message leads to.
    pub(super) fn add_marks(&mut self, turn: &mut Turn) {
        turn.batch.changes.append(&mut self.damage.unwritten);
    }

    /// Writes marks that no message led to.
    pub(super) fn submit_marks(&mut self, told: actix::Recipient<super::messages::Flushed>) {
        let changes = std::mem::take(&mut self.damage.unwritten);
        if !changes.is_empty() {
            self.ticket += 1;
            self.parts.disk.submit(told, self.ticket, Batch { changes });
        }
    }
}
