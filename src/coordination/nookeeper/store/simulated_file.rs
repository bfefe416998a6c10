//! A file in memory that loses power as a disk does.
//!
//! It knows what was written and what of that was synced. A crash of the process ([`SimulatedFile::crash`]) loses nothing that was
//! written; a power failure ([`SimulatedFile::power_loss`]) keeps, drops or tears each write since the last sync, sector by sector.
//! Since a commit runs from its first write to its sync without a pause, power would never fail inside of one by chance; for that
//! there is [`SimulatedFile::cut_power_after`].
//!
//! A database that is dropped flushes its memory and marks the file as closed. What crashed does not, so the handles that were
//! there before a failure reach the file no more.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::Rng;
use redb::{Database, DatabaseError, StorageBackend};

use super::CACHE_BYTES;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// The file. Clones are the same.
#[derive(Clone, Default, Debug)]
pub struct SimulatedFile(Arc<Mutex<Contents>>);

/// The bytes of a file at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileCopy(Vec<u8>);

#[derive(Default, Debug)]
struct Contents {
    /// What readers see.
    written: Vec<u8>,
    synced: Vec<u8>,
    /// Whether a database was made in it.
    is_made: bool,
    /// What leads from `synced` to `written`.
    unsynced: Vec<Unsynced>,
    /// Counts the failures. Handles from before the last one are dead.
    boot: u64,
    /// How many more changes the power lasts for.
    power: Option<u64>,
}

#[derive(Debug)]
enum Unsynced {
    Length(usize),
    Write { offset: usize, data: Vec<u8> },
}

impl SimulatedFile {
    /// A file without a byte in it.
    pub fn new() -> SimulatedFile {
        SimulatedFile::default()
    }

    /// Opens the database in the file, or makes one in an empty file. A home takes a file into account when its
    /// database is made, so one that a failure left half made is as good as empty.
    ///
    /// # Errors
    /// Those of redb; also when the power is cut while it opens.
    pub fn open(&self) -> Result<Database, DatabaseError> {
        let (boot, is_new) = {
            let mut contents = self.contents();
            let is_new = !contents.is_made;
            if is_new {
                contents.set(vec![]);
            }
            (contents.boot, is_new)
        };
        let handle = Handle { file: self.clone(), boot };
        let database = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(handle)?;
        self.contents().is_made |= is_new;
        Ok(database)
    }

    /// The process dies: what was written stays, synced or not.
    pub fn crash(&self) {
        let mut contents = self.contents();
        (contents.boot, contents.power) = (contents.boot + 1, None);
    }

    /// The power fails: of each write since the last sync, all sectors reach the disk, or none, or any of them. Where writes
    /// overlap a later one never gives way to an earlier one; beyond that, every order in which a disk may write is among
    /// the results.
    pub fn power_loss(&self, rng: &mut impl Rng) {
        self.crash();
        let mut contents = self.contents();
        let mut disk = contents.synced.clone();
        for change in std::mem::take(&mut contents.unsynced) {
            let luck = rng.random_range(0..3);
            let mut survives = || luck == 0 || (luck == 1 && rng.random());
            match change {
                Unsynced::Length(bytes) if survives() => disk.resize(bytes, 0),
                Unsynced::Length(_) => {}
                Unsynced::Write { offset, data } => {
                    for part in sectors(offset, data.len()).filter(|_| survives()) {
                        put(&mut disk, part.start, &data[part.start - offset..part.end - offset]);
                    }
                }
            }
        }
        contents.set(disk);
    }

    /// Lets the power last for so many writes, syncs and changes of length more. Everything after them fails, until
    /// [`SimulatedFile::power_loss`] or [`SimulatedFile::crash`].
    pub fn cut_power_after(&self, changes: u64) {
        self.contents().power = Some(changes);
    }

    /// Whether the power that [`SimulatedFile::cut_power_after`] left is used up.
    pub fn is_without_power(&self) -> bool {
        self.contents().power == Some(0)
    }

    /// The disk is replaced by an empty one.
    pub fn wipe(&self) {
        self.restore(&FileCopy(vec![]));
    }

    /// A copy of what is written, as a backup takes it.
    pub fn snapshot(&self) -> FileCopy {
        FileCopy(self.contents().written.clone())
    }

    /// The process dies and finds an older copy, or that of another file, when it starts again.
    pub fn restore(&self, copy: &FileCopy) {
        self.crash();
        let mut contents = self.contents();
        contents.set(copy.0.clone());
        contents.is_made = !copy.0.is_empty();
    }

    /// Nothing panics under the lock but a write beyond all memory.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn set(&mut self, bytes: Vec<u8>) {
        (self.written, self.synced) = (bytes.clone(), bytes);
        self.unsynced.clear();
    }
}

/// The parts of a write that lie in one sector each.
fn sectors(offset: usize, bytes: usize) -> impl Iterator<Item = Range<usize>> {
    let end = offset + bytes;
    let first = offset - offset % SECTOR_BYTES;
    (first..end).step_by(SECTOR_BYTES).map(move |sector| sector.max(offset)..(sector + SECTOR_BYTES).min(end))
}

/// Writes into a file, which grows as far as it must.
fn put(file: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(data);
}

/// The file, until its next failure.
#[derive(Debug)]
struct Handle {
    file: SimulatedFile,
    boot: u64,
}

impl Handle {
    fn contents(&self) -> io::Result<MutexGuard<'_, Contents>> {
        let contents = self.file.contents();
        if contents.boot == self.boot {
            Ok(contents)
        } else {
            Err(io::Error::other("the process that had it open died"))
        }
    }

    fn change(&self) -> io::Result<MutexGuard<'_, Contents>> {
        let mut contents = self.contents()?;
        match &mut contents.power {
            Some(0) => return Err(io::Error::other("the power failed")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(contents)
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.contents()?.written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = position(offset)?;
        let contents = self.contents()?;
        let found = contents.written.get(offset..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let bytes = position(len)?;
        let mut contents = self.change()?;
        contents.written.resize(bytes, 0);
        contents.unsynced.push(Unsynced::Length(bytes));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut contents = self.change()?;
        let Contents { synced, unsynced, .. } = &mut *contents;
        for change in unsynced.drain(..) {
            match change {
                Unsynced::Length(bytes) => synced.resize(bytes, 0),
                Unsynced::Write { offset, data } => put(synced, offset, &data),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = position(offset)?;
        let mut contents = self.change()?;
        put(&mut contents.written, offset, data);
        contents.unsynced.push(Unsynced::Write { offset, data: data.to_vec() });
        Ok(())
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    fn handle(file: &SimulatedFile) -> Handle {
        Handle { file: file.clone(), boot: file.contents().boot }
    }

    /// One synced write of `a`, then two of `b` and `c` over it that are not.
    fn half_synced() -> SimulatedFile {
        let file = SimulatedFile::new();
        let writer = handle(&file);
        writer.write(0, &[b'a'; 3 * SECTOR_BYTES]).unwrap();
        writer.sync_data().unwrap();
        writer.write(0, &[b'b'; 2 * SECTOR_BYTES]).unwrap();
        writer.write(SECTOR_BYTES as u64 + 1, &[b'c'; 3 * SECTOR_BYTES]).unwrap();
        file
    }

    /// The letters in the order of the file, each once for a run of it.
    fn letters(file: &SimulatedFile) -> String {
        let mut letters = file.snapshot().0;
        letters.dedup();
        String::from_utf8(letters).unwrap()
    }

    #[test]
    fn power_loss_keeps_what_was_synced_and_any_sectors_of_the_rest() {
        let mut seen = BTreeSet::new();
        for seed in 0..1_000 {
            let file = half_synced();
            file.power_loss(&mut SmallRng::seed_from_u64(seed));
            let contents = file.contents();
            assert!(contents.written == contents.synced && contents.unsynced.is_empty());
            drop(contents);
            seen.insert(letters(&file));
        }
        for whole_or_torn in ["a", "bc", "ba", "abac", "ac", "a\0c", "bac", "abc"] {
            assert!(seen.contains(whole_or_torn), "{whole_or_torn:?} is not among {seen:?}");
        }
        assert!(seen.iter().all(|letters| !letters.contains("cb")), "{seen:?}");
    }

    #[test]
    fn a_crash_keeps_what_was_written_for_the_next_power_loss_to_take() {
        let file = half_synced();
        file.crash();
        assert_eq!(letters(&file), "bc");
        let all: BTreeSet<String> = (0..100)
            .map(|seed| {
                let file = half_synced();
                file.crash();
                file.power_loss(&mut SmallRng::seed_from_u64(seed));
                letters(&file)
            })
            .collect();
        assert!(all.len() > 1);
    }

    #[test]
    fn old_handles_are_dead_and_a_copy_comes_back_whole() {
        let file = half_synced();
        let (old, copy) = (handle(&file), file.snapshot());
        file.wipe();
        assert!(old.write(0, b"x").is_err() && old.sync_data().is_err() && old.len().is_err());
        assert_eq!(file.snapshot(), FileCopy(vec![]));
        file.restore(&copy);
        file.power_loss(&mut SmallRng::seed_from_u64(0));
        assert_eq!(file.snapshot(), copy);
    }

    #[test]
    fn power_lasts_for_as_many_changes_as_told() {
        let file = half_synced();
        let writer = handle(&file);
        file.cut_power_after(2);
        assert!(writer.write(0, b"x").is_ok() && writer.sync_data().is_ok() && file.is_without_power());
        assert!(writer.sync_data().is_err() && writer.write(0, b"y").is_err() && writer.set_len(0).is_err());
        file.power_loss(&mut SmallRng::seed_from_u64(0));
        assert!(handle(&file).write(0, b"z").is_ok());
        assert_eq!(file.snapshot().0[0], b'z');
    }
}
