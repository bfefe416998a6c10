//! The file: what stands in which table, and how it is read and written.
//!
//! | table    | key   | value                                              |
//! |----------|-------|----------------------------------------------------|
//! | `format` | -     | the version of everything else                     |
//! | `log`    | index | the entry                                          |
//! | `slots`  | name  | vote, committed, purged, the snapshot and its meta |
//!
//! Values are [records](super::record). A change of several tables is one transaction.

use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;

use openraft::{Entry, LogId, SnapshotMeta, Vote};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record;
use crate::coordination::nookeeper::types::{Endpoint, RaftId, Types};

/// The form that this program writes; raised when older programs could not read it.
const FORMAT: u64 = 1;

const FORMATS: TableDefinition<(), u64> = TableDefinition::new("format");
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const SLOTS: TableDefinition<&str, &[u8]> = TableDefinition::new("slots");

/// The snapshot itself, as bytes of [`State::snapshot`](crate::coordination::state::State::snapshot).
const SNAPSHOT: &str = "snapshot";

/// What the Raft crate knows of a snapshot.
pub type Meta = SnapshotMeta<RaftId, Endpoint>;

/// A place for one value.
pub struct Slot<T>(&'static str, PhantomData<fn() -> T>);

impl<T> Slot<T> {
    const fn new(name: &'static str) -> Slot<T> {
        Slot(name, PhantomData)
    }
}

/// For whom this replica voted last.
pub const VOTE: Slot<Vote<RaftId>> = Slot::new("vote");
/// How far the log was known to be committed. It may be behind after a power failure.
pub const COMMITTED: Slot<Option<LogId<RaftId>>> = Slot::new("committed");
/// The last entry that was removed from the log's beginning.
pub const PURGED: Slot<LogId<RaftId>> = Slot::new("purged");
/// What the Raft crate knows of the snapshot.
pub const SNAPSHOT_META: Slot<Meta> = Slot::new("snapshot meta");

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// What stands there is not what was once written, or what no program of this format writes.
    #[error("{what} is damaged: {detail}")]
    Damaged {
        /// Which value.
        what: String,
        /// What does not fit.
        detail: String,
    },
    /// A value without a stored form.
    #[error("{what} cannot be written: {detail}")]
    Unwritable {
        /// Which value.
        what: String,
        /// Why.
        detail: String,
    },
    /// The database or the disk below it failed.
    #[error(transparent)]
    Database(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for FileError {
    fn from(error: E) -> FileError {
        FileError::Database(error.into())
    }
}

/// Why a file is not opened. It is left as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a newer version of this program.
    #[error("it has format {found}; this version knows formats up to {known}, use a newer one")]
    NewerFormat {
        /// Its format.
        found: u64,
        /// The newest that this program reads.
        known: u64,
    },
    /// A database that this program did not make.
    #[error("it is a database of something else: it has tables, but none that tells its format")]
    Foreign,
    /// It could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The file of one replica. Clones are the same.
#[derive(Clone)]
pub struct File(Arc<Database>);

impl File {
    /// Takes a database that this program wrote, or an empty one.
    pub fn open(database: Database) -> Result<File, OpenError> {
        match format_of(&database)? {
            Some(FORMAT) => {}
            Some(found) if found > FORMAT => return Err(OpenError::NewerFormat { found, known: FORMAT }),
            Some(found) => {
                let detail = format!("no program ever wrote format {found}");
                return Err(FileError::Damaged { what: "the format".to_owned(), detail }.into());
            }
            None => make(&database)?,
        }
        Ok(File(Arc::new(database)))
    }

    /// The value of a slot.
    pub fn get<T: DeserializeOwned>(&self, slot: Slot<T>) -> Result<Option<T>, FileError> {
        let slots = self.0.begin_read()?.open_table(SLOTS)?;
        get(&slots, slot)
    }

    /// The entries of a range in order, up to the one with which they have `bytes_max` bytes or more.
    pub fn entries(&self, range: impl RangeBounds<u64>, bytes_max: u64) -> Result<Vec<Entry<Types>>, FileError> {
        let log = self.0.begin_read()?.open_table(LOG)?;
        let (mut entries, mut bytes) = (vec![], 0);
        for item in log.range::<u64>(range)? {
            let (index, record) = item?;
            entries.push(entry(index.value(), record.value())?);
            bytes += record.value().len() as u64;
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(entries)
    }

    /// The last entry that is there.
    pub fn last_entry(&self) -> Result<Option<Entry<Types>>, FileError> {
        let log = self.0.begin_read()?.open_table(LOG)?;
        log.last()?.map(|(index, record)| entry(index.value(), record.value())).transpose()
    }

    /// The snapshot, if there is one.
    pub fn snapshot(&self) -> Result<Option<(Meta, Vec<u8>)>, FileError> {
        let slots = self.0.begin_read()?.open_table(SLOTS)?;
        let Some(meta) = get(&slots, SNAPSHOT_META)? else { return Ok(None) };
        match slots.get(SNAPSHOT)? {
            Some(record) => Ok(Some((meta, record::unseal_bytes(SNAPSHOT, record.value())?.to_vec()))),
            None => Err(FileError::Damaged { what: SNAPSHOT.to_owned(), detail: "it is missing".to_owned() }),
        }
    }

    /// Makes changes, all or none. With [`Durability::Immediate`] they, and all before them, are on the disk when this returns.
    pub fn change(
        &self,
        durability: Durability,
        change: impl FnOnce(&mut Changes) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(durability)?;
        change(&mut Changes { log: transaction.open_table(LOG)?, slots: transaction.open_table(SLOTS)? })?;
        Ok(transaction.commit()?)
    }
}

/// Changes that are being made.
pub struct Changes<'a> {
    log: Table<'a, u64, &'static [u8]>,
    slots: Table<'a, &'static str, &'static [u8]>,
}

impl Changes<'_> {
    /// The value of a slot, as these changes have left it.
    pub fn get<T: DeserializeOwned>(&self, slot: Slot<T>) -> Result<Option<T>, FileError> {
        get(&self.slots, slot)
    }

    /// Fills a slot.
    pub fn put<T: Serialize>(&mut self, slot: Slot<T>, value: &T) -> Result<(), FileError> {
        self.slots.insert(slot.0, record::seal(slot.0, value)?.as_slice())?;
        Ok(())
    }

    /// Puts an entry in its place in the log.
    pub fn append(&mut self, entry: &Entry<Types>) -> Result<(), FileError> {
        let index = entry.log_id.index;
        self.log.insert(index, record::seal(&entry_name(index), entry)?.as_slice())?;
        Ok(())
    }

    /// Takes entries out of the log.
    pub fn remove(&mut self, range: impl RangeBounds<u64>) -> Result<(), FileError> {
        Ok(self.log.retain_in::<u64, _>(range, |_, _| false)?)
    }

    /// Takes the beginning of the log away, up to and with that entry.
    pub fn purge(&mut self, to: LogId<RaftId>) -> Result<(), FileError> {
        self.remove(..=to.index)?;
        self.put(PURGED, &to)
    }

    /// Replaces the snapshot.
    pub fn put_snapshot(&mut self, meta: &Meta, bytes: &[u8]) -> Result<(), FileError> {
        self.put(SNAPSHOT_META, meta)?;
        self.slots.insert(SNAPSHOT, record::seal_bytes(SNAPSHOT, bytes).as_slice())?;
        Ok(())
    }
}

/// The format of a file; `None` if nothing stands in it yet.
fn format_of(database: &Database) -> Result<Option<u64>, OpenError> {
    let format = || {
        let tables = database.begin_read()?;
        match tables.open_table(FORMATS) {
            Ok(formats) => Ok(Ok(formats.get(())?.map_or(0, |format| format.value()))),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(Err(tables.list_tables()?.next().is_some())),
            Err(error) => Err(FileError::from(error)),
        }
    };
    match format()? {
        Ok(format) => Ok(Some(format)),
        Err(false) => Ok(None),
        Err(true) => Err(OpenError::Foreign),
    }
}

fn make(database: &Database) -> Result<(), FileError> {
    let transaction = database.begin_write()?;
    transaction.open_table(LOG)?;
    transaction.open_table(SLOTS)?;
    transaction.open_table(FORMATS)?.insert((), FORMAT)?;
    Ok(transaction.commit()?)
}

fn get<T: DeserializeOwned>(
    slots: &impl ReadableTable<&'static str, &'static [u8]>,
    slot: Slot<T>,
) -> Result<Option<T>, FileError> {
    slots.get(slot.0)?.map(|record| record::unseal(slot.0, record.value())).transpose()
}

/// Reads an entry. Nothing of it refers to a longer buffer: it is kept for long.
fn entry(index: u64, record: &[u8]) -> Result<Entry<Types>, FileError> {
    record::unseal(&entry_name(index), record)
}

fn entry_name(index: u64) -> String {
    format!("entry {index}")
}
