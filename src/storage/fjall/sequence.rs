//! The order of the batches in the journals.
//!
//! Every batch has a sequence number, by which fjall tells newer from older. It stands in the head of the batch, where no
//! checksum covers it (fjall 3.1, `journal/writer.rs`), and recovery believes it: with one too high the counter runs out and
//! every start panics, and a batch whose number is too low is skipped as one that the tables hold already.
//!
//! Numbers ascend within a journal and from one to the next, and journals are deleted from the oldest on. So a number that is
//! not above the one before it is damage, and so is one that no counting reaches. What this does not see: a number that
//! stays between its neighbours, which changes nothing, and the very first one lowered.
//!
//! Only whole batches are looked at. What a power failure left of the last one may hold anything, and recovery drops it.

use std::fs::File;
use std::io::{self, BufReader, Read};

/// Above every number that counting reaches: at a million batches a second that takes two thousand years. Fjall panics at 2^63.
const SEQUENCE_NUMBER_MAX: u64 = 1 << 56;

/// The last bytes of a whole batch.
const TRAILER: [u8; 4] = *b"FJL\x03";

/// Goes through the batches of a journal from its beginning to the first that is not whole. `previous` is the last sequence
/// number of the journal before it, and becomes this one's. Returns what is wrong, if anything is.
pub(super) fn find_damage(journal: &File, previous: &mut Option<u64>) -> io::Result<Option<String>> {
    let mut batches = Batches { bytes: BufReader::new(journal) };
    while let Some(number) = batches.next_number()? {
        if number > SEQUENCE_NUMBER_MAX || previous.is_some_and(|previous| number <= previous) {
            let before = previous.map_or("none".into(), |previous| previous.to_string());
            return Ok(Some(format!("a batch has the sequence number {number}, the one before it {before}")));
        }
        *previous = Some(number);
    }
    Ok(None)
}

/// The batches of a journal: a head with the count of entries and the sequence number, the entries, an end with the checksum.
struct Batches<'a> {
    bytes: BufReader<&'a File>,
}

impl Batches<'_> {
    /// The sequence number of the next whole batch; `None` where recovery stops.
    fn next_number(&mut self) -> io::Result<Option<u64>> {
        match self.read_batch() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            result => result,
        }
    }

    fn read_batch(&mut self) -> io::Result<Option<u64>> {
        const HEAD: u8 = 1;
        const ITEM: u8 = 2;
        const END: u8 = 3;
        const CLEAR: u8 = 4;
        const COUNT_BYTES: i64 = 4;
        const KIND_BYTES: i64 = 1;
        const COMPRESSION_BYTES: i64 = 1;
        const KEYSPACE_BYTES: i64 = 8;
        const UNCOMPRESSED_LENGTH_BYTES: i64 = 4;
        const CHECKSUM_BYTES: i64 = 8;

        if self.read()? != [HEAD] {
            return Ok(None);
        }
        self.skip(COUNT_BYTES)?;
        let number = u64::from_le_bytes(self.read()?);
        loop {
            match self.read()? {
                [ITEM] => {
                    self.skip(KIND_BYTES + COMPRESSION_BYTES + KEYSPACE_BYTES)?;
                    let key_bytes = u16::from_le_bytes(self.read()?);
                    self.skip(UNCOMPRESSED_LENGTH_BYTES)?;
                    let value_bytes = u32::from_le_bytes(self.read()?);
                    self.skip(i64::from(key_bytes) + i64::from(value_bytes))?;
                }
                [CLEAR] => self.skip(KEYSPACE_BYTES)?,
                [END] => {
                    self.skip(CHECKSUM_BYTES)?;
                    return Ok((self.read()? == TRAILER).then_some(number));
                }
                _ => return Ok(None),
            }
        }
    }

    /// Goes on without looking; behind the file's end the next read notices.
    fn skip(&mut self, bytes: i64) -> io::Result<()> {
        self.bytes.seek_relative(bytes)
    }

    fn read<const BYTES: usize>(&mut self) -> io::Result<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        self.bytes.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use super::super::{Batch, Engine, FjallEngine, Settings, Space, StorageError};

    const SEQUENCE_NUMBER_AT: usize = 5;
    const BATCHES: u8 = 3;

    /// The content of the journal that fjall writes for three batches: a short value, one that it compresses, a removal.
    fn written(directory: &std::path::Path) -> Vec<u8> {
        let engine = FjallEngine::open(directory, &Settings { reserve_bytes: 0, ..Settings::default() }).unwrap();
        for value in [Some(vec![1; 10]), Some(vec![2; 100_000]), None] {
            let mut batch = Batch::default();
            batch.changes.push((Space::Objects, "key".into(), value.map(Into::into)));
            batch.put(Space::Meta, &b"key"[..], &b"value"[..]);
            engine.apply(batch).unwrap();
        }
        drop(engine);
        let mut content = fs::read(directory.join("0.jnl")).unwrap();
        content.truncate(content.iter().rposition(|byte| *byte != 0).unwrap() + 1);
        content
    }

    /// Where the batches begin.
    fn heads(content: &[u8]) -> Vec<usize> {
        let ends = content.windows(TRAILER.len()).enumerate().filter(|(_, bytes)| *bytes == TRAILER);
        let behind = ends.map(|(at, _)| at + TRAILER.len()).filter(|at| *at < content.len());
        std::iter::once(0).chain(behind).collect()
    }

    #[test]
    fn knows_what_fjall_writes() {
        let dir = tempfile::tempdir().unwrap();
        let content = written(dir.path());
        let heads = heads(&content);
        let last = content[heads[2] + SEQUENCE_NUMBER_AT..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let mut previous = None;
        let journal = File::open(dir.path().join("0.jnl")).unwrap();
        assert_eq!(find_damage(&journal, &mut previous).unwrap(), None);
        assert_eq!((heads.len(), previous), (BATCHES.into(), last));
        // The same batches once more come too late.
        assert!(find_damage(&File::open(dir.path().join("0.jnl")).unwrap(), &mut previous).unwrap().is_some());
    }

    /// Without the refusal fjall opens, and panics at the first batch or in the background.
    #[test]
    fn a_sequence_number_out_of_order_or_out_of_reach_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let content = written(dir.path());
        let heads = heads(&content);
        for (batch, number) in [(0, u64::MAX), (1, 0), (1, 1 << 40), (2, 1 << 57), (2, 1 << 63), (2, 0)] {
            let at = heads[batch] + SEQUENCE_NUMBER_AT;
            let mut damaged = content.clone();
            damaged[at..at + 8].copy_from_slice(&number.to_le_bytes());
            fs::write(dir.path().join("0.jnl"), damaged).unwrap();
            let error = FjallEngine::open(dir.path(), &Settings::default()).err();
            assert!(matches!(error, Some(StorageError::Corrupt { .. })), "{number} in batch {batch}: {error:?}");
        }
    }

    /// What a power failure leaves of a batch is no reason to refuse what is before it.
    #[test]
    fn a_torn_batch_is_left_to_recovery() {
        let dir = tempfile::tempdir().unwrap();
        let mut content = written(dir.path());
        let at = heads(&content)[2] + SEQUENCE_NUMBER_AT;
        content[at..at + 8].fill(u8::MAX);
        for cut in [at + 8, content.len() - 1] {
            fs::write(dir.path().join("0.jnl"), &content[..cut]).unwrap();
            let engine = FjallEngine::open(dir.path(), &Settings::default()).unwrap();
            assert!(engine.discarded_bytes() > 0);
            assert_eq!(engine.get(Space::Objects, b"key").unwrap().unwrap().len(), 100_000);
        }
    }
}
