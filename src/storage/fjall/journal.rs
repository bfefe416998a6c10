//! The journals of a database: refused if recovery would be misled, and compared with what it left.
//!
//! Recovery cuts a journal behind the last batch that it can read, and says so only at the log's lowest levels. Here the ends
//! are compared: every whole batch ends in a byte that is not zero, and an unwritten journal is all zeros, so the last such
//! byte before the opening is where the data ended.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::StorageError;
use super::sequence;

/// The journals of a database that is about to be opened.
pub(super) struct Journals {
    /// From the oldest on. Kept open, because a journal that was recovered may be deleted before its length is read again.
    files: Vec<(PathBuf, File, u64)>,
}

impl Journals {
    /// Notes where the data ends in each journal in `directory`, which need not be there.
    pub fn look(directory: &Path) -> Result<Journals, StorageError> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Journals { files: Vec::new() }),
            Err(error) => return Err(StorageError::io(directory, error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| StorageError::io(directory, error))?.path();
            if path.extension().is_none_or(|extension| extension != "jnl") {
                continue;
            }
            let at_path = |error| StorageError::io(&path, error);
            let file = File::open(&path).map_err(at_path)?;
            let end = data_end(&file).map_err(at_path)?;
            files.push((path, file, end));
        }
        files.sort_by_key(|(path, ..)| number(path));
        Ok(Journals { files })
    }

    /// Refuses a database whose journals are gone, and one with a batch that recovery would take for newer or older than it
    /// is.
    pub fn verify(&self, directory: &Path) -> Result<(), StorageError> {
        if self.files.is_empty() {
            return Err(StorageError::corrupt(directory, "its journal is gone"));
        }
        let mut previous = None;
        for (path, file, _) in &self.files {
            let damage = sequence::find_damage(file, &mut previous).map_err(|error| StorageError::io(path, error))?;
            if let Some(damage) = damage {
                return Err(StorageError::corrupt(path, damage));
            }
        }
        Ok(())
    }

    /// Bytes of data that are gone since [`Journals::look`].
    pub fn discarded_bytes(&self) -> Result<u64, StorageError> {
        let mut discarded = 0;
        for (path, file, end) in &self.files {
            let left = file.metadata().map_err(|error| StorageError::io(path, error))?.len();
            if left < *end {
                log::error!(
                    "recovery dropped {} unreadable bytes at the end of {} (kept: {left})",
                    end - left,
                    path.display()
                );
                discarded += end - left;
            }
        }
        Ok(discarded)
    }
}

/// A journal's place among the others. Fjall refuses one whose name is no number.
fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// The offset behind the last byte that is not zero.
fn data_end(file: &File) -> io::Result<u64> {
    const CHUNK_BYTES: usize = 1 << 16;
    let zeros = vec![0; CHUNK_BYTES];
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut end = file.metadata()?.len();
    while end > 0 {
        let length = end.min(CHUNK_BYTES as u64) as usize;
        let start = end - length as u64;
        let chunk = &mut chunk[..length];
        file.read_exact_at(chunk, start)?;
        if *chunk != zeros[..length] {
            let zeros_behind = chunk.iter().rev().take_while(|byte| **byte == 0).count();
            return Ok(end - zeros_behind as u64);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn finds_the_end_of_data_in_a_hole() {
        for (data, zeros) in [(0, 0), (0, 1 << 20), (1, 0), (7, (1 << 16) - 7), (1 << 16, 1 << 20), (100_000, 1)] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![3; data]).unwrap();
            file.set_len((data + zeros) as u64).unwrap();
            assert_eq!(data_end(&file).unwrap(), data as u64);
        }
    }
}
